"""Bodies and queries of runs: read, bounded, put where they belong."""

from __future__ import annotations

import json

import pytest

from perdure.core.errors import BadRequest
from perdure.core.runs import RunRecord, Wait, WaitAnswer
from perdure.serve.runs.as_models import content_of, failure_of, finish_of
from perdure.serve.runs.asking import (
    RunBody,
    agent_input,
    graph_input,
    idempotency_of,
    read_answer,
    read_run,
    tags_of,
    wanted_of,
)
from perdure.stores.runs.protocols import Told

TEXTS = {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]}


def test_what_an_agent_is_asked_is_kept_as_it_was_said():
    body = read_run(b'{"task": "Go.", "input": {"tone": "dry"}, "messages": [{"role": "user"}], "expected": 7}')
    assert agent_input(body) == {
        "task": "Go.", "input": {"tone": "dry"}, "messages": [{"role": "user"}], "expected": 7
    }  # fmt: skip
    assert tags_of(body, "agent") == {}
    assert tags_of(body, "graph") == {"expected": "7"}


@pytest.mark.parametrize("body", [RunBody(), RunBody(task="  "), RunBody(input={})])
def test_an_agent_has_to_be_asked_something(body):
    with pytest.raises(BadRequest, match="Nothing is asked"):
        agent_input(body)


def test_words_for_a_graph_go_where_there_is_one_place_for_them():
    assert graph_input(RunBody(task="x", input={"a": "1"}), TEXTS) == {"a": "1", "b": "x"}
    assert graph_input(RunBody(task="x"), {"properties": {"task": {"type": "string"}}}) == {"task": "x"}
    assert graph_input(RunBody(input={"a": "1"}), TEXTS) == {"a": "1"}
    with_messages = {"properties": {"messages": {"type": "array"}}}
    assert graph_input(RunBody(messages=[{"role": "user"}]), with_messages) == {"messages": [{"role": "user"}]}
    for body, schema in (
        (RunBody(task="x"), TEXTS),
        (RunBody(task="x"), {}),
        (RunBody(task="x", input={"task": "y"}), {"properties": {"task": {"type": "string"}}}),
    ):
        with pytest.raises(BadRequest, match="no one place"):
            graph_input(body, schema)


@pytest.mark.parametrize("key", ["x" * 600, "caf\u00e9", "a\tb", "child:run_1:0"])
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(BadRequest, match="Idempotency-Key"):
        idempotency_of({b"idempotency-key": key.encode("latin-1")})


def test_a_key_is_taken_without_spaces_around_it():
    assert idempotency_of({b"idempotency-key": b" order 7 "}) == "order 7"
    assert idempotency_of({}) == ""


def test_a_list_is_asked_for_by_its_query():
    wanted = wanted_of(b"graph=desk&status=done,failed&before=run_9&limit=200", "shop")
    assert (wanted.asset, list(wanted.kinds), list(wanted.statuses)) == ("desk", ["graph"], ["done", "failed"])
    assert (wanted.before, wanted.limit, wanted.team) == ("run_9", 200, "shop")
    assert wanted_of(b"", None).asset == ""


def test_an_answer_needs_a_reason():
    assert read_answer(b'{"approve": false, "reason": "No."}').approve is False
    with pytest.raises(BadRequest, match="reason"):
        read_answer(b'{"approve": true, "reason": ""}')


def run(status: str, output: object = None, why: str = "", text: str = "") -> RunRecord:
    data = b"" if output is None else json.dumps(output).encode()
    return RunRecord(
        id="run_1", kind="agent", asset="desk", version="desk@1", arm="champion", status=status, input=b"{}", output=data,
        why=why, text=text,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("output", "said"), [({"text": "Hi."}, "Hi."), ("Hi.", "Hi."), ({"n": 1}, '{"n":1}'), ({"text": 1}, '{"text":1}'), ([1], "[1]")]
)  # fmt: skip
def test_what_a_run_gives_is_said_as_text_or_as_json(output, said):
    assert content_of(Told(run("done", output), (), ())) == said


def test_a_run_with_no_answer_says_why():
    told = Told(run("limited", None, "limit.steps", "It took 20 steps."), (), ())
    assert (content_of(told), finish_of(told.run)) == ("It took 20 steps.", "length")
    answer = WaitAnswer(actor="ann", approves=True, reason="So.", at_us=1)
    members = {"run": "run_1", "asset": "desk", "call": "0.0", "tool": "t", "question": "approve", "arguments": b"{}", "role": "r", "asked_us": 1}  # fmt: skip
    waits = (Wait(id="w1", text="May I?", answer=answer, **members), Wait(id="w2", text="May I pay?", **members))
    said = content_of(Told(run("waiting"), (), waits))
    assert "May I pay?" in said
    assert "May I?" not in said, "that was answered"
    assert "run_1" in said
    assert "GET /v1/runs/run_1" in content_of(Told(run("running"), (), ()))


@pytest.mark.parametrize(
    ("why", "status"), [("budget_spent", 429), ("unauthorized", 401), ("blocked", 400), ("agent.failed", 502), ("upstream.timed_out", 504)]
)  # fmt: skip
def test_a_run_that_failed_is_an_error_of_its_own_kind(why, status):
    error = failure_of(run("failed", why=why, text="No."))
    assert error is not None
    assert error.status == status
    assert failure_of(run("done", {"text": ""})) is None
    assert failure_of(run("cancelled", why="run.cancelled")).code == "refused.cancelled"
