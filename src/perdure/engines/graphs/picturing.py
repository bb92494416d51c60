"""What a drawing of a graph shows: a card for each node, a line for each thing that goes from one to another, and how a run of it went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from perdure.core.runs import ENDED, RunStatus, StepRecord
from perdure.core.usage import usd_text
from perdure.engines.graphs.compiled import EACH, INPUT, CompiledGraph, CompiledNode
from perdure.engines.graphs.expressions import Ref, refs
from perdure.engines.graphs.planning import circle
from perdure.engines.graphs.schemas import told
from perdure.engines.graphs.typed import Known, Types
from perdure.engines.graphs.values import Members, Template, template_refs

OUTPUT = "output"
ENTRY, EXIT = "\ninput", "\noutput"
"""Cards of what a run is asked and gives; no node can have such a name."""
State = Literal["", "done", "failed", "stood in", "waiting", "running", "skipped", "not run", "refused"]
_LONGEST = 44
_NODE = "node:"


@dataclass(frozen=True, slots=True)
class Card:
    """One node."""

    name: str
    kind: str
    of: str = ""
    """The version of the asset that it works with, or its name; the function of a Python node."""
    terms: Sequence[str] = ()
    """Under which terms it runs: its condition, the list that it is computed over, its cache."""
    state: State = ""
    told: str = ""
    """How it went in a run: `12 ms  $0.000210`."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something that goes from one node to another."""

    source: str
    target: str
    kind: Literal["data", "condition", "after", "fallback"]
    labels: Sequence[str] = ()
    """What goes, such as `hits: list of object`."""


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn."""

    title: str
    cards: Mapping[str, Card]
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Went:
    """A run of a graph, for its drawing."""

    steps: Sequence[StepRecord]
    status: RunStatus

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED


def picture(
    graph: CompiledGraph,
    known: Known | None = None,
    versions: Mapping[str, str] | None = None,
    went: Went | None = None,
) -> Picture:
    """What a drawing of a graph shows.

    Args:
        graph: without circles.
        known: types of what it works with; without it only those that the graph itself tells.
        versions: `kind:name` → the version that answers.
        went: a run, of which the drawing shows how far it came.
    """
    types = None if circle(graph) else Types(graph, known or Known())
    lines = [*_lines(graph, types)]
    cards = {}
    if any(line.source == ENTRY for line in lines):
        cards[ENTRY] = Card("input", "input", ", ".join(graph.input.get("properties", {})))
    for name, node in graph.nodes.items():
        state, text = _went(node, went)
        cards[name] = Card(name, node.kind, _of(node, versions or {}), tuple(_terms(node)), state, text)
    cards[EXIT] = Card("output", "output", _output(graph.output))
    return Picture(graph.name, cards, _merged(lines))


def _of(node: CompiledNode, versions: Mapping[str, str]) -> str:
    if node.of:
        return versions.get(node.of, node.of.partition(":")[2])
    if node.kind == "tool":
        return str(node.told["tool"].get("name", ""))
    return str(node.told.get("function", "")).rpartition(":")[2]


def _terms(node: CompiledNode) -> Iterator[str]:
    if node.only_as_fallback:
        yield "only as fallback"
    if node.when is not None:
        yield shortened(f"when {node.told['when']}")
    if node.each is not None:
        yield shortened(f"each of {node.each}, {node.side_by_side} at a time")
    if node.cache_s:
        yield f"cached {node.cache_s:g} s"
    for condition, value in node.told.get("rules", ()):
        yield shortened(f"{condition} → {value}")


def shortened(text: str, longest: int = _LONGEST) -> str:
    """The beginning of a text."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _lines(graph: CompiledGraph, types: Types | None) -> Iterator[Line]:
    for name, node in graph.nodes.items():
        conditions = [] if node.when is None else list(refs(node.when))
        for member, ref in node.refs():
            if ref.node == EACH:
                continue
            kind: Literal["data", "condition"] = "condition" if member == "when" and ref in conditions else "data"
            label = "" if kind == "condition" else _label(ref, node, types)
            yield Line(_source(ref), name, kind, (label,) if label else ())
        for other in node.after:
            if other in graph.nodes:
                yield Line(other, name, "after")
        if node.fallback in graph.nodes:
            yield Line(name, node.fallback, "fallback", ("fails",))
    for ref in template_refs(graph.output):
        if ref.node == INPUT or ref.node in graph.nodes:
            yield Line(_source(ref), EXIT, "data", (_label(ref, None, types),))


def _source(ref: Ref) -> str:
    return ENTRY if ref.node == INPUT else ref.node


def _label(ref: Ref, node: CompiledNode | None, types: Types | None) -> str:
    path = str(ref).partition(".")[2]
    if types is None:
        return path
    read = types.read(ref, node, types.facts_of(node))
    kind = "" if read.schema is None else told(read.schema, deep=False)
    return shortened(f"{path}: {kind}" if path and kind else path or kind, 36)


def _merged(lines: Sequence[Line]) -> list[Line]:
    """One line from node to node: data before conditions before order, with the labels of all."""
    found: dict[tuple[str, str], Line] = {}
    rank = ("data", "fallback", "condition", "after")
    for line in lines:
        key = (line.source, line.target)
        other = found.get(key)
        kind = line.kind if other is None else min(other.kind, line.kind, key=rank.index)
        labels = [*(other.labels if other else ()), *line.labels]
        found[key] = Line(line.source, line.target, kind, tuple(dict.fromkeys(labels)))
    return list(found.values())


def _output(output: Template) -> str:
    if isinstance(output, Members):
        return shortened(", ".join(output.members))
    return str(output) if isinstance(output, Ref) else ""


def _went(node: CompiledNode, went: Went | None) -> tuple[State, str]:
    """How a node went: by its own entry, and by what its calls cost."""
    if went is None:
        return "", ""
    name = node.name
    mine = [step for step in went.steps if step.call == name or step.call.startswith(f"{name}.")]
    own = next((step for step in reversed(mine) if step.kind == "node" and step.call == name), None)
    if own is None:
        waiting = any(step.state in ("waiting", "unknown") for step in mine)
        left: State = "skipped" if node.when is not None and went.status == "done" else "not run"
        state: State = "waiting" if waiting and not went.ended else "running" if mine else left
        return (state if mine or went.ended else ""), ""
    cost = sum(step.cost_pusd or 0 for step in mine)
    parts = [f"{own.took_us / 1000:,.0f} ms" if own.took_us >= 10_000 else f"{own.took_us / 1000:.1f} ms"]
    parts += [usd_text(cost)] if cost else []
    parts += ["from cache"] if own.facts.get("cached") else []
    if own.state == "failed":
        parts += [own.error]
    if own.facts.get("fallback"):
        parts += [f"{own.facts['fallback']} stood in"]
        return "stood in", "  ".join(parts)
    states: Mapping[str, State] = {"failed": "failed", "refused": "refused"}
    return states.get(own.state, "done"), "  ".join(parts)
