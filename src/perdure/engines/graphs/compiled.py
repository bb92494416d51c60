"""A graph's definition with its references and conditions read: what is planned, checked, drawn and driven.

Made of a version's definition, so it needs none of the project's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perdure.core.canonical import content_hash
from perdure.core.errors import BadGraph
from perdure.engines.graphs.expressions import Expression, Ref, parse, reference, refs
from perdure.engines.graphs.values import Template, template, template_refs

INPUT = "input"
EACH = "each"
_GIVEN: Mapping[str, tuple[str, ...]] = {
    "prompt": ("variables",),
    "search": ("query",),
    "predict": ("row",),
    "features": ("key",),
    "agent": ("input",),
    "tool": ("arguments",),
    "rule": ("otherwise",),
    "python": ("inputs",),
}
"""Kind of a node → members of its definition that hold references."""
_OF: Mapping[str, tuple[str, str]] = {
    "prompt": ("prompt", "prompt"),
    "search": ("index", "index"),
    "predict": ("model", "model"),
    "features": ("view", "feature_view"),
    "agent": ("agent", "agent"),
}
"""Kind of a node → the member that names an asset, and the asset's kind."""


@dataclass(frozen=True, slots=True)
class CompiledNode:
    """One node."""

    name: str
    kind: str
    told: Mapping[str, Any]
    """Its definition."""
    digest: str
    """Of its definition: with the digest of its input it says what it gives."""
    given: Mapping[str, Template]
    """Member of the definition → what it is given."""
    when: Expression | None = None
    each: Ref | None = None
    rules: tuple[tuple[Expression, Template], ...] = ()
    after: tuple[str, ...] = ()
    fallback: str = ""
    only_as_fallback: bool = False

    @property
    def of(self) -> str:
        """The asset that it works with, as `kind:name`; empty for none."""
        member, kind = _OF.get(self.kind, ("", ""))
        return f"{kind}:{self.told[member]}" if member else ""

    @property
    def timeout_s(self) -> float:
        """Of one try."""
        return float(self.told.get("timeout", 60.0))

    @property
    def tries(self) -> int:
        """Where it failed for now."""
        return max(1, int(self.told.get("tries", 2)))

    @property
    def side_by_side(self) -> int:
        """Items at a time."""
        return max(1, int(self.told.get("side_by_side", 4)))

    @property
    def cache_s(self) -> float:
        """How long what it gave is given again; 0: never."""
        return float(self.told.get("cache") or 0.0)

    def refs(self) -> Iterator[tuple[str, Ref]]:
        """Every reference, with the member that holds it."""
        if self.when is not None:
            yield from (("when", each) for each in refs(self.when))
        if self.each is not None:
            yield "each", self.each
        for member, value in self.given.items():
            yield from ((member, each) for each in template_refs(value))
        for condition, value in self.rules:
            yield from (("rules", each) for each in (*refs(condition), *template_refs(value)))

    def needs(self) -> tuple[str, ...]:
        """Names of the nodes that must be over before it."""
        read = (ref.node for _, ref in self.refs() if ref.node not in (INPUT, EACH))
        return tuple(dict.fromkeys((*read, *self.after)))


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """A graph."""

    name: str
    input: Mapping[str, Any]
    """JSON schema."""
    nodes: Mapping[str, CompiledNode]
    output: Template
    wrong: Sequence[Mistake] = field(default=())
    """Expressions that cannot be read; only with `lenient`."""

    def node(self, name: str) -> CompiledNode:
        """The node of that name."""
        return self.nodes[name]


@dataclass(frozen=True, slots=True)
class Mistake:
    """An expression that cannot be read."""

    node: str
    member: str
    text: str
    hint: str


def compile_graph(name: str, definition: Mapping[str, Any], *, lenient: bool = False) -> CompiledGraph:
    """The graph of a version's definition.

    Args:
        name: of the graph, for errors.
        definition: as `Graph.definition` gives it.
        lenient: note expressions that cannot be read and leave them out, so that all of them can be told.

    Raises:
        BadGraph: an expression cannot be read, and not `lenient`; the message names node, member and column.
    """
    reader = _Reader(name, lenient)
    nodes = {told["name"]: reader.node(told) for told in definition["nodes"]}
    output = reader.read("output", "output", lambda: template(definition["output"]))
    return CompiledGraph(name, definition["input"], nodes, output or template(None), tuple(reader.wrong))


class _Reader:
    def __init__(self, graph: str, lenient: bool) -> None:
        self._graph = graph
        self._lenient = lenient
        self.wrong: list[Mistake] = []

    def read(self, node: str, member: str, work: Any) -> Any:
        """What `work` reads; None where it cannot be read and mistakes are noted."""
        try:
            return work()
        except BadGraph as error:
            if not self._lenient:
                place = "output" if node == "output" else f"node {node!r}, {member}"
                told = f"Graph {self._graph!r}, {place}: {error.message}"
                raise BadGraph(told, hint=error.hint, **error.facts) from error
            self.wrong.append(Mistake(node, member, error.message, error.hint))
            return None

    def node(self, told: Mapping[str, Any]) -> CompiledNode:
        name, kind = str(told["name"]), str(told["kind"])
        given = {member: self.read(name, member, lambda member=member: template(told.get(member)))
                 for member in _GIVEN[kind]}  # fmt: skip
        rules = [self._rule(name, each) for each in told.get("rules", ())]
        return CompiledNode(
            name=name,
            kind=kind,
            told=told,
            digest=str(content_hash(told)),
            given={member: each for member, each in given.items() if each is not None},
            when=self.read(name, "when", lambda: parse(told["when"])) if told.get("when") else None,
            each=self.read(name, "each", lambda: reference(told["each"])) if told.get("each") else None,
            rules=tuple(each for each in rules if each is not None),
            after=tuple(told.get("after", ())),
            fallback=str(told.get("fallback", "")),
            only_as_fallback=bool(told.get("only_as_fallback", False)),
        )

    def _rule(self, name: str, told: Sequence[Any]) -> tuple[Expression, Template] | None:
        condition = self.read(name, "rules", lambda: parse(told[0]))
        value = self.read(name, "rules", lambda: template(told[1]))
        return None if condition is None or value is None else (condition, value)
