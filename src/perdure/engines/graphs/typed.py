"""What each node of a graph gives, as JSON schemas, and what a reference is where it stands.

A node that can be skipped gives null then. Whoever reads it under the same condition, or under one that only holds where it is there, may
rely on it: `facts_of` knows what holds where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perdure.engines.graphs.compiled import EACH, INPUT, CompiledGraph, CompiledNode
from perdure.engines.graphs.expressions import Compare, Constant, Every, Expression, ListOf, Not, Ref
from perdure.engines.graphs.planning import waits_for
from perdure.engines.graphs.schemas import (
    ANY,
    NULL,
    NUMBER,
    TEXT,
    WHOLE,
    Part,
    Schema,
    inline,
    list_of,
    may_be_null,
    options,
    part_of,
    record,
    schema_of,
    union,
    without_null,
)
from perdure.engines.graphs.values import Items, Members, Template

_INSTANT = {"anyOf": [TEXT, NULL]}
_HIT = record(
    {
        "key": WHOLE,
        "document": TEXT,
        "title": TEXT,
        "position": WHOLE,
        "text": TEXT,
        "context": TEXT,
        "start": WHOLE,
        "end": WHOLE,
        "form": TEXT,
        "metadata": {"type": "object"},
        "changed_at": _INSTANT,
        "score": NUMBER,
    },
    closed=False,
)
HITS = record({"hits": list_of(_HIT), "generation": WHOLE, "seen_at": _INSTANT, "version": TEXT})
"""What a search gives."""
_CONTRIBUTIONS = list_of(record({"feature": TEXT, "adds": NUMBER}))


@dataclass(frozen=True, slots=True)
class Ends:
    """What an asset, a tool or a function takes and gives."""

    takes: Schema
    gives: Schema


@dataclass(frozen=True, slots=True)
class Known:
    """What of a project a graph is checked against."""

    assets: Mapping[str, Ends] = field(default_factory=dict)
    """`kind:name` → its ends: prompts, indexes, models, feature views, agents."""
    nodes: Mapping[str, Ends] = field(default_factory=dict)
    """Name of a tool's or a function's node → its ends."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a reference is, where it stands."""

    schema: Schema | None
    """None: there is no such thing."""
    known: Sequence[str] = ()
    """Members that there are, where there is no such one."""
    at: int = 0
    """Steps of the path that are there."""
    skipped: bool = False
    """A node in it may be skipped."""
    optional: bool = False
    """A member or an item in it may be missing, or null."""


def ends_of(node: CompiledNode, known: Known) -> Ends | None:
    """What a node takes and gives at one computing; None: what it works with is not known."""
    if node.kind in ("tool", "python"):
        return known.nodes.get(node.name)
    found = known.assets.get(node.of)
    if found is None:
        return None
    if node.kind == "search":
        return Ends(TEXT, HITS)
    if node.kind == "predict":
        explained = {"contributions": _CONTRIBUTIONS} if node.told.get("explain") else {}
        return Ends(found.takes, record({"prediction": {"anyOf": [NUMBER, NULL]}, **explained}, closed=False))
    return found


