"""Compiles expressions for one row: Python source is written, compiled once, and called a row.

Called by `online` (the serving path) and by whoever computes a view on single rows. Null is None.
The source holds one statement group a step (see `steps`) and agrees to the bit with `frames`.

The source contains only names that this module makes and constants bound by name: field names are
checked to be identifiers, so text of a stored view can never become code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from keyword import iskeyword
from typing import Any, cast

from perdure.assets.expressions import Expr
from perdure.core.clock import from_us
from perdure.core.errors import BadView
from perdure.engines.features.steps import (
    COMPARISONS,
    FLOAT32_LIMIT,
    Step,
    day_of_year,
    log1p,
    power,
    round_scaled,
    steps_of,
    timestamp_s,
    unknown_operation,
)

RowFunction = Callable[[Any], tuple[Any, ...]]

# `t - t` is not zero for NaN and the infinities only, so it is the cheapest test that a float is finite.
_FINITE = "    if {t} - {t} != 0.0: {t} = None"
_MAY_OVERFLOW = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1} if {1} else INF",
    "floordiv": "{0} // {1} if {1} else INF",
    "mod": "{0} % {1} if {1} else INF",
    "pow": "POWER({0}, {1})",
    "log1p": "LOG1P({0})",
    "sqrt": "SQRT({0}) if {0} >= 0.0 else INF",
    "round": "ROUND({0}, {p})",
}
_SAFE = {
    "neg": "-{0}",
    "abs": "abs({0})",
    "number": "{0} * 1.0",
    "not": "not {0}",
    "is_in": "{0} in {p}",
    "sin": "SIN({0})",
    "cos": "COS({0})",
    "floor": "FLOOR({0}) * 1.0",
    "hour": "{0}.hour * 1.0",
    "weekday": "{0}.isoweekday() * 1.0",
    "month": "{0}.month * 1.0",
    "day_of_year": "DAY_OF_YEAR({0}) * 1.0",
    "timestamp_s": "TIMESTAMP_S({0})",
    "concat": "{0} + {1}",
    "lower": "{0}.lower()",
    "length": "len({0}) * 1.0",
    **{name: f"{{0}} {sign} {{1}}" for name, sign in COMPARISONS.items()},
}
_SEES_NULL = {
    "and": "False if {0} is False or {1} is False else None if {0} is None or {1} is None else True",
    "or": "True if {0} is True or {1} is True else None if {0} is None or {1} is None else False",
    "is_null": "{0} is None",
    "fill_null": "{1} if {0} is None else {0}",
    "when": "{1} if {0} else {2}",
}
# Numbers that 32 bits always hold and that are never -0.0, so nothing is checked when they leave.
_SMALL = frozenset({"hour", "weekday", "month", "day_of_year", "length", "number", "cos"})
_NAMES: Mapping[str, Any] = {
    "INF": math.inf,
    "NAN": math.nan,
    "LIMIT": FLOAT32_LIMIT,
    "UTC": UTC,
    "POWER": power,
    "LOG1P": log1p,
    "SQRT": math.sqrt,
    "SIN": math.sin,
    "COS": math.cos,
    "FLOOR": math.floor,
    "ROUND": round_scaled,
    "DAY_OF_YEAR": day_of_year,
    "TIMESTAMP_S": timestamp_s,
}


@dataclass(slots=True)
class RowSource:
    """Source of a function of rows while it is written: its lines and the names they use."""

    lines: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=lambda: dict(_NAMES))

    def bind(self, value: Any) -> str:
        """A name that stands for `value` in the source."""
        name = f"K{len(self.names)}"
        self.names[name] = value
        return name

    def compile(self, signature: str) -> Callable[..., Any]:
        """The function `def <signature>:` with the lines as its body."""
        body = "\n".join(f"    {line}" for line in self.lines)
        name = signature.partition("(")[0]
        source = f"def {signature}:\n{body}\n"
        space = dict(self.names)
        # The module's docstring says why nothing of a user can get in here.
        exec(compile(source, f"<features:{name}>", "exec"), space)  # noqa: S102
        return cast("Callable[..., Any]", space[name])


def compile_row(exprs: Mapping[str, Expr], *, mappings: bool = False) -> RowFunction:
    """A function from one row to its features, a tuple in the order of `exprs`.

    A row is any object with the contract's fields as attributes, or with `mappings` a mapping; an
    instant is an aware datetime. A number comes as float, a truth value as bool, a category as str,
    null as None. Cost: about 0.1 µs an operation.

    >>> gust = Expr("field", "number", param="gust")
    >>> compile_row({"doubled": gust * 2.0, "calm": gust < 5.0}, mappings=True)({"gust": 3.0})
    (6.0, True)

    Raises:
        BadView: an unknown operation.
    """
    source = RowSource()
    results = write_steps(source, exprs.values(), mappings=mappings)
    outputs = [_raw(result, step) for result, step in results]
    source.lines.append(f"return ({', '.join(outputs)},)")
    return cast(RowFunction, source.compile("features(row)"))


def write_steps(source: RowSource, exprs: Iterable[Expr], *, mappings: bool) -> list[tuple[str, Step]]:
    """Append the statements that compute `exprs` from `row`; returns the name and step of each result.

    Raises:
        BadView: an unknown operation.
    """
    steps, outputs = steps_of(exprs)
    names: list[str] = []
    nullable: list[bool] = []
    for at, step in enumerate(steps):
        if step.op == "const":
            names.append(_constant(source, step))
            nullable.append(step.param is None)
            continue
        names.append(f"t{at}")
        args = [names[arg] for arg in step.args]
        guards = [names[arg] for arg in step.args if nullable[arg]]
        nullable.append(step.op != "is_null" and (bool(guards) or step.op == "field" or step.op in _MAY_OVERFLOW))
        source.lines += _statements(source, step, names[at], args, guards, mappings)
    return [(names[at], steps[at]) for at in outputs]


def encoded(source: RowSource, name: str, step: Step, codes: Mapping[str, int] | None) -> str:
    """The result as a float for a model's vector: NaN where it is missing, a category's code."""
    if codes is not None:
        return f"{source.bind(dict(codes))}.get({name}, NAN)"
    if step.type == "bool" or step.op in _SMALL:
        return f"NAN if {name} is None else {name}"
    return f"NAN if {name} is None or not -LIMIT < {name} < LIMIT else {name} + 0.0"


def field_of_row(name: str, *, mappings: bool) -> str:
    """The source that reads a field of `row`.

    Raises:
        BadView: the name is no identifier.
    """
    if not name.isidentifier() or iskeyword(name):
        raise BadView(f"{name!r} cannot be the name of a field.", hint="Use letters, digits and underscores.")
    return f'row["{name}"]' if mappings else f"row.{name}"


def _raw(name: str, step: Step) -> str:
    if step.type != "number" or step.op in _SMALL:
        return name
    return f"(None if {name} is None or not -LIMIT < {name} < LIMIT else {name} + 0.0)"


def _constant(source: RowSource, step: Step) -> str:
    if step.param is None:
        return "None"
    return source.bind(from_us(cast(int, step.param)) if step.type == "instant" else step.param)


def _statements(source: RowSource, step: Step, t: str, args: list[str], guards: list[str], mappings: bool) -> list[str]:
    if step.op == "field":
        return _field(step, t, mappings)
    if step.op in _SEES_NULL:
        return [f"{t} = {_SEES_NULL[step.op].format(*args)}"]
    if step.op == "clip":
        low, high = (source.bind(bound) for bound in cast("tuple[float, float]", step.param))
        computed = f"{low} if {args[0]} < {low} else {high} if {args[0]} > {high} else {args[0]}"
    elif step.op in _MAY_OVERFLOW or step.op in _SAFE:
        computed = (_MAY_OVERFLOW | _SAFE)[step.op].format(*args, p=_parameter(source, step))
    else:
        raise unknown_operation(step.op)
    block = (
        [f"if {' or '.join(f'{guard} is None' for guard in guards)}: {t} = None", "else:"] if guards else ["if True:"]
    )
    block.append(f"    {t} = {computed}")
    return [*block, _FINITE.format(t=t)] if step.op in _MAY_OVERFLOW else block


def _parameter(source: RowSource, step: Step) -> str:
    if step.op == "round":
        return source.bind(10.0 ** cast(int, step.param))
    if step.op == "is_in":
        return source.bind(frozenset(cast("tuple[Any, ...]", step.param)))
    return ""


def _field(step: Step, t: str, mappings: bool) -> list[str]:
    read = f"{t} = {field_of_row(cast(str, step.param), mappings=mappings)}"
    if step.type == "number":
        return [read, f"if {t} is not None:", f"    {t} = {t} * 1.0", _FINITE.format(t=t)]
    if step.type == "instant":
        return [read, f"if {t} is not None and {t}.tzinfo is not UTC: {t} = {t}.astimezone(UTC)"]
    return [read]
