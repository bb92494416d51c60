"""What a node is given, worked out from what other nodes gave: JSON with references in it, and conditions.

A text that begins with `$` is a reference; `$$` at its beginning is a `$` that means itself; every other text is itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perdure.core.errors import BadGraph
from perdure.engines.graphs.expressions import (
    SIGN,
    Compare,
    Constant,
    Every,
    Expression,
    ListOf,
    Not,
    Ref,
    Some,
    reference,
)

Values = Mapping[str, Any]
"""What nodes gave by their names; `input` and `each` too."""


@dataclass(frozen=True, slots=True)
class Members:
    """An object of which some members are references."""

    members: Mapping[str, Template]


@dataclass(frozen=True, slots=True)
class Items:
    """A list of which some items are references."""

    items: tuple[Template, ...]


Template = Ref | Constant | Members | Items


def template(value: Any) -> Template:
    """JSON as it is declared, with its references read.

    Raises:
        BadGraph: a text begins with `$` and is no reference.

    >>> resolve(template({"text": "$input.text", "price": "$$5", "n": 3}), {"input": {"text": "Hello"}})
    {'text': 'Hello', 'price': '$5', 'n': 3}
    """
    if isinstance(value, str):
        if value.startswith(SIGN * 2):
            return Constant(value[1:])
        return reference(value) if value.startswith(SIGN) else Constant(value)
    if isinstance(value, Mapping):
        return Members({str(name): template(each) for name, each in value.items()})
    if isinstance(value, list | tuple):
        return Items(tuple(template(each) for each in value))
    return Constant(value)


def template_refs(found: Template) -> Iterator[Ref]:
    """Every reference in it."""
    if isinstance(found, Ref):
        yield found
    elif isinstance(found, Members):
        for each in found.members.values():
            yield from template_refs(each)
    elif isinstance(found, Items):
        for each in found.items:
            yield from template_refs(each)


def resolve(found: Template, values: Values) -> Any:
    """The JSON that it says.

    Raises:
        BadGraph: a member is asked of what is no object, or a place of what is no list.
    """
    if isinstance(found, Ref):
        return _look_up(found, values)
    if isinstance(found, Members):
        return {name: resolve(each, values) for name, each in found.members.items()}
    if isinstance(found, Items):
        return [resolve(each, values) for each in found.items]
    return found.value


def holds(expression: Expression, values: Values) -> bool:
    """Whether a condition is true: anything but null, false, 0, and what is empty.

    Raises:
        BadGraph: values are compared that have no order, or a member is asked of what is no object.

    >>> from perdure.engines.graphs.expressions import parse
    >>> holds(parse("$sort.text in ['question', 'complaint'] and $input.n > 2"), {"sort": {"text": "question"}, "input": {"n": 3}})
    True
    """
    return bool(_evaluate(expression, values))


def _evaluate(expression: Expression, values: Values) -> Any:
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Ref):
        return _look_up(expression, values)
    if isinstance(expression, ListOf):
        return [_evaluate(each, values) for each in expression.items]
    if isinstance(expression, Not):
        return not _evaluate(expression.part, values)
    if isinstance(expression, Every):
        return all(_evaluate(each, values) for each in expression.parts)
    if isinstance(expression, Some):
        return any(_evaluate(each, values) for each in expression.parts)
    return _compare(expression, _evaluate(expression.left, values), _evaluate(expression.right, values))


def _compare(asked: Compare, left: Any, right: Any) -> bool:
    if asked.operator in ("==", "!="):
        return same(left, right) == (asked.operator == "==")
    if asked.operator == "in":
        return _contains(asked, left, right)
    if left is None or right is None:
        return False
    if not _ordered(left, right):
        raise BadGraph(
            f"`{asked.operator}` at column {asked.column} compares {_kind(left)} with {_kind(right)}.",
            hint="Only two numbers, or two texts, have an order.",
        )
    if asked.operator in ("<", "<="):
        return bool(left < right or (asked.operator == "<=" and left == right))
    return bool(left > right or (asked.operator == ">=" and left == right))


def _contains(asked: Compare, left: Any, right: Any) -> bool:
    if right is None:
        return False
    if isinstance(right, list):
        return any(same(left, each) for each in right)
    if isinstance(right, str) and isinstance(left, str):
        return left in right
    if isinstance(right, dict) and isinstance(left, str):
        return left in right
    raise BadGraph(
        f"`in` at column {asked.column} looks for {_kind(left)} in {_kind(right)}.",
        hint="Look for an item in a list, a text in a text, or a member's name in an object.",
    )


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same in JSON.

    >>> same(1, 1.0), same(True, 1), same([{"a": True}], [{"a": 1}])
    (True, False, False)
    """
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(each, right[name]) for name, each in left.items())
    return bool(left == right)


def _look_up(ref: Ref, values: Values) -> Any:
    """A part of what a node gave; null has only null in it, and so has what is missing."""
    found = values.get(ref.node)
    for place, step in enumerate(ref.path):
        if found is None:
            return None
        if isinstance(step, int) and isinstance(found, list):
            found = found[step] if step < len(found) else None
        elif isinstance(step, str) and isinstance(found, dict):
            found = found.get(step)
        else:
            there = Ref(ref.node, ref.path[:place])
            raise BadGraph(
                f"{ref} asks {'a place' if isinstance(step, int) else 'a member'} of {there}, which is {_kind(found)}.",
                hint="perdure check tells what each node gives.",
            )
    return found


def _ordered(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return True
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in (left, right))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    names = ((str, "a text"), (int | float, "a number"), (list, "a list"), (dict, "an object"))
    return next((name for kind, name in names if isinstance(value, kind)), "null")
