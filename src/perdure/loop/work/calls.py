"""Reads what the gateway did: calls of a route, their attempts, verdicts of guards, feedback. Signals and causes call it.

Every reader takes the instants `[start, end)` (None: that side is open), opens only the lake's files that may hold them,
gives rows in an order that does not depend on how they came, and counts nothing twice: of a call that was recorded twice
the last record stands, and of two values of feedback by one key on one question the last that came.

Where nothing was captured yet the frame is empty and has its columns all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from perdure.core.errors import not_found
from perdure.loop.work.captured_calls import (
    ATTEMPTS,
    ATTEMPTS_SCHEMA,
    CALLS,
    CALLS_SCHEMA,
    FEEDBACK,
    FEEDBACK_SCHEMA,
    GUARDED,
    GUARDED_SCHEMA,
    Schema,
)
from perdure.stores.lake.protocols import Lake, Span

_LAST = ("recorded_at", "batch")
"""Of two records, the later in this order stands."""


def read_calls(
    lake: Lake, route: str | None, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Calls that began in the window, one row a call, by time and id; shadows and probes too: `arm` says which.

    Args:
        lake: where the drain put them.
        route: one route's; None: of all.
        start: first instant of the domain's time.
        end: first instant after the window.
        columns: which, beside `call_id` and `served_at`; None: all of them. Bodies are wide: ask for what is needed.

    Raises:
        NotFound: a column that the table does not have.

    Cost: the files of the window, and about 0.8 µs a row.
    """
    rows = _read(lake, CALLS, CALLS_SCHEMA, columns, Span("served_at", start, end), ("route", *_LAST))
    rows = _of(rows, "route", route)
    last = rows.sort("call_id", *_LAST).unique("call_id", keep="last", maintain_order=True)
    return last.sort("served_at", "call_id").select(_wanted(CALLS_SCHEMA, columns, ("call_id", "served_at")))


def read_attempts(
    lake: Lake, route: str | None, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Attempts of the calls that began in the window, by time, call and `place` within it; see `read_calls`."""
    rows = _read(lake, ATTEMPTS, ATTEMPTS_SCHEMA, columns, Span("served_at", start, end), ("route", "place", *_LAST))
    rows = _last_records(_of(rows, "route", route))
    return rows.select(_wanted(ATTEMPTS_SCHEMA, columns, ("call_id", "served_at", "place")))


def read_guarded(
    lake: Lake, guard: str | None, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Verdicts of one guard (None: of all) on calls that began in the window, by time, call and `place` within it.

    Raises: as `read_calls`.
    """
    rows = _read(lake, GUARDED, GUARDED_SCHEMA, columns, Span("served_at", start, end), ("guard", "place", *_LAST))
    # The last record of a call is found among all guards' rows of it, so it is asked before one guard's are taken.
    rows = _of(_last_records(rows), "guard", guard)
    return rows.select(_wanted(GUARDED_SCHEMA, columns, ("call_id", "served_at", "place")))


def read_feedback(lake: Lake, name: str | None, start: datetime | None, end: datetime | None) -> pl.DataFrame:
    """Feedback that came in the window under a name (None: all names), by time and call.

    One row a call, name and key: of several the last that came within the window. What a call was answered is found by its
    `call_id` in `read_calls`, whose window lies before: feedback comes late.
    """
    rows = _of(_read(lake, FEEDBACK, FEEDBACK_SCHEMA, None, Span("received_at", start, end), ()), "name", name)
    ordered = rows.sort("received_at", *_LAST, "call_id", "name", "key", "value", "text")
    last = ordered.unique(["call_id", "name", "key"], keep="last", maintain_order=True)
    return last.sort("received_at", "call_id", "name", "key")


def _read(
    lake: Lake, table: str, schema: Schema, columns: Sequence[str] | None, span: Span, needed: Sequence[str]
) -> pl.DataFrame:
    names = list(schema) if columns is None else sorted({*columns, *needed, "call_id", span.column})
    unknown = [name for name in names if name not in schema]
    if unknown:
        raise not_found(f"column of {table!r}", unknown[0], schema)
    if lake.version(table) is None:
        return pl.DataFrame(schema={name: schema[name] for name in names})
    return lake.read(table, columns=names, span=span)


def _of(rows: pl.DataFrame, column: str, value: str | None) -> pl.DataFrame:
    return rows if value is None else rows.filter(pl.col(column) == value)


def _last_records(rows: pl.DataFrame) -> pl.DataFrame:
    """The parts of each call's last record, by time, call and place."""
    record = pl.struct(_LAST)
    last = rows.filter(record == record.sort_by(*_LAST).last().over("call_id"))
    return last.unique(["call_id", "place"], keep="first", maintain_order=True).sort("served_at", "call_id", "place")


def _wanted(schema: Schema, columns: Sequence[str] | None, always: Sequence[str]) -> list[str]:
    """In the schema's order, whatever the order that was asked for."""
    return [name for name in schema if columns is None or name in columns or name in always]
