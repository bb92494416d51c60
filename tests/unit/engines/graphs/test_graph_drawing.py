"""Drawings: every node and line is in them, whatever the graph; a run shows where it failed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from perdure.assets.graph import Graph, PromptNode, RuleNode
from perdure.core.runs import StepRecord
from perdure.engines.graphs.compiled import compile_graph
from perdure.engines.graphs.drawing_mermaid import mermaid
from perdure.engines.graphs.drawing_svg import svg
from perdure.engines.graphs.drawing_text import listed, text
from perdure.engines.graphs.layout import Spacing, lay_out
from perdure.engines.graphs.picturing import Went, picture

ASKED = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
DESK = Graph("desk", ASKED, [
    PromptNode("sort", "kind", variables={"text": "$input.text"}),
    PromptNode("answer", "reply", variables={"q": "$input.text"}, when="$sort.text == '<b>\"x\"</b>'", fallback="sorry"),
    RuleNode("sorry", [], otherwise="sorry", only_as_fallback=True),
], output={"answer": "$answer.text"})  # fmt: skip


def drawn(went=None, versions=None):
    return picture(compile_graph("desk", DESK.definition()), None, versions, went)


def step(name, state="done", **more):
    return StepRecord(run="r", n=0, kind="node", state=state, node=f"node:{name}", call=name, took_us=12_300, **more)


def test_the_terminal_shows_boxes_lines_types_and_versions():
    assert (
        text(drawn(versions={"prompt:kind": "kind@1234"}))
        == """\
                          ╭─ input ─╮
                          │ text    │
                          ╰─────────╯
                               │
                               ▼
                    ╭─ sort ───── prompt ─╮
                    │ kind@1234           │
                    │ ← input.text: text  │
                    ╰─────────────────────╯
                               │
                               ▼
              ╭─ answer ─────────────── prompt ─╮
              │ reply                           │
              │ when $sort.text == '<b>"x"</b>' │
              │ ← input.text: text              │
              ╰─────────────────────────────────╯
                               │
               ╭───────────────┴───────────────╮
               ▼                               ▼
╭─ sorry ────────────── rule ─╮   ╭─ output ────────────────╮
│ only as fallback            │   │ answer                  │
│ for answer, where it fails  │   │ ← answer.text: anything │
╰─────────────────────────────╯   ╰─────────────────────────╯
"""
    )


def test_a_drawing_that_is_too_wide_becomes_a_list():
    assert text(drawn(), 20) == listed(drawn())
    assert "answer  prompt  reply" in listed(drawn())


def test_a_run_shows_how_each_node_went():
    went = Went([
        step("sort"), StepRecord(run="r", n=0, kind="chat", state="done", node="prompt:kind", call="sort", cost_pusd=210_000_000),
        step("answer", "failed", error="upstream.timed_out", facts={"fallback": "sorry"}), step("sorry"),
    ], "done")  # fmt: skip

    found = text(drawn(went))

    assert "✓ 12 ms  $0.000210" in found
    assert "↺ 12 ms  upstream.timed_out  sorry stood in" in found
    assert 'class="card stoodin"' in svg(drawn(went))
    failed = Went([step("sort", "failed", error="node.failed")], "failed")
    assert 'class="card failed"' in svg(drawn(failed))
    assert "– not run" in text(drawn(failed))


def test_the_svg_is_xml_whatever_a_condition_holds():
    root = ET.fromstring(svg(drawn()))

    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "when $sort.text == '<b>\"x\"</b>'" in texts
    assert len([each for each in root.iter() if each.get("class", "").startswith("line ")]) == 5


def test_mermaid_s_own_signs_are_told_as_text():
    found = mermaid(drawn())

    assert found.startswith("flowchart TD\n")
    assert "#lt;b#gt;#quot;x#quot;" in found
    assert len(re.findall(r"^    n\d+ -", found, re.MULTILINE)) == 5


@st.composite
def dags(draw):
    n_nodes = draw(st.integers(1, 14))
    pairs = [(a, b) for b in range(n_nodes) for a in range(b)]
    lines = draw(st.lists(st.sampled_from(pairs), max_size=24, unique=True)) if pairs else []
    sizes = {f"n{n}": (draw(st.integers(4, 40)) * 1.0, draw(st.integers(3, 6)) * 1.0) for n in range(n_nodes)}
    return sizes, [(f"n{a}", f"n{b}") for a, b in lines]


@given(dags())
def test_no_box_stands_on_another_and_lines_go_down(made):
    sizes, lines = made
    layout = lay_out(sizes, lines, Spacing(between=2, layers=3, passing=1))

    boxes = list(layout.boxes.items())
    for at, (_, one) in enumerate(boxes):
        assert one.x >= -1e-6
        assert one.x + one.width <= layout.width + 1e-6
        for _, other in boxes[at + 1 :]:
            apart = one.x + one.width <= other.x + 1e-6 or other.x + other.width <= one.x + 1e-6
            assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
    for source, target in lines:
        assert layout.boxes[source].y + layout.boxes[source].height <= layout.boxes[target].y


@given(dags())
def test_any_graph_is_drawn_with_every_node_whole(made):
    sizes, lines = made
    nodes = [RuleNode(name, [], otherwise=[f"${a}" for a, b in lines if b == name]) for name in sizes]
    graph = Graph("g", ASKED, nodes, output=[f"${name}" for name in sizes])  # type: ignore[arg-type]
    found = picture(compile_graph("g", graph.definition()))

    told = text(found, 100_000)
    for name in sizes:
        assert f"╭─ {name} ─" in told
    ET.fromstring(svg(found))
    assert mermaid(found).count("rule") == len(sizes)


def test_labels_of_lines_that_end_at_one_node_touch_each_other_nowhere():
    """Many lines end at the output, from near and from far: those from far are labelled further back."""
    graph = Graph("g", {"type": "object", "properties": {"text": {"type": "string"}}}, [
        RuleNode("sorted", [("$input.text", {"kind": "$input.text"})]),
        RuleNode("found", [("$sorted.value", {"hits": ["$input.text"]})]),
        RuleNode("asked", [("$sorted.value.kind", "$input.text")]),
        RuleNode("told", [("$asked.value", "$found.value")], otherwise="We will look into it."),
    ], output={"a": "$told.value", "b": "$sorted.value.kind", "c": "$found.value.hits", "d": "$asked.value"})  # fmt: skip
    drawing = ET.fromstring(svg(picture(compile_graph("g", graph.definition()))))
    labels = [each for each in drawing.iter("{http://www.w3.org/2000/svg}text") if "label" in each.get("class", "")]
    places = [(float(each.get("x", 0)), float(each.get("y", 0)), len(each.text or "") * 6.5 / 2) for each in labels]

    assert len(places) > 6
    for at, (x, y, half) in enumerate(places):
        for other_x, other_y, other in places[at + 1 :]:
            assert abs(y - other_y) > 11 or abs(x - other_x) > half + other
