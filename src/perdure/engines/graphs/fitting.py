"""Whether what a node is given fits what it takes, and whether a condition can ever be true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from perdure.core.errors import nearest
from perdure.engines.graphs.compiled import CompiledNode
from perdure.engines.graphs.expressions import Compare, Constant, Every, Expression, ListOf, Not, Ref, Some
from perdure.engines.graphs.schemas import (
    ANY,
    NULL,
    Schema,
    list_of,
    may_be_null,
    misfit,
    options,
    schema_of,
    told,
    union,
    values_of,
    without_null,
)
from perdure.engines.graphs.typed import Types, conjuncts
from perdure.engines.graphs.values import Items, Members, Template

OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a graph, or doubtful."""

    level: Literal["error", "warning"]
    node: str
    """In which it stands; `output`, or empty where it is of the whole graph."""
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands."""

    node: CompiledNode | None
    """None: in the output."""
    member: str
    facts: frozenset[Expression] = frozenset()
    """What holds there."""

    def below(self, name: str) -> Place:
        """A member of it."""
        return Place(self.node, f"{self.member}.{name}" if self.member else name, self.facts)

    def error(self, text: str, hint: str = "") -> Finding:
        """Something that cannot be."""
        return Finding("error", self.node.name if self.node else OUTPUT, f"{self.member}: {text}", hint)

    def warning(self, text: str, hint: str = "") -> Finding:
        """Something that may go wrong."""
        return Finding("warning", self.node.name if self.node else OUTPUT, f"{self.member}: {text}", hint)


class Fitting:
    """Holds values and conditions against types.

    Args:
        types: of the graph.
    """

    def __init__(self, types: Types) -> None:
        self._types = types

    def value(self, given: Template, wanted: Schema, place: Place) -> Iterator[Finding]:
        """What is wrong with a value where another type is wanted."""
        if isinstance(given, Ref):
            yield from self._reference(given, wanted, place)
        elif isinstance(given, Members):
            yield from self._members(given, wanted, place)
        elif isinstance(given, Items):
            yield from self._items(given, wanted, place)
        else:
            why = misfit(schema_of(given.value), wanted)
            if why:
                yield place.error(f"{why}.")

    def _reference(self, ref: Ref, wanted: Schema, place: Place) -> Iterator[Finding]:
        read = self._types.read(ref, place.node, set(place.facts))
        if read.schema is None:
            return
        why = misfit(read.schema, wanted)
        if why:
            yield place.error(f"{ref} does not fit: {why}.", _near_fit(ref, read.schema, wanted))
        elif not (may_be_null(wanted) or any("type" not in each for each in options(wanted))):
            if read.skipped:
                yield place.error(
                    f"{ref} is null where {ref.node!r} is skipped, and {told(wanted)} is wanted.",
                    f"Run it under the same condition, or under when='${ref.node}'.",
                )
            elif read.optional:
                yield place.warning(
                    f"{ref} may be missing or null, and {told(wanted)} is wanted.",
                    f"Say when it is there: when='{ref} != null'.",
                )

    def _members(self, given: Members, wanted: Schema, place: Place) -> Iterator[Finding]:
        objects = [each for each in options(wanted) if each.get("type") in ("object", None)]
        if not objects:
            yield place.error(f"it is an object, and {told(wanted)} is wanted.")
            return
        if len(objects) > 1:
            tries = [list(self._object(given, each, place)) for each in objects]
            yield from min(tries, key=len)
            return
        yield from self._object(given, objects[0], place)

    def _object(self, given: Members, wanted: Schema, place: Place) -> Iterator[Finding]:
        properties = wanted.get("properties", {})
        others = wanted.get("additionalProperties", not properties)
        for name in wanted.get("required", ()):
            if name not in given.members:
                yield place.below(str(name)).error(
                    f"it is missing; {told(properties.get(name, ANY))} is wanted.",
                    f'Give it: "{name}": "$input.{name}"',
                )
        for name, each in given.members.items():
            if name in properties:
                yield from self.value(each, properties[name], place.below(name))
            elif others is False or (properties and others is True):
                near = nearest(name, properties)
                known = f"There are {', '.join(properties)}." if properties else "There are none."
                hint = f"Did you mean {near!r}?" if near else known
                yield place.below(name).error("there is no such one.", hint)

    def _items(self, given: Items, wanted: Schema, place: Place) -> Iterator[Finding]:
        lists = [each for each in options(wanted) if each.get("type") in ("array", None)]
        if not lists:
            yield place.error(f"it is a list, and {told(wanted)} is wanted.")
            return
        item = union([each.get("items", ANY) for each in lists])
        for at, each in enumerate(given.items):
            yield from self.value(each, item, place.below(str(at)))

    def each(self, ref: Ref, place: Place) -> Iterator[Finding]:
        """What is wrong with what a node is computed over."""
        read = self._types.read(ref, place.node, set(place.facts))
        if read.schema is not None and misfit(read.schema, list_of(ANY)):
            yield place.error(
                f"{ref} is {told(read.schema)}, and a list is wanted.", "Leave each= out, or name a list."
            )

    def condition(self, asked: Expression, place: Place) -> Iterator[Finding]:
        """What in a condition can never be true, or has no order."""
        if isinstance(asked, Not):
            yield from self.condition(asked.part, place)
        elif isinstance(asked, Every | Some):
            before: set[Expression] = set()
            for each in asked.parts:
                yield from self.condition(each, Place(place.node, place.member, place.facts | before))
                before |= set(conjuncts(each)) if isinstance(asked, Every) else set()
        elif isinstance(asked, Compare):
            yield from self._compare(asked, place)

    def _compare(self, asked: Compare, place: Place) -> Iterator[Finding]:
        left, right = (self._side(each, place) for each in (asked.left, asked.right))
        if asked.operator == "in":
            yield from self._contains(asked, (left, right), place)
        elif asked.operator in ("==", "!="):
            yield from _never(asked, left, right, place)
        elif misfit(left, union([{"type": "number"}, {"type": "string"}, NULL])) or misfit(left, _ordered_with(right)):
            text = f"`{asked.operator}` at column {asked.column} compares {told(left)} with {told(right)}."
            yield place.error(text, "Only two numbers, or two texts, have an order.")

    def _contains(self, asked: Compare, sides: tuple[Schema, Schema], place: Place) -> Iterator[Finding]:
        left, right = sides
        if isinstance(asked.right, ListOf):
            for each in asked.right.items:
                yield from _never(asked, left, self._side(each, place), place)
            return
        kinds = {each.get("type") for each in options(right)}
        if not kinds & {"array", "string", "object", None}:
            yield place.error(
                f"`in` at column {asked.column} looks into {told(right)}.", "Look into a list, a text or an object."
            )

    def _side(self, side: Expression, place: Place) -> Schema:
        if isinstance(side, Ref):
            found = self._types.read(side, place.node, set(place.facts))
            if found.schema is None:
                return ANY
            return union([found.schema, NULL]) if found.skipped or found.optional else found.schema
        if isinstance(side, Constant):
            return schema_of(side.value)
        return ANY if isinstance(side, ListOf) else {"type": "boolean"}


def _never(asked: Compare, left: Schema, right: Schema, place: Place) -> Iterator[Finding]:
    """Values of types that have nothing in common. To ask whether something is null harms nobody."""
    if NULL in (left, right):
        return
    if not misfit(right, _wide(left)) or not misfit(left, _wide(right)):
        words = values_of(left)
        value = right.get("const")
        if words is None or "const" not in right or value in words or "const" in left:
            return
        near = nearest(str(value), [str(each) for each in words])
        yield place.error(
            f"{value!r} at column {asked.column} is never one of {told(left)}.",
            f"Did you mean {near!r}?" if near else "Compare it with one of them.",
        )
        return
    outcome = "always true" if asked.operator == "!=" else "never true"
    text = f"`{asked.operator}` at column {asked.column} compares {told(left)} with {told(right)}: that is {outcome}."
    yield place.error(text, "Compare values of one type.")


def _wide(schema: Schema) -> Schema:
    """The types of a schema, without the values that they are narrowed to; whole numbers and others are one."""
    wide = [{"type": "number" if each["type"] == "integer" else each["type"]} if "type" in each else ANY
            for each in options(schema)]  # fmt: skip
    return union(wide)


def _ordered_with(schema: Schema) -> Schema:
    wide = [each for each in options(_wide(schema)) if each.get("type") in ("number", "string", None)]
    return union([*wide, NULL]) if wide else NULL


def _near_fit(ref: Ref, given: Schema, wanted: Schema) -> str:
    """The member of what is given that would fit, where one would."""
    for each in options(without_null(given)):
        for name, schema in each.get("properties", {}).items():
            if not misfit(without_null(schema), wanted):
                return f"Did you mean {Ref(ref.node, (*ref.path, name))}?"
    return ""
