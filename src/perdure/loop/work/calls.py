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

from perdure.loop.work.captured_calls import (
    ATTEMPTS,
    ATTEMPTS_SCHEMA,
    CALLS,
    CALLS_SCHEMA,
    FEEDBACK,
    FEEDBACK_SCHEMA,
    GUARDED,
    GUARDED_SCHEMA,
)
from perdure.loop.work.captured_tables import (
    LAST,
    Schema,
    last_parts,
    last_wholes,
    of_one,
    read_columns,
    wanted_columns,
)
from perdure.stores.lake.protocols import Lake, Span


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
    rows = _read(lake, CALLS, CALLS_SCHEMA, columns, Span("served_at", start, end), ("route", *LAST))
    rows = of_one(rows, "route", route)
    last = last_wholes(rows, "call_id")
    return last.sort("served_at", "call_id").select(wanted_columns(CALLS_SCHEMA, columns, ("call_id", "served_at")))


def read_attempts(
    lake: Lake, route: str | None, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Attempts of the calls that began in the window, by time, call and `place` within it; see `read_calls`."""
    rows = _read(lake, ATTEMPTS, ATTEMPTS_SCHEMA, columns, Span("served_at", start, end), ("route", "place", *LAST))
    rows = last_parts(of_one(rows, "route", route), "call_id", "place")
    return rows.select(wanted_columns(ATTEMPTS_SCHEMA, columns, ("call_id", "served_at", "place")))


def read_guarded(
    lake: Lake, guard: str | None, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Verdicts of one guard (None: of all) on calls that began in the window, by time, call and `place` within it.

    Raises: as `read_calls`.
    """
    rows = _read(lake, GUARDED, GUARDED_SCHEMA, columns, Span("served_at", start, end), ("guard", "place", *LAST))
    # The last record of a call is found among all guards' rows of it, so it is asked before one guard's are taken.
    rows = of_one(last_parts(rows, "call_id", "place"), "guard", guard)
    return rows.select(wanted_columns(GUARDED_SCHEMA, columns, ("call_id", "served_at", "place")))


def read_feedback(lake: Lake, name: str | None, start: datetime | None, end: datetime | None) -> pl.DataFrame:
    """Feedback that came in the window under a name (None: all names), by time and call.

    One row a call, name and key: of several the last that came within the window. What a call was answered is found by its
    `call_id` in `read_calls`, whose window lies before: feedback comes late.
    """
    rows = of_one(_read(lake, FEEDBACK, FEEDBACK_SCHEMA, None, Span("received_at", start, end), ()), "name", name)
    ordered = rows.sort("received_at", *LAST, "call_id", "name", "key", "value", "text")
    last = ordered.unique(["call_id", "name", "key"], keep="last", maintain_order=True)
    return last.sort("received_at", "call_id", "name", "key")


def _read(
    lake: Lake, table: str, schema: Schema, columns: Sequence[str] | None, span: Span, needed: Sequence[str]
) -> pl.DataFrame:
    return read_columns(lake, table, schema, columns, span, (*needed, "call_id", span.column))
