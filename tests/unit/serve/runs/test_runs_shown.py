"""Runs, steps and questions as JSON."""

from __future__ import annotations

import json

from acting import chat_step, new_run
from msgspec.structs import replace

from perdure.core.runs import StepRecord, Wait, WaitAnswer
from perdure.serve.runs.showing import shown_run, shown_step, shown_wait


def test_a_run_is_shown_by_its_kind_with_what_it_took_and_without_what_says_nothing():
    run = replace(
        new_run(script=[]), ended_us=1_000_000, cost_pusd=2_500_000_000_000, n_tokens=7, user="ann", why="limit.steps"
    )
    shown = shown_run(run)
    assert (shown["agent"], shown["cost_usd"], shown["tokens"], shown["user"]) == ("desk", 2.5, 7, "ann")
    assert (shown["input"], shown["output"], shown["ended_at"]) == ({"script": []}, None, "1970-01-01T00:00:01Z")
    assert not {"parent", "replay_of", "tags", "text", "key"} & set(shown)
    json.dumps(shown)


def test_a_step_is_shown_with_its_values_and_an_unknown_price_as_null():
    step = replace(chat_step("0", pusd=None), output=b'{"content":"Yes"}', input=b"cut {", facts={"finish": "stop"})
    shown = shown_step(step)
    assert (shown["output"], shown["input"], shown["cost_usd"]) == ({"content": "Yes"}, "cut {", None)
    assert shown["usage"] == {"n_input": 10, "n_output": 0}
    assert not {"error", "text", "key"} & set(
        shown_step(StepRecord(run="r", n=0, kind="tool", state="begun", node="tool:a", call="0.0"))
    )


def test_a_question_is_shown_with_its_answer():
    wait = Wait(
        id="w", run="r", asset="desk", call="0.0", tool="send", question="approve", text="May it?", arguments=b'{"to":"a"}',
        role="boss", asked_us=1_000_000, answer=WaitAnswer(actor="anna", approves=True, reason="", at_us=2_000_000, value=b'{"to":"b"}'),
    )  # fmt: skip
    shown = shown_wait(wait)
    assert (shown["arguments"], shown["expires_at"]) == ({"to": "a"}, None)
    assert shown["answer"] == {
        "actor": "anna",
        "approves": True,
        "reason": "",
        "at": "1970-01-01T00:00:02Z",
        "value": {"to": "b"},
    }
    assert "answer" not in shown_wait(replace(wait, answer=None))
