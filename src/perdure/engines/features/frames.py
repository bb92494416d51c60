"""Compiles expressions for frames: one pass of numpy and polars over whole columns.

Called by `plan` for offline features and for the rows that are stored online. Numbers and truth
values are float64 arrays where NaN is null; texts and instants are polars series.

Why not polars expressions: polars multiplies by the reciprocal where it divides by a constant
(1 ulp off in 9 of 100 values of `x / 30.0`), removes `x + 0.0`, and evaluates a guarded
subexpression twice. Here a step is one IEEE operation, as in `rows`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.expressions import Expr
from perdure.core.clock import from_us
from perdure.core.errors import BadView, nearest
from perdure.engines.features.steps import FLOAT32_LIMIT, Step, log1p, power, steps_of, unknown_operation

Numbers = NDArray[np.float64]
FrameFunction = Callable[[pl.DataFrame], pl.DataFrame]

_INSTANT = pl.Datetime("us", "UTC")


def compile_frame(exprs: Mapping[str, Expr]) -> FrameFunction:
    """A function from a frame with the contract's columns to a frame of the features, row by row.

    Numbers come as Float64, truth values as Boolean, categories as String; null is missing. A
    number that 32 bits cannot hold is null. Cost: about 3 ms a million rows and operation; `**`,
    `log1p`, `sin`, `cos` and `lower` 0.1 s (a scalar call each, so that rows agree).

    >>> weather = pl.DataFrame({"gust": [3.0, None]})
    >>> gust = Expr("field", "number", param="gust")
    >>> compile_frame({"calm": gust < 5.0})(weather)["calm"].to_list()
    [True, None]

    Raises:
        BadView: an unknown operation; when called, a column that the frame lacks.
    """
    steps, outputs = steps_of(exprs.values())
    for step in steps:
        if step.op not in _OPERATIONS and step.op not in _UFUNCS:
            raise unknown_operation(step.op)

    def run(frame: pl.DataFrame) -> pl.DataFrame:
        values: list[Any] = []
        with np.errstate(all="ignore"):
            for step in steps:
                values.append(_compute(step, [values[at] for at in step.args], frame))
        columns = [_feature(steps[at], values[at], frame.height) for at in outputs]
        return pl.DataFrame(dict(zip(exprs, columns, strict=True)))

    return run


def _compute(step: Step, args: list[Any], frame: pl.DataFrame) -> Any:
    if step.op in _UFUNCS:
        return _finite(_UFUNCS[step.op](*args))
    return _OPERATIONS[step.op](step, args, frame)


def _finite(values: Numbers) -> Numbers:
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)


def _feature(step: Step, value: Any, height: int) -> pl.Series:
    if step.type == "text":
        texts = cast(pl.Series, value)
        return texts if len(texts) == height else texts.gather(np.zeros(height, np.uint32))
    numbers = np.broadcast_to(value, (height,))
    if step.type == "bool":
        return pl.Series(numbers, nan_to_null=True).cast(pl.Boolean)
    # Adding zero makes -0.0 into 0.0: its sign would depend on the path.
    kept = np.where(np.abs(numbers) < FLOAT32_LIMIT, numbers + 0.0, np.nan)
    return pl.Series(kept, nan_to_null=True)


# Leaves


def _field(step: Step, _: list[Any], frame: pl.DataFrame) -> Any:
    name = cast(str, step.param)
    if name not in frame.columns:
        near = nearest(name, frame.columns)
        raise BadView(
            f"The rows have no column {name!r}, which a feature needs.",
            hint=f"Did you mean {near!r}?" if near else f"They have {', '.join(frame.columns)}.",
        )
    column = frame.get_column(name)
    if step.type == "text":
        return column.cast(pl.String)
    if step.type == "instant":
        return column.cast(_INSTANT)
    return _finite(column.cast(pl.Float64).to_numpy())


def _const(step: Step, _: list[Any], __: pl.DataFrame) -> Any:
    if step.type == "text":
        return pl.Series([step.param], dtype=pl.String)
    if step.type == "instant":
        at = None if step.param is None else from_us(cast(int, step.param))
        return pl.Series([at], dtype=_INSTANT)
    return np.float64(math.nan if step.param is None else cast(float, step.param))


# Truth values: 1.0, 0.0, NaN


def _truth(values: pl.Series) -> Numbers:
    return values.cast(pl.Float64).to_numpy()


def _compare(ufunc: np.ufunc, method: str, _: Step, args: list[Any], __: pl.DataFrame) -> Numbers:
    left, right = args
    if isinstance(left, pl.Series):
        return _truth(getattr(left, method)(right))
    return np.where(np.isnan(left) | np.isnan(right), np.nan, ufunc(left, right))


def _and(_: Step, args: list[Numbers], __: pl.DataFrame) -> Numbers:
    left, right = args
    return np.where((left == 0.0) | (right == 0.0), 0.0, left * right)


def _or(_: Step, args: list[Numbers], __: pl.DataFrame) -> Numbers:
    left, right = args
    return np.where((left == 1.0) | (right == 1.0), 1.0, left + right)


def _is_in(step: Step, args: list[Any], _: pl.DataFrame) -> Numbers:
    (values,), wanted = args, cast("tuple[Any, ...]", step.param)
    if isinstance(values, pl.Series):
        return _truth(values.is_in(list(wanted)))
    return np.where(np.isnan(values), np.nan, np.isin(values, np.array(wanted, np.float64)))


def _is_null(_: Step, args: list[Any], __: pl.DataFrame) -> Numbers:
    (values,) = args
    return _truth(values.is_null()) if isinstance(values, pl.Series) else np.isnan(values).astype(np.float64)


# Choices


def _choose(mask: NDArray[np.bool_], then: Any, otherwise: Any) -> Any:
    if isinstance(then, pl.Series):
        chosen = pl.when(pl.Series(np.atleast_1d(mask))).then(then).otherwise(otherwise)
        return pl.select(chosen.alias("chosen")).get_column("chosen")
    return np.where(mask, then, otherwise)


def _when(_: Step, args: list[Any], __: pl.DataFrame) -> Any:
    return _choose(args[0] == 1.0, args[1], args[2])


def _fill_null(_: Step, args: list[Any], __: pl.DataFrame) -> Any:
    value, other = args
    mask = value.is_null().to_numpy() if isinstance(value, pl.Series) else np.isnan(value)
    return _choose(mask, other, value)


# Numbers


def _scalar(function: Callable[..., float], _: Step, args: list[Numbers], __: pl.DataFrame) -> Numbers:
    """`function` on each row without a null: what numpy computes with other instructions."""
    columns: Sequence[Numbers] = np.broadcast_arrays(*(np.atleast_1d(arg) for arg in args))
    known = ~np.isnan(columns).any(axis=0)
    result = np.full(known.shape, np.nan)
    result[known] = [function(*row) for row in zip(*(column[known].tolist() for column in columns), strict=True)]
    return _finite(result)


def _round(step: Step, args: list[Numbers], _: pl.DataFrame) -> Numbers:
    scale = 10.0 ** cast(int, step.param)
    return _finite(np.rint(args[0] * scale) / scale)


def _clip(step: Step, args: list[Numbers], _: pl.DataFrame) -> Numbers:
    low, high = cast("tuple[float, float]", step.param)
    return np.clip(args[0], low, high)


# Instants and texts


def _instant(part: Callable[[pl.Series], pl.Series], _: Step, args: list[pl.Series], __: pl.DataFrame) -> Numbers:
    return part(args[0]).cast(pl.Float64).to_numpy()


def _seconds(_: Step, args: list[pl.Series], __: pl.DataFrame) -> Numbers:
    return args[0].dt.timestamp("us").cast(pl.Float64).to_numpy() / 1e6


def _lower(_: Step, args: list[pl.Series], __: pl.DataFrame) -> pl.Series:
    lowered = [None if text is None else text.lower() for text in args[0].to_list()]
    return pl.Series(lowered, dtype=pl.String)


_UFUNCS: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "number": np.positive,
}
_OPERATIONS: Mapping[str, Callable[[Step, list[Any], pl.DataFrame], Any]] = {
    "field": _field,
    "const": _const,
    "eq": partial(_compare, np.equal, "__eq__"),
    "ne": partial(_compare, np.not_equal, "__ne__"),
    "lt": partial(_compare, np.less, "__lt__"),
    "le": partial(_compare, np.less_equal, "__le__"),
    "gt": partial(_compare, np.greater, "__gt__"),
    "ge": partial(_compare, np.greater_equal, "__ge__"),
    "and": _and,
    "or": _or,
    "not": lambda _, args, __: 1.0 - args[0],
    "is_in": _is_in,
    "is_null": _is_null,
    "when": _when,
    "fill_null": _fill_null,
    "pow": partial(_scalar, power),
    "log1p": partial(_scalar, log1p),
    "sin": partial(_scalar, math.sin),
    "cos": partial(_scalar, math.cos),
    "round": _round,
    "clip": _clip,
    "hour": partial(_instant, lambda at: at.dt.hour()),
    "weekday": partial(_instant, lambda at: at.dt.weekday()),
    "month": partial(_instant, lambda at: at.dt.month()),
    "day_of_year": partial(_instant, lambda at: at.dt.ordinal_day()),
    "timestamp_s": _seconds,
    "concat": lambda _, args, __: args[0] + args[1],
    "lower": _lower,
    "length": lambda _, args, __: args[0].str.len_chars().cast(pl.Float64).to_numpy(),
}
