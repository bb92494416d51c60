"""Random graphs: every node once, none before what it needs; a process that dies anywhere changes nothing that a run gives."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.assets.agent import RunLimits
from perdure.assets.graph import Graph, PromptNode, RuleNode, ToolNode
from perdure.assets.tools import ToolTerms, tool
from perdure.engines.graphs.compiled import compile_graph
from perdure.engines.graphs.planning import plan_graph
from perdure.serve.runs.protocols import ToolGave

ASKED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@tool(effect="keyed")
def add(total: int) -> dict[str, int]:
    """Add."""
    raise AssertionError("the bench's toolbox is called")


def _terms(draw, place):
    return {
        "when": f"$input.n > {draw(st.integers(0, 4))}" if draw(st.booleans()) else "",
        "fallback": "spare" if draw(st.booleans()) else "",
        "after": draw(st.lists(st.sampled_from([f"n{n}" for n in range(place)]), max_size=1)) if place else (),
    }


@st.composite
def graphs(draw):
    """Up to nine nodes that read any of those before them; some fail, some are skipped, some change something."""
    n_nodes, nodes = draw(st.integers(1, 9)), []
    for place in range(n_nodes):
        read = draw(st.lists(st.sampled_from([f"$n{n}" for n in range(place)]), max_size=3)) if place else []
        terms = _terms(draw, place)
        name = f"n{place}"
        kind = draw(st.sampled_from(["prompt", "rule", "tool", "list"]))
        if kind == "tool":
            nodes.append(ToolNode(name, add, arguments={"place": place, "read": read}, **terms))
        elif kind == "rule":
            nodes.append(RuleNode(name, [("$input.n > 2", read)], otherwise=place, **terms))
        elif kind == "list":
            own = {"place": place, "item": "$each"}
            nodes.append(PromptNode(name, "reply", variables=own, each="$input.items", side_by_side=2, **terms))
        else:
            fails = draw(st.integers(0, 4)) == 0 and bool(terms["fallback"])
            nodes.append(PromptNode(name, "fails" if fails else "reply", variables={"read": read}, **terms))
    nodes.append(RuleNode("spare", [], otherwise="spare", only_as_fallback=True))
    output = {f"n{n}": f"$n{n}" for n in range(n_nodes)}
    return Graph("g", ASKED, draw(st.permutations(nodes)), output=output, limits=RunLimits(steps=1000))


def _desk(bench, world, toolbox, graph):
    def reply(body):
        return json.dumps(body["variables"], sort_keys=True)

    done = []

    def adds(arguments):
        done.append(arguments["place"])
        return ToolGave(json.dumps({"added": arguments["place"]}).encode(), "added")

    box = toolbox("add", ToolTerms(effect="keyed"), adds)
    chats = {"reply": reply, "fails": lambda body: ValueError("no")}
    return bench(graph, world(chats), box), done


ALSO = {"n": 3, "items": ["a", "b"]}


@settings(max_examples=60)
@given(graph=graphs())
def test_every_node_is_computed_once_and_none_before_what_it_needs(bench, world, toolbox, graph):
    desk, done = _desk(bench, world, toolbox, graph)

    ended = desk.run(ALSO)

    assert ended.status == "done", ended
    over = [call for call in desk.computed() if "." not in call]
    assert len(over) == len(set(over))
    assert len(done) == len(set(done))
    needs = plan_graph(compile_graph("g", graph.definition())).needs
    for at, name in enumerate(over):
        computed_later = set(over[at:])
        assert not computed_later & set(needs[name])


@settings(max_examples=60)
@given(graph=graphs(), data=st.data())
def test_a_run_that_dies_at_any_write_gives_the_same_and_does_no_effect_twice(
    bench, world, toolbox, dying, killed, graph, data
):
    whole, _ = _desk(bench, world, toolbox, graph)
    expected = whole.run(ALSO)
    desk, _ = _desk(bench, world, toolbox, graph)
    for _ in range(3):
        left = data.draw(st.integers(0, len(whole.steps)))
        try:
            desk.run(ALSO, keeps=dying(left))
        except killed:
            continue
    n_asked = len(desk.world.asked)
    over = {step.call for step in desk.steps if step.kind == "node"}

    ended = desk.run(ALSO)

    assert (ended.status, json.loads(ended.output)) == (expected.status, json.loads(expected.output))
    assert sorted(desk.computed()) == sorted(whole.computed())
    begun = [step for step in desk.steps if step.kind == "tool" and step.state == "begun"]
    keys = {(json.loads(step.input)["place"], step.key) for step in begun}
    assert len(keys) == len({place for place, _ in keys}), "every try of an effect goes out under one key"
    asked_again = {body["variables"].get("place") for _, body in desk.world.asked[n_asked:] if isinstance(body, dict)}
    assert not {f"n{place}" for place in asked_again if place is not None} & over
    desk.run(ALSO)
    assert sorted(desk.computed()) == sorted(whole.computed()), "a run that is over computes nothing"


@settings(max_examples=60)
@given(graph=graphs())
def test_stages_hold_every_node_once_behind_what_it_needs(graph):
    plan = plan_graph(compile_graph("g", graph.definition()))

    assert sorted(plan.order) == sorted(node.name for node in graph.nodes)
    place = {name: at for at, stage in enumerate(plan.stages) for name in stage}
    assert all(place[other] < place[name] for name, others in plan.needs.items() for other in others)


def test_two_hundred_runs_at_once_give_each_its_own(bench, world):
    graph = Graph("g", ASKED, [
        PromptNode("a", "reply", variables={"n": "$input.n"}), PromptNode("b", "reply", variables={"a": "$a.text"}),
    ], output="$b.text")  # fmt: skip

    async def all_of_them():
        desks = [bench(graph, world({"reply": lambda body: json.dumps(body["variables"])})) for _ in range(200)]
        return await asyncio.gather(*(desk.drive({"n": n}) for n, desk in enumerate(desks)))

    found = asyncio.run(all_of_them())

    assert [json.loads(json.loads(json.loads(each.output))["a"])["n"] for each in found] == list(range(200))


@pytest.mark.parametrize("n_nodes", [300])
def test_a_graph_of_many_nodes_in_a_row_is_driven_without_recursion(bench, n_nodes):
    nodes = [RuleNode("n0", [], otherwise="$input.n")]
    nodes += [RuleNode(f"n{n}", [], otherwise=f"$n{n - 1}.value") for n in range(1, n_nodes)]

    ended = bench(Graph("g", ASKED, nodes, output=f"$n{n_nodes - 1}.value")).run({"n": 5})

    assert json.loads(ended.output) == 5