class Types:
    """The types of a graph without circles, each worked out once.

    Args:
        graph: compiled; names that are not there give *anything*.
        known: what of the project it works with.
    """

    def __init__(self, graph: CompiledGraph, known: Known) -> None:
        self._graph = graph
        self._known = known
        self._input = inline(graph.input)
        self._found: dict[str, Schema] = {}
        self._waits = waits_for(graph)

    def of(self, name: str) -> Schema:
        """What a node gives where it is not skipped: of its fallback, too."""
        if name not in self._found:
            for each in self._order(name):
                self._found.setdefault(each, self._given(self._graph.nodes[each]))
        return self._found[name]

    def _order(self, name: str) -> list[str]:
        """The node behind all that it waits for; without recursion, since a graph may be a thousand nodes deep."""
        found: list[str] = []
        todo = [name]
        while todo:
            left = [each for each in self._waits[todo[-1]] if each not in self._found and each not in found]
            if left:
                todo += left
            else:
                found.append(todo.pop())
        return found

    def _given(self, node: CompiledNode) -> Schema:
        own = self._own(node)
        if node.each is not None:
            own = list_of(own)
        if node.fallback in self._graph.nodes:
            fallback = self._graph.nodes[node.fallback]
            stands_in = [self._found[node.fallback], *([NULL] if fallback.when is not None else [])]
            own = union([own, *stands_in])
        return own

    def _own(self, node: CompiledNode) -> Schema:
        if node.kind == "rule":
            facts = self.facts_of(node)
            values = [self.template(value, node, {*facts, *conjuncts(condition)}) for condition, value in node.rules]
            otherwise = node.given.get("otherwise")
            values.append(NULL if otherwise is None else self.template(otherwise, node, facts))
            return record({"value": union(values)})
        ends = ends_of(node, self._known)
        return ANY if ends is None else ends.gives

    def template(self, value: Template, node: CompiledNode | None, facts: set[Expression]) -> Schema:
        """What a value is where it stands; null where it may be."""
        if isinstance(value, Ref):
            read = self.read(value, node, facts)
            if read.schema is None:
                return ANY
            return union([read.schema, NULL]) if read.skipped or read.optional else read.schema
        if isinstance(value, Members):
            return record({name: self.template(each, node, facts) for name, each in value.members.items()})
        if isinstance(value, Items):
            items = [self.template(each, node, facts) for each in value.items]
            return list_of(union(items) if items else ANY)
        return schema_of(value.value)

    def output(self) -> Schema:
        """What a run gives."""
        return self.template(self._graph.output, None, set())

    def read(self, ref: Ref, node: CompiledNode | None, facts: set[Expression]) -> Read:
        """What a reference is in a node, or in the output.

        Args:
            ref: whose node is there, or is the input or the item.
            node: in which it stands; None: in the output.
            facts: what holds there; see `facts_of`.
        """
        sure = _not_null(facts)
        schema, skipped, optional = self._root(ref, node, sure)
        for at, step in enumerate(ref.path):
            here = Ref(ref.node, ref.path[:at])
            optional = (optional or may_be_null(schema)) and here not in sure
            part: Part = part_of(schema, step)
            if part.schema is None:
                return Read(None, part.known, at)
            schema, optional = part.schema, optional or part.optional
        if may_be_null(schema):
            schema, optional = without_null(schema), True
        return Read(schema, (), len(ref.path), skipped, optional and ref not in sure)

    def _root(self, ref: Ref, node: CompiledNode | None, sure: set[Ref]) -> tuple[Schema, bool, bool]:
        if ref.node == INPUT:
            return self._input, False, False
        if ref.node == EACH:
            item = self._item(node)
            return item, False, False
        if ref.node not in self._graph.nodes:
            return ANY, False, False
        skipped = self._graph.nodes[ref.node].when is not None and Ref(ref.node) not in sure
        return self.of(ref.node), skipped, False

    def _item(self, node: CompiledNode | None) -> Schema:
        if node is None or node.each is None:
            return ANY
        found = self.read(node.each, None, self.facts_of(node)).schema or ANY
        items = [each.get("items", ANY) for each in options(found) if each.get("type") in ("array", None)]
        return union(items) if items else ANY

    def facts_of(self, node: CompiledNode | None) -> set[Expression]:
        """What holds where a node runs: its own condition, and those of the nodes that its condition says are there."""
        facts: set[Expression] = set() if node is None or node.when is None else set(conjuncts(node.when))
        while True:
            before = len(facts)
            for name in {ref.node for ref in _not_null(facts)} & self._graph.nodes.keys():
                condition = self._graph.nodes[name].when
                facts |= set() if condition is None else set(conjuncts(condition))
            for name, other in self._graph.nodes.items():
                if other.when is not None and set(conjuncts(other.when)) <= facts:
                    facts.add(Ref(name))
            if len(facts) == before:
                return facts


def conjuncts(expression: Expression) -> list[Expression]:
    """The conditions that all hold where this one does."""
    if isinstance(expression, Every):
        return [each for part in expression.parts for each in conjuncts(part)]
    return [expression]


def _not_null(facts: set[Expression]) -> set[Ref]:
    """What cannot be null where these hold: with every part on the way to it."""
    found: set[Ref] = set()
    for ref in (ref for fact in facts for ref in _sure(fact)):
        found |= {Ref(ref.node, ref.path[:n]) for n in range(len(ref.path) + 1)}
    return found


def _sure(fact: Expression) -> list[Ref]:
    if isinstance(fact, Ref):
        return [fact]
    if isinstance(fact, Not) and isinstance(fact.part, Compare):
        return _sides(fact.part) if fact.part.operator == "==" and _has_null(fact.part) else []
    if not isinstance(fact, Compare):
        return []
    if fact.operator == "!=":
        return _sides(fact) if _has_null(fact) else []
    if fact.operator == "==":
        return _sides(fact) if _has_value(fact) else []
    if fact.operator == "in":
        right = [fact.right] if isinstance(fact.right, Ref) else []
        listed = isinstance(fact.right, ListOf) and all(isinstance(each, Constant) and each.value is not None
                                                        for each in fact.right.items)  # fmt: skip
        return [*right, *([fact.left] if listed and isinstance(fact.left, Ref) else [])]
    return _sides(fact)


def _sides(compare: Compare) -> list[Ref]:
    return [each for each in (compare.left, compare.right) if isinstance(each, Ref)]


def _has_null(compare: Compare) -> bool:
    return any(isinstance(each, Constant) and each.value is None for each in (compare.left, compare.right))


def _has_value(compare: Compare) -> bool:
    return any(isinstance(each, Constant) and each.value is not None for each in (compare.left, compare.right))
