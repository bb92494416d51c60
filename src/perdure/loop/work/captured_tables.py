"""Tables of what was captured, whatever it was: columns made of records, and frames read back by a window.

`captured_calls` and `captured_runs` make their rows here, `calls` and `captured_runs` read them. A whole (a call, a run) that was recorded
twice has two sets of parts: the last record of it stands, with its own parts alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from perdure.core.errors import not_found
from perdure.stores.lake.protocols import Lake, Span

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

INSTANT = pl.Datetime("us", "UTC")
LAST = ("recorded_at", "batch")
"""Of two records, the later in this order stands."""


def frame(columns: Mapping[str, list[Any]], schema: Schema) -> pl.DataFrame:
    """Values as the schema's columns, but for `batch`; instants are microseconds."""
    return pl.DataFrame([_column(name, columns[name], schema[name]) for name in schema if name != "batch"])


def _column(name: str, values: list[Any], dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    if dtype == INSTANT:
        return pl.Series(name, values, pl.Int64).cast(INSTANT)
    # Not strict: an upstream's count of tokens may be beyond 64 bits, and becomes null.
    return pl.Series(name, values, dtype, strict=dtype != pl.Int64)


def body_text(body: bytes) -> str | None:
    """Bodies that are not kept are null, not empty."""
    return body.decode(errors="replace") if body else None


def read_columns(
    lake: Lake, table: str, schema: Schema, columns: Sequence[str] | None, span: Span | None, always: Sequence[str]
) -> pl.DataFrame:
    """Some columns of a table, and those that are read `always`; None: all of them. No rows where nothing was captured yet.

    Raises:
        NotFound: a column that the table does not have.
    """
    names = list(schema) if columns is None else sorted({*columns, *always})
    unknown = [name for name in names if name not in schema]
    if unknown:
        raise not_found(f"column of {table!r}", unknown[0], schema)
    if lake.version(table) is None:
        return pl.DataFrame(schema={name: schema[name] for name in names})
    return lake.read(table, columns=names, span=span)


def of_one(rows: pl.DataFrame, column: str, value: str | None) -> pl.DataFrame:
    """Rows of one value; None: of all."""
    return rows if value is None else rows.filter(pl.col(column) == value)


def last_parts(rows: pl.DataFrame, whole: str, part: str) -> pl.DataFrame:
    """The parts of each whole's last record, by time, whole and part."""
    record = pl.struct(LAST)
    last = rows.filter(record == record.sort_by(*LAST).last().over(whole))
    return last.unique([whole, part], keep="first", maintain_order=True).sort("served_at", whole, part)


def last_wholes(rows: pl.DataFrame, whole: str) -> pl.DataFrame:
    """The last record of each whole, by its id."""
    return rows.sort(whole, *LAST).unique(whole, keep="last", maintain_order=True)


def wanted_columns(schema: Schema, columns: Sequence[str] | None, always: Sequence[str]) -> list[str]:
    """In the schema's order, whatever the order that was asked for."""
    return [name for name in schema if columns is None or name in columns or name in always]
