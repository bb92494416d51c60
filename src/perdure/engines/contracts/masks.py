"""Constraints as polars expressions that are true where a typed value is suspicious.

A mask may flag too much, never too little: Pydantic judges what is flagged. Used by `frames`.
"""

from __future__ import annotations

import polars as pl

from perdure.assets.fields import FieldSpec, int_range


def suspicious(spec: FieldSpec) -> list[pl.Expr]:
    """Expressions over the typed column of that name; null counts as not suspicious."""
    column = pl.col(spec.name)
    found = [] if spec.nullable else [column.is_null()]
    if spec.choices:
        found.append(~column.is_in(list(spec.choices)))
    elif spec.type == "str":
        found += _text(column, spec)
    elif spec.type == "int":
        low, high = int_range(spec)
        found.append(~column.is_between(low, high))
        if spec.multiple_of is not None:
            found.append(column % int(spec.multiple_of) != 0)
    elif spec.type != "bool":
        found += _bounds(column, spec)
    return found


def _text(column: pl.Expr, spec: FieldSpec) -> list[pl.Expr]:
    found = []
    if spec.min_length is not None:
        found.append(column.str.len_chars() < spec.min_length)
    if spec.max_length is not None:
        found.append(column.str.len_chars() > spec.max_length)
    if spec.pattern is not None and spec.fast:
        found.append(~column.str.contains(spec.pattern))
        # polars and Pydantic may carry different tables of Unicode; for ASCII all agree.
        found.append(column.str.len_bytes() != column.str.len_chars())
    return found


def _bounds(column: pl.Expr, spec: FieldSpec) -> list[pl.Expr]:
    found = [~column.is_finite()] if spec.type == "float" else []
    if spec.gt is not None:
        found.append(column <= spec.gt)
    if spec.ge is not None:
        found.append(column < spec.ge)
    if spec.lt is not None:
        found.append(column >= spec.lt)
    if spec.le is not None:
        found.append(column > spec.le)
    return found


def fits_polars(pattern: str) -> bool:
    """Whether polars can run the pattern too; its limits are not those of Pydantic."""
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError:
        return False
    return True
