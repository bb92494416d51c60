"""Graphs as they are declared: their names, what they use, and what makes another version of them."""

from __future__ import annotations

import pytest

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
from perdure.assets.scorers import Contains
from perdure.assets.tools import AgentTool, FeaturesTool, McpTools, PredictTool, SearchTool
from perdure.core.canonical import content_hash
from perdure.core.errors import BadGraph
from perdure.core.units import minutes


def one(text: str) -> str:
    return text


def two(text: str) -> str:
    return text * 2


def graph(*nodes, **more):
    return Graph("desk", {}, nodes, output="$input", **more)


def test_what_its_nodes_and_their_tools_work_with_is_told_once():
    made = graph(
        PromptNode("a", "reply"),
        PromptNode("b", "reply"),
        SearchNode("c", "handbook", query="x"),
        PredictNode("d", "air_time", row={}),
        FeaturesNode("e", "weather", key="EWR"),
        AgentNode("f", "helper"),
        ToolNode("g", SearchTool("other")),
        ToolNode("h", PredictTool("fares")),
        ToolNode("i", FeaturesTool("traffic")),
        ToolNode("j", AgentTool("desk2", "Helps.")),
        PythonNode("k", one),
        RuleNode("l", []),
    )

    assert made.uses() == (
        "prompt:reply", "index:handbook", "model:air_time", "feature_view:weather", "agent:helper", "index:other",
        "model:fares", "feature_view:traffic", "agent:desk2",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["input", "each", "Answer", "an answer", ""])
def test_a_node_cannot_have_every_name(name):
    with pytest.raises(BadGraph, match="nodes named"):
        graph(RuleNode(name, []))


def test_two_nodes_cannot_share_a_name():
    with pytest.raises(BadGraph, match="a"):
        graph(RuleNode("a", []), RuleNode("a", []))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keeps": "all"}, "Graph 'desk' keeps 'all'"),
        ({"success": [Contains(), Contains()]}, "Graph 'desk': Two scorers go by"),
    ],
)
def test_what_it_keeps_and_is_scored_by_is_checked_as_an_agents_is(given, said):
    with pytest.raises(BadGraph, match=said):
        graph(PromptNode("a", "reply"), **given)


def test_a_node_calls_one_tool_of_a_server():
    with pytest.raises(BadGraph, match="whole server"):
        graph(ToolNode("a", McpTools("files", command=("x",))))
    assert graph(ToolNode("a", McpTools("files", command=("x",), only=("read",))))


def test_other_code_another_condition_or_another_cache_is_another_version():
    made = [
        graph(PythonNode("a", one)),
        graph(PythonNode("a", two)),
        graph(PythonNode("a", one, when="$input.x")),
        graph(PythonNode("a", one, cache=minutes(1))),
    ]

    assert len({content_hash(each.definition()) for each in made}) == 4
    assert content_hash(made[0].definition()) == content_hash(graph(PythonNode("a", one)).definition())
