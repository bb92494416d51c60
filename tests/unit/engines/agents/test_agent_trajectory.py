"""Steps that a run could have done without, and what an answer may rest on."""

from __future__ import annotations

import json

import pytest

from perdure.core.runs import StepRecord
from perdure.engines.agents.grounding import answer_of, sources_of, told
from perdure.engines.agents.trajectory import trajectory_of
from perdure.engines.evals.evidence import look_up

ASKED, GAVE = b'{"task": "When does the museum open?"}', b'{"text": "The museum opens at nine, says the handbook."}'


def step(n, node, asked=None, gave=None, *, kind="tool", **more):
    """A step that is over, unless `more` says otherwise."""
    made = {"state": "done", **more}
    return StepRecord(
        run="r", n=n, kind=kind, node=node, call=str(n), input=json.dumps(asked or {}).encode(),
        output=b"" if gave is None else json.dumps(gave).encode(), **made,
    )  # fmt: skip


def test_the_same_call_that_gives_the_same_is_needless_and_one_that_gives_something_new_is_not():
    hours = {"text": "museum nine handbook"}
    steps = [step(0, "tool:search", {"q": "museum"}, hours), step(1, "tool:search", {"q": "museum"}, hours)]
    assert trajectory_of(steps, ASKED, GAVE).repeated == (1,)
    moving = [step(0, "tool:where", {"p": 1}, {"at": "nine"}), step(1, "tool:where", {"p": 1}, {"at": "handbook"})]
    assert trajectory_of(moving, ASKED, GAVE).needless == 0


def test_a_result_of_which_no_word_comes_up_again_is_unused():
    weather = {"forecast": "drizzle", "wind": "northeast", "pressure": 1013}
    steps = [
        step(0, "tool:weather", {"city": "Oslo"}, weather),
        step(1, "tool:search", {"q": "museum"}, {"text": "museum opens nine handbook"}),
        step(2, "prompt:a", {}, {"content": "The museum opens at nine."}, kind="chat"),
    ]
    found = trajectory_of(steps, ASKED, GAVE)
    assert found.unused == (0,)
    assert found.ratio == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("why", "made"),
    [
        ("it found nothing, which says something", {"gave": {"hits": []}}),
        ("it has too little of its own to tell", {"gave": {"ok": True}}),
        ("it changed something", {"gave": {"receipt": "drizzle northeast pressure"}, "key": "k1"}),
        ("it failed", {"gave": {"note": "drizzle northeast pressure"}, "state": "failed", "error": "tool.failed"}),
        ("it was refused", {"gave": {"note": "drizzle northeast pressure"}, "state": "refused"}),
    ],
)
def test_what_is_not_needless(why, made):
    assert trajectory_of([step(0, "tool:x", {"q": 1}, **made)], ASKED, GAVE).needless == 0, why


def test_a_number_that_is_rounded_in_the_answer_was_used():
    steps = [step(0, "tool:predict", {}, {"minutes": 151.36, "northeast": "drizzle pressure"})]
    assert trajectory_of(steps, ASKED, b'{"text": "It takes 151 minutes."}').unused == ()


def test_tools_that_were_not_to_be_called_are_wrong_where_somebody_said_which():
    steps = [step(0, "tool:weather", {}, {"a": 1}), step(1, "tool:search", {}, {"a": 1})]
    assert trajectory_of(steps, ASKED, GAVE, {"search"}).wrong == (0,)
    assert trajectory_of(steps, ASKED, GAVE).wrong == ()


def test_nothing_is_unused_where_no_output_is_kept():
    steps = [step(0, "tool:weather", {}, {"forecast": "drizzle northeast pressure"})]
    assert trajectory_of(steps, ASKED, b"").needless == 0


def test_an_answer_rests_on_what_tools_gave_a_text_at_a_time():
    """What two hits say together supports nothing."""
    hits = {"hits": [{"text": "The museum has 12 rooms."}, {"text": "The bridge opened in 1889."}]}
    sources = sources_of([step(0, "tool:search", {}, hits)], ASKED)
    assert sources[:2] == ["The museum has 12 rooms.", "The bridge opened in 1889."]
    [held, wrong] = look_up("The museum has 12 rooms. The museum has 13 rooms.", sources)
    assert (held.supported, wrong.supported) == (True, False)


def test_a_rounded_prediction_is_supported():
    sources = sources_of([step(0, "tool:predict", {}, {"prediction": 151.36, "unit": "minutes"})], ASKED)
    assert look_up("The prediction is 151 minutes.", sources)[0].supported


def test_failed_and_refused_steps_support_nothing():
    made = [
        step(0, "tool:a", {}, {"text": "It has 12 rooms."}, state=state) for state in ("failed", "refused", "begun")
    ]
    assert sources_of(made, b"") == []


@pytest.mark.parametrize("body", [b"", b"null", b"not json", b'{"text": 3}', b"[1, [2]]", b'{"a": {"b": null}}'])
def test_any_output_has_a_text(body):
    assert isinstance(answer_of(body), str)
    assert isinstance(told(body.decode(errors="replace")), str)
