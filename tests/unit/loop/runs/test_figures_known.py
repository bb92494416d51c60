"""Figures of runs in worlds where the right one is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perdure.assets.agent_objectives import run_s
from perdure.assets.graph import Graph, RuleNode
from perdure.assets.scorers import Exact
from perdure.core.runs import Replayed, RunRecord, StepRecord, Wait, WaitAnswer
from perdure.core.units import days
from perdure.engines.agents.trajectory import trajectory_of
from perdure.loop.work.runs.outcomes import Outcomes, calls_made, claims_in, driven_s, failed_calls, goodness_of
from perdure.loop.work.runs.reading import Seen
from perdure.loop.work.runs.watched import watched_run


def a_step(n: int, kind: str, node: str, gave: Any = None, **more: Any) -> StepRecord:
    told = {"state": "done", "call": str(n), "output": b"" if gave is None else json.dumps(gave).encode(), **more}
    return StepRecord(run="r", n=n, kind=kind, node=node, **told)


def a_run(kind: str = "agent", **more: Any) -> RunRecord:
    told = {"status": "done", "input": b'{"task": "How long?"}', **more}
    return RunRecord(id="r", kind=kind, asset="desk", version="desk@1", arm="champion", **told)


def test_a_call_of_which_nobody_knew_for_a_while_is_one_call_that_ended_as_was_found_out():
    """After a crash a person said that it happened: no call failed, and there was one."""
    steps = [
        a_step(0, "tool", "tool:send", call="0.0", state="begun"),
        a_step(1, "tool", "tool:send", call="0.0", state="unknown"),
        a_step(2, "tool", "tool:send", "sent", call="0.0"),
        a_step(3, "tool", "tool:pay", call="0.1", state="waiting"),
        a_step(4, "tool", "tool:pay", call="0.1", state="refused", error="tool.refused"),
        a_step(5, "tool", "tool:look", call="0.2", state="unknown"),
    ]
    assert failed_calls(steps) == [("send", False, ""), ("look", True, "")]
    assert [step.n for step in calls_made(steps)] == [2, 5]


def test_waits_that_were_open_at_once_are_one():
    """Three questions of ten seconds each: the run was driven for the other five."""
    answer = WaitAnswer(actor="ann", approves=True, reason="", at_us=11_000_001)
    waits = [
        Wait(
            id=str(n), run="r", asset="desk", call=str(n), tool="t", question="approve", text="", arguments=b"", role="",
            asked_us=1_000_001, answer=answer,
        )
        for n in range(3)
    ]  # fmt: skip
    assert driven_s(Seen(a_run(began_us=1, ended_us=15_000_001), (), waits)) == 5.0


FOUND = a_step(0, "node", "node:find", {"hits": [{"text": "A parcel takes 5 days."}]}, versions={"index:h": "h@1:2"})
COMPUTED = a_step(1, "node", "node:sum", {"value": "The fee of it is 12 euros."})


def a_graph(said: str, *nodes: StepRecord) -> tuple[RunRecord, list[StepRecord]]:
    """A graph that finds, computes, and has a prompt answer."""
    chat = a_step(2, "chat", "prompt:answer", {"role": "assistant", "content": said}, versions={"prompt:answer": "p@1"})
    node = a_step(3, "node", "node:answer", {"text": said}, versions={"prompt:answer": "p@1"})
    output = json.dumps({"text": said}).encode()
    return a_run("graph", output=output), [FOUND, COMPUTED, chat, node, *nodes]


def test_a_graph_s_answer_does_not_support_itself():
    """Neither the node of the prompt nor a rule or a function that passes its words on is a source of them."""
    said = "A parcel takes 99 days."
    for passed in ({"value": said}, {"text": f"Hello. {said}", "n": 1}, {"value": 99}):
        passes = a_step(4, "node", "node:told", passed)
        assert [claim.supported for claim in claims_in(*a_graph(said, passes))] == [False]


def test_what_nodes_found_and_computed_supports_a_graph_s_answer():
    """Also where the answer says it word by word."""
    for said in ("A parcel takes 5 days.", "The fee of it is 12 euros."):
        passes = a_step(4, "node", "node:told", {"value": said})
        assert [claim.supported for claim in claims_in(*a_graph(said, passes))] == [True]


def test_a_step_that_stands_in_two_entries_is_one_step():
    """A call of another agent has the entry of its run beside it, a node that asks a prompt or a tool the entry of what it asked."""
    called = [
        a_step(0, "chat", "prompt:p"),
        a_step(1, "child", "agent:helper", call="0.0"),
        a_step(2, "tool", "tool:ask_helper", "x", call="0.0", input=b"{}"),
        a_step(3, "tool", "tool:ask_helper", "x", call="0.1", input=b"{}"),
    ]
    assert (trajectory_of(called, b"", b"").n_steps, trajectory_of(called, b"", b"").ratio) == (3, 1 / 3)
    graph = [
        a_step(0, "chat", "prompt:p", call="sort"),
        a_step(1, "chat", "prompt:p", call="sort+1"),
        a_step(2, "node", "node:sort", call="sort"),
        a_step(3, "tool", "tool:track", call="found"),
        a_step(4, "node", "node:found", call="found"),
        a_step(5, "node", "node:told", call="told"),
    ]
    assert trajectory_of(graph, b"", b"").n_steps == 4


def test_what_is_expected_of_a_graph_s_run_is_what_its_scorers_compare_with():
    """Its input is its own, so a tag says it."""
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    graph = Graph(
        "desk", input=schema, nodes=[RuleNode("told", [], otherwise="x")], output="$told.value", success=[Exact()]
    )
    outcomes = Outcomes.of(watched_run(graph))
    for said, found in (("in Bern", 1.0), ("in Basel", 0.0)):
        run = a_run("graph", output=json.dumps({"text": said}).encode(), tags={"expected": '"in Bern"'})
        assert outcomes.scored(run, (), {"text": "Where?"}) == found


HITS = {"hits": [{"text": "The parcel centre opens at nine every morning"}]}


@pytest.mark.parametrize("said", ["Das Paketzentrum ist ab neun Uhr offen.", "Yes, it does.", "9 Uhr"])
def test_an_answer_in_other_words_rests_on_what_was_found_all_the_same(said):
    """Where no result comes up again, nothing says which was of no use; where another does, something does."""
    search = a_step(0, "tool", "tool:search", HITS, input=b'{"query": "hours"}')
    assert trajectory_of([search], b'{"task": "When?"}', json.dumps({"text": said}).encode()).unused == ()
    other = a_step(1, "tool", "tool:weather", {"sky": "rain", "wind": "strong", "place": "Graz"}, input=b"{}")
    both = json.dumps({"text": "The centre opens at nine."}).encode()
    assert trajectory_of([search, other], b'{"task": "When?"}', both).unused == (1,)


def test_scripts_without_spaces_are_read_by_pairs_of_letters():
    """A part of a sentence is a use of it."""
    found = {
        "hits": [
            {
                "text": "\u822a\u73ed\u5ef6\u8bef\u4e86\u4e24\u4e2a\u5c0f\u65f6\uff0c\u767b\u673a\u53e3\u6539\u4e3a\u4e8c\u53f7"
            }
        ]
    }
    steps = [
        a_step(0, "tool", "tool:search", found, input=b"{}"),
        a_step(1, "tool", "tool:gate", {"gate": "terminal north"}, input=b"{}"),
    ]
    said = json.dumps({"text": "\u60a8\u7684\u822a\u73ed\u5ef6\u8bef\u4e86\u3002 Terminal north."}).encode()
    assert trajectory_of(steps, b"{}", said).unused == ()


def test_a_replay_takes_what_the_run_took_but_for_what_changed():
    """Its steps ran side by side, and a node's entry holds what its prompt took: neither makes a replay that changed nothing slower."""
    began = 1_700_000_000_000_000
    steps = [
        a_step(0, "chat", "prompt:p", call="a", began_us=began, took_us=2_000_000),
        a_step(1, "node", "node:a", call="a", began_us=began, took_us=2_000_000),
        a_step(2, "node", "node:b", call="b", began_us=began, took_us=2_000_000),
    ]
    seen = Seen(a_run("graph", began_us=began, ended_us=began + 2_500_000), steps)
    graph = Graph("desk", input={"type": "object"}, nodes=[RuleNode("told", [], otherwise="x")], output="$told.value")
    judged = goodness_of(watched_run(graph), run_s(quantile=0.5, over=days(1)) <= 3.0)
    assert judged.of(seen) == 1.0
    assert judged.replayed(seen, Replayed(run=seen.run, steps=tuple(steps))) == 1.0
    slower = [*steps[:2], a_step(2, "node", "node:b", call="b", began_us=began, took_us=4_000_000)]
    assert judged.replayed(seen, Replayed(run=seen.run, steps=tuple(slower))) == 0.0
