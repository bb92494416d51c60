"""Runs of graphs: in order, side by side, with conditions, lists, fallbacks, caches, limits; whatever goes wrong is told."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace

import msgspec
import pytest
from pydantic import BaseModel

from perdure.assets.agent import RunLimits
from perdure.assets.graph import (
    AgentNode,
    FeaturesNode,
    Graph,
    PredictNode,
    PromptNode,
    PythonNode,
    RuleNode,
    SearchNode,
    ToolNode,
)
from perdure.assets.prompt import Prompt
from perdure.assets.team import Team
from perdure.assets.tools import McpTools, ToolCall, ToolTerms, tool
from perdure.assets.version import Version
from perdure.core.clock import EPOCH, sleep_s
from perdure.core.errors import BadGraph, LostLease, StoreFull, UpstreamTimedOut
from perdure.core.runs import WaitAnswer
from perdure.core.units import minutes, seconds
from perdure.serve.graphs.loading import GraphLoader
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.journaling import InMemory
from perdure.serve.runs.protocols import ToolGave

ASKED = {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}, "required": ["text"]}


class Sorted(BaseModel):
    kind: str
    urgent: bool


def shout(text: str) -> str:
    return text.upper()


def apology(text: str) -> dict[str, str]:
    return {"text": f"Sorry about {text}"}


def broken(text: str) -> str:
    raise ValueError(text)


def hangs(text: str) -> str:
    sleep_s(0.4)
    return text


def huge(text: str) -> str:
    return text * 2_000_000


def liar(text: str) -> int:
    return text  # type: ignore[return-value]


def is_own(call: ToolCall, text: str) -> str:
    return call.run


@tool(effect="once")
def send(text: str) -> dict[str, bool]:
    """Send it."""
    raise AssertionError("the bench's toolbox is called")


def output_of(ended):
    return json.loads(ended.output)


def test_a_node_gets_what_others_gave_and_each_is_written_down_with_its_input_and_versions(bench, world):
    graph = Graph("desk", ASKED, [
        PromptNode("answer", "reply", variables={"question": "$input.text", "hits": "$found.hits"}),
        SearchNode("found", "handbook", query="$input.text", k=2),
    ], output={"answer": "$answer.text", "generation": "$found.generation"})  # fmt: skip
    desk = bench(
        graph, world({"reply": lambda body: f"{body['variables']['question']}: {len(body['variables']['hits'])}"})
    )

    ended = desk.run({"text": "Why?"})

    assert (ended.status, output_of(ended)) == ("done", {"answer": "Why?: 2", "generation": 7})
    assert desk.computed() == ["found", "answer"]
    answer = next(step for step in desk.steps if step.node == "node:answer")
    assert json.loads(answer.input)["question"] == "Why?"
    assert (answer.version, answer.versions["route:r"], answer.facts["digest"][:2] != "") == ("reply@1", "r@1", True)
    found = next(step for step in desk.steps if step.node == "node:found")
    assert found.versions == {"index:handbook": "handbook@1:7"}


def test_what_a_node_cost_is_counted_once(bench, world):
    desk = bench(Graph("g", ASKED, [PromptNode("a", "reply")], output="$a"), world({"reply": lambda body: "yes"}))

    desk.run({"text": ""})

    assert [(step.kind, step.cost_pusd) for step in desk.steps] == [("chat", 1_000), ("node", 0)]


def test_nodes_that_need_nothing_of_each_other_run_side_by_side(bench, world):
    together = threading.Barrier(3, timeout=5)

    def meets(body):
        async def met():
            await asyncio.to_thread(together.wait)
            return "here"

        return met()

    nodes = [PromptNode(name, "reply") for name in ("a", "b", "c")]
    desk = bench(Graph("g", ASKED, nodes, output=["$a", "$b"]), world({"reply": meets}))  # type: ignore[arg-type]

    assert desk.run({"text": ""}).status == "done"


def test_every_kind_of_node_gives_what_it_says(bench, world):
    class View:
        key = ("origin", "hour")

    graph = Graph("g", ASKED, [
        PredictNode("time", "air_time", row={"miles": "$input.n"}, explain=True),
        FeaturesNode("wind", "weather", key={"origin": "EWR", "hour": 7}),
        AgentNode("helper", "support", input={"task": "$input.text"}),
        ToolNode("sent", send, arguments={"text": "$input.text"}),
        RuleNode("rule", [("$input.n > 5", "many"), ("$input.n > 1", {"some": "$input.n"})], otherwise="none"),
        PythonNode("loud", shout, inputs={"text": "$input.text"}),
        PythonNode("own", is_own, inputs={"text": "$input.text"}),
    ], output={"t": "$time", "w": "$wind", "h": "$helper.text", "s": "$sent.sent", "r": "$rule.value", "l": "$loud.value",
               "o": "$own.value", "why": "$time.contributions[0].feature"})  # fmt: skip
    desk = bench(graph, views={"weather": View})

    found = output_of(desk.run({"text": "hi", "n": 3}))

    assert found == {
        "t": {"prediction": 2.5, "status": {},
              "contributions": [{"feature": "b", "adds": -3.0}, {"feature": "a", "adds": 1.0}]},
        "w": {"gust": 9.0, "status": "fresh"},
        "h": "done it", "s": True, "r": {"some": 3}, "l": "HI", "o": "run_1", "why": "b",
    }  # fmt: skip
    assert ("weather", ["EWR\x1f7"]) in desk.world.asked
    assert desk.toolbox.calls == [{"text": "hi"}]


def test_a_condition_that_is_false_skips_a_node_which_then_gives_null(bench):
    graph = Graph("g", ASKED, [
        PythonNode("loud", shout, inputs={"text": "$input.text"}, when="$input.n > 5"),
        RuleNode("either", [("$loud", "$loud.value")], otherwise="quiet"),
    ], output="$either.value")  # fmt: skip

    assert output_of(bench(graph).run({"text": "a", "n": 1})) == "quiet"
    assert output_of(bench(graph).run({"text": "a", "n": 6})) == "A"


def test_a_list_is_computed_over_so_many_at_a_time_and_its_order_stays(bench, world):
    going, most = [], []

    def answers(body):
        async def slow():
            going.append(1)
            most.append(len(going))
            await asyncio.sleep(0.001)
            going.pop()
            return body["variables"]["item"]

        return slow()

    graph = Graph("g", {"type": "object"}, [
        PromptNode("all", "reply", variables={"item": "$each.name"}, each="$input.items", side_by_side=3)
    ], output="$all")  # fmt: skip
    desk = bench(graph, world({"reply": answers}))

    found = output_of(desk.run({"items": [{"name": f"n{n}"} for n in range(10)]}))

    assert found == [{"text": f"n{n}"} for n in range(10)]
    assert max(most) == 3
    assert desk.computed()[-1] == "all"


def test_a_node_that_fails_is_stood_in_for_and_the_journal_tells(bench, world):
    graph = Graph("g", ASKED, [
        PromptNode("answer", "reply", fallback="sorry"),
        PythonNode("sorry", apology, inputs={"text": "$input.text"}, only_as_fallback=True),
    ], output="$answer.text")  # fmt: skip
    desk = bench(graph, world({"reply": lambda body: UpstreamTimedOut("no answer")}))

    ended = desk.run({"text": "the delay"})

    assert (ended.status, output_of(ended)) == ("done", "Sorry about the delay")
    failed = next(step for step in desk.steps if step.state == "failed")
    assert (failed.node, failed.error, failed.facts["fallback"]) == ("node:answer", "upstream.timed_out", "sorry")
    assert [name for name, _ in desk.world.asked] == ["reply", "reply"], "tried twice, for it failed for now"


def test_a_fallback_is_not_computed_where_nothing_fails(bench, world):
    graph = Graph("g", ASKED, [
        PromptNode("answer", "reply", fallback="sorry"),
        PythonNode("sorry", apology, inputs={"text": "$input.text"}, only_as_fallback=True),
    ], output="$answer.text")  # fmt: skip
    desk = bench(graph, world({"reply": lambda body: "fine"}))

    desk.run({"text": ""})

    assert desk.computed() == ["answer"]


@pytest.mark.parametrize(
    ("function", "code"),
    [(broken, "node.failed"), (huge, "node.too_large"), (liar, "node.wrong_type"), (hangs, "node.timed_out")],
)
def test_a_function_that_misbehaves_ends_the_run_with_the_node_named(bench, function, code):
    node = PythonNode("bad", function, inputs={"text": "$input.text"}, timeout=seconds(0.05), tries=1)
    desk = bench(Graph("g", ASKED, [node], output="$bad"))

    ended = desk.run({"text": "abc"})

    assert (ended.status, ended.why) == ("failed", code)
    assert "'bad'" in ended.text
    assert [step.state for step in desk.steps] == ["failed"]


def test_a_fallback_that_fails_too_is_told_with_what_it_stood_in_for(bench):
    graph = Graph("g", ASKED, [
        PythonNode("first", broken, inputs={"text": "$input.text"}, fallback="second"),
        PythonNode("second", broken, inputs={"text": "$input.text"}, only_as_fallback=True),
    ], output="$first")  # fmt: skip

    ended = bench(graph).run({"text": "x"})

    assert ended.status == "failed"
    assert "'first'" in ended.text
    assert "'second'" in ended.text


def test_what_a_prompt_must_give_is_read_and_asked_for_again_where_it_is_wrong(bench, world):
    said = iter(["not json", '{"kind": 3}', '```json\n{"kind": "question", "urgent": true}\n```'])
    prompt = Prompt("sort", [("user", "{{ text }}")], route="r", variables={"text": str}, output=Sorted)
    graph = Graph("g", ASKED, [PromptNode("sorted", "sort", variables={"text": "$input.text"})], output="$sorted.kind")
    desk = bench(graph, world({"sort": lambda body: next(said)}), prompts={"sort": prompt})

    ended = desk.run({"text": "?"})

    assert output_of(ended) == "question"
    last = desk.world.asked[-1][1]["messages"]
    assert [each["role"] for each in last] == ["assistant", "user", "assistant", "user"]
    assert "no JSON" in last[1]["content"]
    assert sum(step.kind == "chat" for step in desk.steps) == 3


def test_a_prompt_that_never_gives_what_it_must_is_given_up(bench, world):
    prompt = Prompt("sort", [("user", "x")], route="r", output=Sorted)
    graph = Graph("g", ASKED, [PromptNode("sorted", "sort")], output="$sorted.kind")
    desk = bench(graph, world({"sort": lambda body: "no"}), prompts={"sort": prompt})

    ended = desk.run({"text": "?"})

    assert (ended.status, ended.why, len(desk.world.asked)) == ("failed", "node.bad_output", 3)


def test_a_cache_gives_again_until_a_release_or_another_team_or_its_time(bench, world):
    graph = Graph("g", ASKED, [PromptNode("a", "reply", cache=minutes(5))], output="$a.text")
    desk = bench(graph, world({"reply": lambda body: "yes"}))

    def asked(**more) -> int:
        desk.forget()
        before = len(desk.world.asked)
        assert output_of(desk.run({"text": "x"}, **more)) == "yes"
        return len(desk.world.asked) - before

    assert [asked(), asked()] == [1, 0]
    assert desk.steps[-1].facts["cached"]
    assert desk.steps[-1].versions["prompt:reply"] == "reply@1"
    assert asked(caller=Caller("k", Team("other"))) == 1
    desk.force = 2
    assert [asked(), asked()] == [1, 0]


def test_a_cache_is_over_when_its_time_is(bench, world):
    graph = Graph("g", ASKED, [PromptNode("a", "reply", cache=seconds(0.01))], output="$a.text")
    desk = bench(graph, world({"reply": lambda body: "yes"}))
    desk.run({"text": "x"})
    desk.forget()
    sleep_s(0.02)

    desk.run({"text": "x"})

    assert len(desk.world.asked) == 2


def test_a_limit_ends_the_run_with_what_it_has(bench, world):
    graph = Graph("g", ASKED, [
        PromptNode("a", "reply"), PromptNode("b", "reply", after=["a"]), PromptNode("c", "reply", after=["b"]),
    ], output={"a": "$a.text", "c": "$c.text"}, limits=RunLimits(steps=2))  # fmt: skip
    desk = bench(graph, world({"reply": lambda body: "yes"}))

    ended = desk.run({"text": "x"})

    assert (ended.status, ended.why, output_of(ended)) == ("limited", "limit.steps", {"a": "yes", "c": None})


def test_a_run_that_took_its_last_step_goes_on_as_long_as_it_needs_no_other(bench, world, dying, killed):
    graph = Graph("g", ASKED, [
        PromptNode("a", "reply"), PythonNode("b", shout, inputs={"text": "$a.text"}),
    ], output="$b.value", limits=RunLimits(steps=1))  # fmt: skip
    desk = bench(graph, world({"reply": lambda body: "yes"}))

    with pytest.raises(killed):
        desk.run({"text": "x"}, keeps=dying(1))
    assert [step.kind for step in desk.steps] == ["chat"]
    ended = desk.run({"text": "x"})

    assert (ended.status, output_of(ended), len(desk.world.asked)) == ("done", "YES", 1)


def test_a_model_that_hangs_is_ended_by_the_time_of_the_run(bench, world):
    async def never():
        await asyncio.sleep(60)

    graph = Graph("g", ASKED, [PromptNode("a", "reply")], output="$a", limits=RunLimits(wall=seconds(0.05)))
    ended = bench(graph, world({"reply": lambda body: never()})).run({"text": "x"})

    assert (ended.status, ended.why) == ("limited", "limit.wall")


def test_a_run_waits_for_a_person_only_when_nothing_else_can_go_on(bench, world, toolbox):
    graph = Graph("g", ASKED, [
        ToolNode("sent", send, arguments={"text": "$input.text"}),
        PromptNode("a", "reply"), PromptNode("b", "reply", after=["a"]),
        PythonNode("end", shout, inputs={"text": "$b.text"}, after=["sent"]),
    ], output={"end": "$end.value", "sent": "$sent.sent"})  # fmt: skip
    box = toolbox(terms=ToolTerms(effect="once", approve_by="on_call"))
    desk = bench(graph, world({"reply": lambda body: "yes"}), box)

    assert desk.run({"text": "x"}).status == "waiting"
    assert desk.computed() == ["a", "b"]
    assert box.calls == []

    answer = WaitAnswer(actor="ann", approves=True, reason="", at_us=1)
    desk.waits = [msgspec.structs.replace(each, answer=answer) for each in desk.waits]
    ended = desk.run({"text": "x"})

    assert output_of(ended) == {"end": "YES", "sent": True}
    assert (len(box.calls), len(desk.world.asked)) == (1, 2)


def test_a_no_of_a_person_fails_the_node_and_its_fallback_stands_in(bench, world, toolbox):
    graph = Graph("g", ASKED, [
        ToolNode("sent", send, arguments={"text": "$input.text"}, fallback="sorry"),
        PythonNode("sorry", apology, inputs={"text": "$input.text"}, only_as_fallback=True),
    ], output="$sent")  # fmt: skip
    desk = bench(graph, toolbox=toolbox(terms=ToolTerms(effect="once", approve_by="on_call")))
    desk.run({"text": "x"})
    no = WaitAnswer(actor="ann", approves=False, reason="not now", at_us=1)
    desk.waits = [msgspec.structs.replace(each, answer=no) for each in desk.waits]

    ended = desk.run({"text": "x"})

    assert output_of(ended) == {"text": "Sorry about x"}
    assert desk.toolbox.calls == []


def test_a_tool_that_fails_ends_the_run_with_its_code(bench, toolbox):
    graph = Graph("g", ASKED, [ToolNode("sent", send, arguments={"text": "$input.text"})], output="$sent")
    box = toolbox(terms=ToolTerms(), gives=lambda arguments: ToolGave(b"", "It broke.", "tool.failed"))

    ended = bench(graph, toolbox=box).run({"text": "x"})

    assert (ended.status, ended.why) == ("failed", "tool.failed")


def test_an_effect_that_is_under_way_is_not_let_go_of_when_another_node_fails(bench, toolbox):
    graph = Graph("g", ASKED, [
        ToolNode("sent", send, arguments={"text": "$input.text"}),
        PythonNode("bad", broken, inputs={"text": "$input.text"}),
    ], output="$bad")  # fmt: skip
    box = toolbox()
    slow = box.call

    async def call(asked, context):
        await asyncio.sleep(0.1)
        return await slow(asked, context)

    box.call = call
    desk = bench(graph, toolbox=box)

    ended = desk.run({"text": "x"})

    assert ended.status == "failed"
    assert [step.state for step in desk.steps if step.kind == "tool"] == ["begun", "done"]


def test_an_agent_that_did_not_get_to_its_end_fails_its_node(bench, world):
    graph = Graph("g", ASKED, [AgentNode("helper", "support")], output="$helper")
    ended = bench(graph, world(child_status="limited")).run({"text": "x"})

    assert (ended.status, ended.why) == ("failed", "limit.steps")


@pytest.mark.parametrize("given", [{}, {"text": 3}, []])
def test_an_input_that_the_graph_does_not_take_fails_before_anything_is_computed(bench, given):
    desk = bench(Graph("g", ASKED, [PythonNode("a", shout, inputs={"text": "$input.text"})], output="$a"))

    ended = desk.run(given)

    assert (ended.status, ended.why, desk.steps) == ("failed", "declaration.graph", [])


def test_a_list_that_is_none_or_too_long_fails_its_node(bench):
    graph = Graph("g", {"type": "object"}, [PythonNode("a", shout, inputs={"text": "$each"}, each="$input.items")],
                  output="$a")  # fmt: skip

    assert bench(graph).run({"items": "abc"}).why == "node.bad_input"
    assert bench(graph).run({"items": ["x"] * 1001}).why == "node.too_many"
    assert output_of(bench(graph).run({"items": []})) == []
    assert output_of(bench(graph).run({})) is None


@pytest.mark.parametrize("error", [LostLease("gone"), StoreFull("full")])
def test_a_journal_that_cannot_be_written_ends_the_drive_and_not_the_run(bench, error):
    class Full(InMemory):
        async def keep(self, journal, entry):
            raise error

    desk = bench(Graph("g", ASKED, [PythonNode("a", shout, inputs={"text": "$input.text"})], output="$a"))

    with pytest.raises(type(error)):
        desk.run({"text": "x"}, keeps=Full())


def test_a_replay_without_a_swap_asks_nothing_and_differs_nowhere(bench, world):
    graph = Graph("g", ASKED, [
        PromptNode("a", "reply", variables={"text": "$input.text"}),
        SearchNode("found", "handbook", query="$a.text", k=2),
        PythonNode("loud", shout, inputs={"text": "$each.text"}, each="$found.hits"),
        ToolNode("sent", send, arguments={"text": "$a.text"}),
        AgentNode("helper", "support", input={"task": "$a.text"}),
    ], output={"loud": "$loud", "sent": "$sent", "helper": "$helper"})  # fmt: skip
    desk = bench(graph, world({"reply": lambda body: "yes"}))
    ended = desk.run({"text": "x"})
    n_asked, n_sent = len(desk.world.asked), len(desk.toolbox.calls)

    again = desk.replayed({"text": "x"})

    assert (again.run.status, again.run.output, again.diverged_at) == ("done", ended.output, -1)
    assert (len(desk.world.asked), len(desk.toolbox.calls)) == (n_asked, n_sent)


@pytest.mark.parametrize(
    ("swaps", "asked", "output"),
    [
        ({"prompt:reply": "reply@2"}, ["reply", "handbook"], 2),
        ({"index:handbook": "handbook@2:9"}, ["handbook"], 2),
        ({"node:found": "live"}, ["handbook"], 2),
        ({"node:found": '{"hits": []}'}, [], 0),
        ({"node:a": '{"text": "yes"}'}, [], 2),
        ({"node:loud": '[{"value": "Z"}]'}, [], 1),
    ],
)
def test_a_replay_with_a_swap_asks_anew_only_what_it_changes(bench, world, swaps, asked, output):
    graph = Graph("g", ASKED, [
        PromptNode("a", "reply", variables={"text": "$input.text"}),
        SearchNode("found", "handbook", query="$a.text", k=2),
        PythonNode("loud", shout, inputs={"text": "$each.text"}, each="$found.hits"),
    ], output="$loud")  # fmt: skip
    said = iter(["yes", "no"])
    desk = bench(graph, world({"reply": lambda body: next(said)}))
    desk.run({"text": "x"})
    before = len(desk.world.asked)

    again = desk.replayed({"text": "x"}, swaps)

    assert [name for name, _ in desk.world.asked[before:]] == asked
    assert len(json.loads(again.run.output)) == output


def test_a_version_of_other_code_is_not_served(bench):
    graph = Graph("g", ASKED, [PythonNode("a", shout, inputs={"text": "$input.text"})], output="$a")
    desk = bench(graph)
    assert desk.live().plan.order == ["a"]

    other = Graph("g", ASKED, [PythonNode("a", broken, inputs={"text": "$input.text"})], output="$a")

    version = Version("g@1", "g", "graph", graph.definition(), {}, {}, {}, EPOCH)
    with pytest.raises(BadGraph, match="does not declare any more"):
        GraphLoader({"g": other}).load(version, trusted=True)
    told = json.loads(json.dumps(graph.definition()))
    told["nodes"][0]["code"] = "0" * 64
    with pytest.raises(BadGraph, match="other code"):
        GraphLoader({"g": graph}).load(replace(version, definition=told), trusted=True)


def test_two_nodes_call_two_tools_of_one_server(bench, toolbox):
    files = [McpTools("files", command=("x",), only=(name,)) for name in ("read", "list")]
    graph = Graph("g", ASKED, [ToolNode("a", files[0]), ToolNode("b", files[1])], output={"a": "$a", "b": "$b"})
    desk = bench(graph, toolbox=toolbox("files_read", ToolTerms(), lambda arguments: ToolGave(b"1", "1")))

    ended = desk.run({"text": "x"})

    assert len(desk.live().tools) == 2
    assert [step.node for step in desk.steps if step.kind == "tool"] == ["tool:files_read", "tool:files_list"]
    assert output_of(ended) == {"a": {"value": 1}, "b": {"value": 1}}
