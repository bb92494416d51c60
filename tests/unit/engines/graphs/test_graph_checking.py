"""The static check: each thing that is wrong is told at its node, with what was expected and the nearest name."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from perdure.assets.tools import tool
from perdure.core.errors import BadGraph
from perdure.core.units import minutes, seconds
from perdure.engines.graphs.checking import check_graph
from perdure.engines.graphs.compiled import compile_graph
from perdure.engines.graphs.planning import circle, plan_graph
from perdure.engines.graphs.schemas import (
    ANY,
    NUMBER,
    TEXT,
    WHOLE,
    inline,
    list_of,
    misfit,
    options,
    part_of,
    record,
    schema_of,
    told,
    union,
)
from perdure.engines.graphs.typed import HITS, Ends, Known, Types

NULLABLE = {"anyOf": [TEXT, {"type": "null"}]}
ASKED = record({"text": TEXT, "items": list_of(TEXT)}, {"n": WHOLE, "note": NULLABLE})
ANSWER = record({"text": TEXT})
KNOWN = Known(
    {
        "prompt:sort": Ends(record({"text": TEXT}), record({"kind": {"enum": ["question", "complaint"]}, "sure": NUMBER})),
        "prompt:reply": Ends(record({"question": TEXT}, {"sources": list_of({"type": "object"}), "tone": TEXT}), ANSWER),
        "index:handbook": Ends(TEXT, HITS),
        "model:air_time": Ends(record({"miles": NUMBER, "origin": {"enum": ["EWR", "JFK"]}}), ANY),
        "feature_view:weather": Ends(TEXT, record({"gust": {"anyOf": [NUMBER, {"type": "null"}]}, "status": TEXT})),
        "agent:helper": Ends(record({"tone": TEXT}, {"task": TEXT}), ANSWER),
    },
    {"loud": Ends(record({"text": TEXT}), record({"value": TEXT})),
     "count": Ends(record({"items": list_of(TEXT)}), record({"value": WHOLE})),
     "sent": Ends(record({"to": TEXT}), ANY)},
)  # fmt: skip


def function(text: str) -> str:
    return text


@tool(effect="once")
def send(to: str) -> str:
    """Send."""
    return to


def said(*nodes, output="$input", level="error"):
    graph = compile_graph("g", Graph("g", ASKED, nodes, output=output).definition(), lenient=True)
    return [f"{each.node} {each.text} {each.hint}" for each in check_graph(graph, KNOWN) if each.level == level]


def reply(name="answer", **terms):
    return PromptNode(name, "reply", variables={"question": "$input.text"}, **terms)


SORT = PromptNode("sort", "sort", variables={"text": "$input.text"})
LOUD = PythonNode("loud", function, inputs={"text": "$input.text"})

WRONG = [
    ([reply("a", after=["b"]), reply("b", after=["a"])], "circle: a → b → a", ""),
    ([reply("a", fallback="b"), PromptNode("b", "reply", variables={"question": "$a.text"}, only_as_fallback=True)],
     "circle", ""),
    ([PythonNode("loud", function, inputs={"text": "$anser.text"}), reply()], "no node 'anser'", "$answer"),
    ([reply(after=["srot"]), SORT], "no node 'srot'", "sort"),
    ([reply(fallback="apology")], "no node 'apology'", ""),
    ([PromptNode("a", "replly", variables={})], "no prompt 'replly'", "reply"),
    ([SearchNode("a", "handbok", query="$input.text")], "no index 'handbok'", "handbook"),
    ([PredictNode("a", "airtime", row={})], "no model 'airtime'", "air_time"),
    ([FeaturesNode("a", "wether", key="EWR")], "no stored feature view 'wether'", "weather"),
    ([AgentNode("a", "helpr")], "no agent 'helpr'", "helper"),
    ([PromptNode("a", "reply", variables={"qestion": "$input.text"})], "variables.question: it is missing", ""),
    ([PromptNode("a", "reply", variables={"question": "x", "tnoe": "y"})], "variables.tnoe", "tone"),
    ([PromptNode("a", "reply", variables={"question": "$input.n"})], "whole number", ""),
    ([PromptNode("a", "reply", variables={"question": "$input.txt"})], "no member 'txt'", "$input.text"),
    ([PromptNode("a", "reply", variables={"question": 3})], "it is 3, and text", ""),
    ([PromptNode("a", "reply", variables={"question": {"x": 1}})], "it is an object", ""),
    ([PromptNode("a", "reply", variables={"question": ["x"]})], "it is a list", ""),
    ([PromptNode("a", "reply", variables={"question": "x", "sources": ["x"]})], "sources.0", ""),
    ([reply(), PromptNode("b", "reply", variables={"question": "$answer"})], "object with text", "$answer.text"),
    ([SearchNode("f", "handbook", query="$input.text"),
      PromptNode("a", "reply", variables={"question": "$f.hits[0].key"})], "whole number", ""),
    ([SearchNode("f", "handbook", query="$input.text"), PythonNode("loud", function, inputs={"text": "$f.hits.text"})],
     "$f.hits has no member 'text'", ""),
    ([PredictNode("a", "air_time", row={"miles": "$input.text", "origin": "EWR"})], "row.miles", ""),
    ([PredictNode("a", "air_time", row={"miles": 3, "origin": "LAX"})], "'LAX'", ""),
    ([PredictNode("a", "air_time", row={"miles": 3, "origin": "EWR", "far": 1})], "row.far", ""),
    ([PredictNode("a", "air_time", row="$input")], "no member 'miles'", ""),
    ([FeaturesNode("a", "weather", key="$input.items")], "list of text", ""),
    ([AgentNode("a", "helper", input={"task": "x"})], "input.tone: it is missing", ""),
    ([PythonNode("loud", function, inputs={"text": "$input.items"})], "list of text", ""),
    ([ToolNode("sent", send, arguments={"to": "$input.n"})], "arguments.to", ""),
    ([SORT, reply(when="$sort.kind == 'questoin'")], "never one of", "question"),
    ([SORT, reply(when="$sort.kind == 3")], "never true", ""),
    ([SORT, reply(when="$sort.kind in ['question', 'other']")], "'other' at column", ""),
    ([SORT, reply(when="$sort.kind > 3")], "compares", ""),
    ([reply(when="$input.text = 'a'")], "column 13", "=="),
    ([reply(when="$input.text ==")], "ends where", ""),
    ([reply("a", when="$input.n > 3"), PythonNode("loud", function, inputs={"text": "$a.text"})], "'a' is skipped",
     "same condition"),
    ([PythonNode("loud", function, inputs={"text": "$each"})], "no meaning here", "each="),
    ([PythonNode("loud", function, inputs={"text": "$each"}, each="$input.text")], "a list is wanted", ""),
    ([PythonNode("count", function, inputs={"items": "$each"}, each="$input.items")], "it is text", ""),
    ([reply("a", each="$input.items"), PythonNode("loud", function, inputs={"text": "$a.text"})],
     "$a has no member 'text'", ""),
    ([reply("a", fallback="count"),
      PythonNode("count", function, inputs={"items": "$input.items"}, only_as_fallback=True),
      PythonNode("loud", function, inputs={"text": "$a.value"})], "does not fit", ""),
    ([reply("a"), reply("b", only_as_fallback=True), PythonNode("loud", function, inputs={"text": "$b.text"})],
     "only stands in", ""),
    ([reply("a", only_as_fallback=True)], "never runs", "fallback="),
    ([reply("a", fallback="a")], "stand in for itself", ""),
    ([ToolNode("sent", send, arguments={"to": "x"}, cache=minutes(1))], "never given from a cache", ""),
    ([RuleNode("r", [("$input.n >", 1)])], "ends where", ""),
    ([SearchNode("f", "handbook", query="$input.text", mode="dens")], "no way to search", "dense"),
    ([SearchNode("f", "handbook", query="$input.text", k=0)], "gives 0 chunks", ""),
    ([reply(timeout=seconds(0))], "no time", ""),
    ([reply(tries=99)], "out of range", ""),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "told", "hint"), WRONG, ids=[each[1] for each in WRONG])
def test_what_is_wrong_is_told_with_what_was_expected(nodes, told, hint):
    found = said(*nodes)

    assert any(told in each and hint in each for each in found), found


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([PromptNode("a", "reply", variables={"question": "$input.note"})], "may be missing or null"),
        ([PythonNode("loud", function, inputs={"text": "$input.items[0]"})], "may be missing or null"),
        ([PromptNode("a", "reply", variables={"question": "Say $input.text"})], "references are not filled into texts"),
        (
            [PromptNode("a", "reply", variables={"question": "input.text"})],
            "'input.text' is given as a text. Write $input.text",
        ),
        ([reply()], "nothing comes of it"),
        ([RuleNode("r", [])], "there is none"),
        ([ToolNode("sent", send, arguments={"to": "x"}, tries=5)], "no effect here"),
    ],
)
def test_what_may_go_wrong_is_a_warning(nodes, told):
    assert any(told in each for each in said(*nodes, level="warning"))
    assert said(*nodes) == []


@pytest.mark.parametrize(
    "nodes",
    [
        [SORT, reply(when="$sort.kind == 'question'"),
         PythonNode("loud", function, inputs={"text": "$answer.text"}, when="$answer")],
        [SORT, reply(when="$sort.kind == 'question'"),
         PythonNode("loud", function, inputs={"text": "$answer.text"}, when="$sort.kind == 'question' and $input.n > 1")],
        [reply(when="$input.n > 3"), PythonNode("loud", function, inputs={"text": "$answer.text"}, when="$answer != null")],
        [reply("a", when="$input.n > 3"), PromptNode("b", "reply", variables={"question": "$a.text"}, when="$a"),
         PythonNode("loud", function, inputs={"text": "$a.text"}, when="$b.text")],
        [reply(when="$input.n > 3"), RuleNode("r", [("$answer", "$answer.text")], otherwise="none"),
         PythonNode("loud", function, inputs={"text": "$r.value"})],
        [PromptNode("a", "reply", variables={"question": "$input.note"}, when="$input.note != null")],
        [reply(when="$input.text != null")],
        [PythonNode("loud", function, inputs={"text": "$each"}, each="$input.items")],
        [reply("a", each="$input.items"), PythonNode("loud", function, inputs={"text": "$each.text"}, each="$a")],
        [PredictNode("a", "air_time", row={"miles": "$input.n", "origin": "EWR"}, explain=True)],
        [reply(fallback="loud"), PythonNode("loud", function, inputs={"text": "$input.text"}, only_as_fallback=True)],
    ],
)  # fmt: skip
def test_what_fits_is_not_told_of(nodes):
    assert said(*nodes) == []


def test_a_node_whose_effect_is_wanted_needs_nobody_who_reads_it():
    found = said(ToolNode("sent", send, arguments={"to": "$answer.text"}), reply(), level="warning")

    assert found == []


def test_the_type_of_a_node_with_a_fallback_is_either_s():
    graph = Graph("g", ASKED, [reply(fallback="count"), PythonNode("count", function, only_as_fallback=True)],
                  output="$answer")  # fmt: skip

    types = Types(compile_graph("g", graph.definition()), KNOWN)

    assert told(types.of("answer")) == "object with text or object with value"
    assert told(types.output()) == "object with text or object with value"


def test_a_graph_that_goes_in_a_circle_has_no_plan():
    graph = compile_graph(
        "g", Graph("g", ASKED, [reply("a", after=["b"]), reply("b", after=["a"])], output="x").definition()
    )

    with pytest.raises(BadGraph, match="a → b → a"):
        plan_graph(graph)


@given(st.integers(2, 40), st.data())
def test_a_circle_is_found_where_there_is_one_and_is_one(n_nodes, data):
    edges = data.draw(st.lists(st.tuples(st.integers(0, n_nodes - 1), st.integers(0, n_nodes - 1)), max_size=60))
    after = {n: [f"n{other}" for one, other in edges if one == n] for n in range(n_nodes)}
    nodes = [RuleNode(f"n{n}", [], after=after[n]) for n in range(n_nodes)]
    graph = compile_graph("g", Graph("g", {}, nodes, output="x").definition())

    found = circle(graph)

    if found:
        assert found[0] == found[-1]
        assert all(later in after[int(name[1:])] for name, later in pairwise(found))
    else:
        assert len(plan_graph(graph).order) == n_nodes


def test_schemas_that_refer_to_themselves_are_cut_where_they_come_round():
    tree = {
        "$defs": {"T": {"properties": {"next": {"$ref": "#/$defs/T"}, "n": {"type": "integer"}}}},
        "$ref": "#/$defs/T",
    }

    found = inline(tree)

    assert part_of(found, "n").schema == {"type": "integer"}
    assert part_of(part_of(found, "next").schema or {}, "anything").schema == {}


_schemas = st.recursive(
    st.sampled_from([TEXT, NUMBER, WHOLE, {"type": "boolean"}, {"type": "null"}, {"enum": ["a", "b"]}, ANY]),
    lambda inner: st.one_of(
        inner.map(list_of),
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=3).map(record),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
    ),
    max_leaves=6,
)


@given(_schemas, _schemas)
def test_every_schema_fits_itself_and_a_union_with_it(schema, other):
    assert misfit(schema, schema) == ""
    assert misfit(schema, union([schema, other])) == ""
    assert options(schema)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "b", "c"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=5,
)


@given(_schemas, _values)
def test_what_a_validator_takes_is_never_told_to_be_a_misfit(schema, value):
    import jsonschema_rs

    if jsonschema_rs.validator_for(dict(schema)).is_valid(value):
        assert misfit(schema_of(value), schema) == ""
