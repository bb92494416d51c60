"""Models that misbehave: each run ends in words, with all that happened in its journal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perdure.serve.agents.bodies import MOST_CALLS, MOST_CHARACTERS
from perdure.serve.agents.drives import MISTAKES


def test_an_unknown_tool_is_told_to_the_model_and_stands_in_the_journal(kit: Any) -> None:
    """With the nearest name; the next answer may do better."""
    stage = kit.stage(kit.world(kit.calls(("lok", {"what": "a"})), kit.text("Done.")))
    assert stage.run().status == "done"
    assert stage.kinds()[1] == ("tool", "failed", "0.0", "tool.unknown")
    assert stage.world.bodies[1]["messages"][-1]["content"] == "There is no tool 'lok'. Did you mean 'look'?"
    assert stage.doing.done == []


@pytest.mark.parametrize("raw", ["{not json", "[1]", '"x"', "null", "{" * 5000])
def test_arguments_that_are_no_object_are_told_to_the_model(kit: Any, raw: str) -> None:
    """The journal has them as they came; to the provider they go back as an empty object."""
    stage = kit.stage(kit.world(kit.calls(("look", raw)), kit.text("Done.")))
    assert stage.run().status == "done"
    assert stage.kinds()[1] == ("tool", "failed", "0.0", "tool.bad_arguments")
    assert json.loads(stage.journal.steps[1].input) == raw[:200]
    messages = stage.world.bodies[1]["messages"]
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert "no JSON object" in messages[3]["content"]


def test_no_arguments_at_all_are_none(kit: Any) -> None:
    """As some models call a tool without parameters."""
    stage = kit.stage(kit.world(kit.calls(("look", "")), kit.text("Done.")))
    stage.table["look"] = lambda: "found"
    stage.run()
    assert stage.doing.done[0].arguments == {}


def test_a_model_that_only_makes_mistakes_is_stopped(kit: Any) -> None:
    """After four such answers in a row, with the last mistake's code."""
    stage = kit.stage(kit.world(kit.calls(("nope", {}))))
    ended = stage.run()
    assert (ended.status, ended.why) == ("failed", "tool.unknown")
    assert len(stage.world.bodies) == MISTAKES + 1
    assert "'nope'" in ended.text


def test_a_mistake_now_and_then_stops_nobody(kit: Any) -> None:
    """The count begins anew with a call that is one."""
    bad, good = kit.calls(("nope", {})), kit.calls(("look", {"what": "a"}))
    stage = kit.stage(kit.world(bad, bad, bad, good, bad, bad, bad, kit.text("Done.")))
    assert stage.run().status == "done"


def test_a_model_that_never_stops_is_stopped_by_its_limit(kit: Any) -> None:
    """With each of its steps in the journal."""
    stage = kit.stage(kit.world(kit.calls(("look", {"what": "a"}))), guard=kit.guard(steps=30))
    ended = stage.run()
    assert (ended.status, ended.why, len(stage.journal.steps)) == ("limited", "limit.steps", 60)


def test_an_empty_answer_is_asked_again_and_then_ends_the_run(kit: Any) -> None:
    """Three times in all; each is in the journal, none goes back to the provider."""
    stage = kit.stage(kit.world(kit.text(""), kit.text("Done.")))
    assert stage.run().status == "done"
    assert [each["role"] for each in stage.world.bodies[1]["messages"]] == ["system", "user", "user"]
    stage = kit.stage(kit.world(kit.text("  ")))
    ended = stage.run()
    assert (ended.status, ended.why, len(stage.journal.steps)) == ("failed", "model.empty", 3)


def test_the_same_id_for_every_call_is_no_matter(kit: Any) -> None:
    """Ids are ours, so each call has its own result."""
    stage = kit.stage(kit.world(kit.calls(*(("look", {"what": each}) for each in "abc"), ids="1"), kit.text("Done.")))
    assert stage.run().status == "done"
    assert [each.call for each in stage.doing.done] == ["0.0", "0.1", "0.2"]


def test_megabytes_are_cut_and_told(kit: Any) -> None:
    """A text, arguments, and thousands of calls."""
    stage = kit.stage(kit.world(kit.text("x" * 3 * MOST_CHARACTERS)))
    ended = stage.run()
    assert len(json.loads(ended.output)["text"]) == MOST_CHARACTERS
    assert stage.journal.steps[0].facts["characters_cut"] == 2 * MOST_CHARACTERS
    stage = kit.stage(kit.world(kit.calls(("look", {"what": "x" * 2 * MOST_CHARACTERS})), kit.text("Done.")))
    assert stage.run().status == "done"
    assert stage.kinds()[1][3] == "tool.bad_arguments"
    stage = kit.stage(kit.world(kit.calls(*[("look", {"what": "a"})] * 1000), kit.text("Done.")))
    assert stage.run().status == "done"
    assert (len(stage.doing.done), stage.journal.steps[0].facts["calls_dropped"]) == (MOST_CALLS, 1000 - MOST_CALLS)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"content": 7, "tool_calls": "none"},
        {"content": None, "tool_calls": [None, 3]},
        {"content": [{"type": "text"}]},
    ],
)
def test_answers_that_are_no_answers_count_as_empty(kit: Any, message: dict[str, Any]) -> None:
    """Whatever shape they have."""
    stage = kit.stage(kit.world({"message": message, "finish": "stop"}))
    assert stage.run().why == "model.empty"


def test_calls_without_a_function_are_mistakes(kit: Any) -> None:
    """An entry of no shape has no name."""
    broken = {
        "message": {"tool_calls": [{"id": 1}, {"function": {"name": None, "arguments": {"what": 1}}}]},
        "finish": "",
    }
    stage = kit.stage(kit.world(broken, kit.text("Done.")))
    assert stage.run().status == "done"
    assert [each[3] for each in stage.kinds() if each[0] == "tool"] == ["tool.unknown"] * 2


def test_a_refusal_ends_a_run_with_its_words(kit: Any) -> None:
    """It is no answer, but all there is."""
    stage = kit.stage(kit.world(kit.text("", refusal="I can't help with that.")))
    ended = stage.run()
    assert (ended.status, ended.why) == ("failed", "model.refused")
    assert json.loads(ended.output) == {"text": "I can't help with that."}


def test_a_cut_answer_is_told_as_limited(kit: Any) -> None:
    """With what was said."""
    stage = kit.stage(kit.world(kit.text("It is in", finish="length")))
    ended = stage.run()
    assert (ended.status, ended.why, json.loads(ended.output)) == ("limited", "model.cut", {"text": "It is in"})


def test_a_filtered_answer_fails(kit: Any) -> None:
    """The provider's filter is named as such."""
    stage = kit.stage(kit.world(kit.text("", finish="content_filter")))
    assert (stage.run().why, len(stage.journal.steps)) == ("model.filtered", 1)


def test_a_broken_input_fails_in_words(kit: Any) -> None:
    """Before anything is asked."""
    stage = kit.stage(kit.world(kit.text("Done.")), given=["no object"])
    ended = stage.run()
    assert (ended.status, ended.why, stage.world.bodies) == ("failed", "request.unreadable", [])
