"""Expressions of feature views as a person would write them, from the data that a version pins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perdure.core.clock import from_us, iso

_INFIX: Mapping[str, str] = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "pow": "**", "concat": "+",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and": "&", "or": "|",
}  # fmt: skip
_ATOMS = frozenset({"field", "const"})
_SIGNED = frozenset({"neg", "not"})


def formula(expr: Mapping[str, Any]) -> str:
    """An expression in Python's notation; fields stand by their names.

    >>> formula({"op": "lt", "type": "bool", "args": [{"op": "field", "type": "number", "param": "gust"},
    ...                                               {"op": "const", "type": "number", "param": 3.0}]})
    'gust < 3.0'
    """
    op, args = str(expr["op"]), list(expr.get("args", ()))
    if op in _INFIX and len(args) == 2:
        return f"{_inner(args[0])} {_INFIX[op]} {_inner(args[1])}"
    special = _SPECIAL.get(op)
    return special(expr, args) if special else _call(expr, args)


def _inner(expr: Mapping[str, Any]) -> str:
    """In parentheses where a sign beside it could be read as a part of it."""
    text = formula(expr)
    return f"({text})" if expr["op"] in _INFIX or expr["op"] in _SIGNED else text


def _call(expr: Mapping[str, Any], args: list[Mapping[str, Any]]) -> str:
    """`x.round(2)`; of no argument, or of several, `op(a, b)`."""
    param = expr.get("param")
    params = list(param) if isinstance(param, list | tuple) else [] if param is None else [param]
    given = [*(formula(arg) for arg in args[1:]), *(repr(each) for each in params)]
    if not args:
        return f"{expr['op']}({', '.join(given)})"
    return f"{_inner(args[0])}.{expr['op']}({', '.join(given)})"


def _const(expr: Mapping[str, Any], _args: list[Mapping[str, Any]]) -> str:
    value = expr.get("param")
    return iso(from_us(value)) if expr["type"] == "instant" and isinstance(value, int) else repr(value)


_SPECIAL: Mapping[str, Callable[[Mapping[str, Any], list[Mapping[str, Any]]], str]] = {
    "field": lambda expr, _: str(expr["param"]),
    "const": _const,
    "neg": lambda _, args: f"-{_inner(args[0])}",
    "not": lambda _, args: f"~{_inner(args[0])}",
    "number": lambda _, args: formula(args[0]) if args[0]["op"] in _ATOMS else _inner(args[0]),
    "is_in": lambda expr, args: f"{_inner(args[0])}.is_in({list(expr.get('param') or ())!r})",
    "when": lambda _, args: f"when({', '.join(formula(each) for each in args)})",
}
