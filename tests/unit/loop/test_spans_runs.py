"""Spans of runs say what happened, in the trace that the calls of the gateway stand in."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from perdure.core.traces import parse_traceparent, run_ids, run_traceparent
from perdure.core.usage import Usage
from perdure.loop.work.captured_calls import call_tables
from perdure.loop.work.spans import call_spans
from perdure.loop.work.spans_runs import run_spans
from perdure.stores.runs.protocols import Told
from perdure.testing.conformance.capture import call, run_told

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def made(event):
    return list(run_spans(Told(event.run, event.steps, event.waits)))


def test_a_run_is_a_span_with_one_below_it_for_each_tool():
    """Names and attributes are the conventions'; no text of anybody is in them."""
    run, tool = made(run_told(1))
    assert (run.name, run.kind, run.parent_id, run.error) == ("invoke_agent support", "internal", 0, "")
    assert (run.start_us, run.end_us) == (2_000_001, 5_000_001)
    assert dict(run.attributes) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "gen_ai.agent.version": "support@1",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "perdure.run": "run_000001",
        "perdure.run.status": "done",
        "perdure.run.steps": 2,
        "perdure.version": "support@1",
        "perdure.arm": "champion",
        "perdure.team": "help",
        "perdure.key": "k1",
        "perdure.cost_usd": pytest.approx(1.25e-6),
    }
    assert (tool.name, tool.trace_id, tool.parent_id) == ("execute_tool send_reply", run.trace_id, run.span_id)
    assert (tool.start_us, tool.end_us) == (2_000_001, 2_900_001)
    assert dict(tool.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "send_reply",
        "gen_ai.tool.call.id": "0.0",
        "gen_ai.tool.type": "function",
        "perdure.run": "run_000001",
        "perdure.step": 1,
        "perdure.step.state": "done",
    }


def test_the_gateway_s_span_of_a_chat_stands_below_the_run_s():
    """The run sends its own header along; the two are made apart, of different records."""
    event = run_told(1)
    chat = call(1)
    chat.tags = {"traceparent": run_traceparent(event.run)}
    tables = call_tables([chat])
    of_call = call_spans(tables["calls"], tables["attempts"], tables["guarded"], {})[0]
    run = made(event)[0]
    assert (of_call.trace_id, of_call.parent_id) == (run.trace_id, run.span_id)


def test_a_run_is_below_its_caller_s_span_and_one_below_a_run_below_that_run():
    above = run_told(1, trace=f"00-{TRACE}-{CALLER}-01").run
    below = run_told(2, trace=above.trace, parent=above.id, root=above.id, depth=1)
    assert run_ids(above)[0] == int(TRACE, 16)
    assert run_ids(above)[2] == int(CALLER, 16)
    first, second = made(run_told(1, trace=above.trace))[0], made(below)[0]
    assert (first.remote, second.remote) == (True, False)
    assert (second.trace_id, second.parent_id) == (first.trace_id, first.span_id)
    without = replace(below.run, trace="")
    assert run_ids(without)[:1] == run_ids(replace(above, trace=""))[:1], (
        "by the outermost run, where no caller has a trace"
    )


def test_a_caller_that_does_not_sample_gets_no_span_and_what_it_asks_for_is_told_so():
    event = run_told(1, trace=f"00-{TRACE}-{CALLER}-00")
    assert made(event) == []
    assert parse_traceparent(run_traceparent(event.run))[2] is False


def test_a_graph_is_a_workflow_and_its_nodes_are_spans():
    event = run_told(1, kind="graph", asset="triage")
    node = replace(event.steps[1], kind="node", node="node:classify", versions={"model:urgency": "urgency@1"}, n=2)
    run, _, computed = made(replace(event, steps=[*event.steps, node]))
    assert (run.name, run.attributes["gen_ai.workflow.name"]) == ("invoke_workflow triage", "triage")
    assert "gen_ai.agent.version" not in run.attributes
    assert (computed.name, computed.attributes["perdure.used"]) == ("node classify", ["model:urgency=urgency@1"])


def test_what_went_wrong_is_an_error_and_a_limit_or_a_person_s_no_is_none():
    """What nobody knows is an error too; an entry that another follows is no span."""
    event = run_told(1, status="limited", why="limit.usd", unpriced=True)
    chat, tool = event.steps
    states = {"begun": "", "waiting": "", "failed": "tool.timed_out", "refused": "tool.refused", "unknown": ""}
    steps = [replace(tool, n=n, state=state, error=error) for n, (state, error) in enumerate(states.items())]
    child = replace(tool, n=9, kind="child")
    run, *below = made(replace(event, steps=[*steps, child]))
    assert (run.error, run.attributes["error.type"], "perdure.cost_usd" in run.attributes) == ("", "limit.usd", False)
    assert [(each.error, each.attributes["error.type"]) for each in below] == [
        ("tool.timed_out", "tool.timed_out"),
        ("", "tool.refused"),
        ("unknown", "unknown"),
    ]
    assert made(replace(event, run=replace(event.run, status="failed", why="run.broken")))[0].error == "run.broken"
    unasked = replace(chat, facts={}, usage=Usage(n_input=7), node="route:support")
    (_, alone) = made(replace(event, steps=[unasked]))
    assert (alone.name, alone.attributes["gen_ai.usage.input_tokens"]) == ("chat support", 7)


def test_spans_that_are_made_again_are_the_same():
    assert made(run_told(1, n_tools=3)) == made(run_told(1, n_tools=3))
    ids = [span.span_id for number in (1, 2) for span in made(run_told(number, n_tools=3))]
    assert len(set(ids)) == len(ids)
