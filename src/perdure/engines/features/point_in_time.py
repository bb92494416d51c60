"""The as-of join: for each row, the history row that was the newest one known at the row's instant.

Called by `plan` for training data, for skew checks and to find what the online store must hold.

Of the history rows with the row's key and `available_at <= as_of`, the one with the greatest
`(event_at, available_at)` counts. So a correction counts from when it became available, and a late
row of an older event never hides a newer event. Rows equal in key and both instants are put in order
by their other columns, so the answer does not depend on the order of the history.

How: history is sorted once by (key, available_at); inside a key the row with the greatest event so
far is carried forward; then each asking row needs one binary search. Key and rank of availability
are packed into one int64, because sorting and searching that is what numpy does fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.core.errors import BadView, nearest

FRESH, MISSING, EXPIRED, NOT_YET = 0, 1, 2, 3
"""Status of a joined row: usable; no such key; older than the TTL; known only later."""
FALLBACK_LAST_GOOD, FALLBACK_DEFAULT = 4, 5
"""What a view's fallback makes of the other three: a row past its TTL is used; its declared values are."""
STATUS_WORDS = (
    "fresh",
    "missing",
    "expired",
    "not_yet_available",
    "fallback_last_good",
    "fallback_default",
)
"""Each status as answers and metrics name it."""
STATUS = "_status"

Int1D = NDArray[np.int64]
_MICROSECOND = timedelta(microseconds=1)


def as_of_join(
    rows: pl.DataFrame,
    as_of: str,
    history: pl.DataFrame,
    key: str | Sequence[str],
    times: tuple[str, str],
    ttl: timedelta | None = None,
) -> pl.DataFrame:
    """The history row known for each of `rows` at its instant `as_of`.

    Args:
        rows: n rows with the key columns and `as_of`. Every row gives one row, in the same order,
            also with null keys and duplicates.
        as_of: column of `rows` with the instant from which the row looks back.
        history: m rows, in any order; those without an instant were never known.
        key: the columns, in both frames, that must be equal; null equals nothing.
        times: history's columns `(event_at, available_at)`.
        ttl: a row counts while `as_of - event_at <= ttl`; None: for ever.

    Returns: n rows: the columns of `history` but the key, null unless fresh, and `_status` (UInt8):
        0 fresh, 1 missing, 2 expired, 3 not yet available (the key has rows, all in the future).
    Raises: BadView: a column is not there.
    Cost: O((n + m) log m); 1e5 rows × 1e6 history rows × 1e4 keys about 0.4 s of CPU.

    >>> from datetime import UTC, datetime
    >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=UTC)
    >>> seen = pl.DataFrame({"k": ["a", "a"], "event": [at(1), at(2)], "known": [at(2), at(3)], "v": [10, 20]})
    >>> asked = pl.DataFrame({"k": ["a", "a", "b"], "t": [at(3), at(1), at(3)]})
    >>> as_of_join(asked, "t", seen, "k", ("event", "known")).select("v", "_status").rows()
    [(20, 0), (None, 3), (None, 1)]
    """
    keys = (key,) if isinstance(key, str) else tuple(key)
    event_at, available_at = times
    _check_columns(rows, (*keys, as_of), "The rows")
    _check_columns(history, (*keys, event_at, available_at), "The history")
    asked, known = _matched(rows, history, keys, times)
    unasked = rows.get_column(as_of).is_null().to_numpy()
    instants = _instants(rows.get_column(as_of))
    asked[unasked] = -1
    found = _found(known, asked, instants)
    status = np.where(found >= 0, FRESH, np.where(np.isin(asked, known.codes), NOT_YET, MISSING)).astype(np.uint8)
    if ttl is not None and len(known.rows):
        ages = instants - known.events[np.maximum(found, 0)]
        status[(status == FRESH) & (ages > ttl // _MICROSECOND)] = EXPIRED
    return _gathered(history.drop(keys), known.rows, found, status)


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The history rows that anyone asks for, as arrays of equal length."""

    codes: Int1D
    """The key as a number."""
    events: Int1D
    """`event_at` in microseconds, as the next."""
    available: Int1D
    rows: Int1D
    """Place in the history."""
    contents: pl.DataFrame
    """The whole history but keys and times: what orders rows that are equal in these."""


def _check_columns(frame: pl.DataFrame, needed: Sequence[str], what: str) -> None:
    for name in needed:
        if name not in frame.columns:
            near = nearest(name, frame.columns)
            raise BadView(
                f"{what} have no column {name!r}, which the point-in-time join needs.",
                hint=f"Did you mean {near!r}?" if near else f"Known: {', '.join(frame.columns)}.",
            )


def _instants(at: pl.Series) -> Int1D:
    """Microseconds since 1970; null as 0 (the caller knows which)."""
    return at.cast(pl.Datetime("us", "UTC")).to_physical().fill_null(0).to_numpy()


def _matched(
    rows: pl.DataFrame, history: pl.DataFrame, keys: tuple[str, ...], times: tuple[str, str]
) -> tuple[Int1D, _Known]:
    """The key of each row as a number (-1: null), and the history of these keys."""
    left, right = rows.select(keys), history.select(keys)
    unlike = [name for name in keys if left.schema[name] != right.schema[name]]
    left = left.with_columns(pl.col(unlike).cast(pl.String))
    right = right.with_columns(pl.col(unlike).cast(pl.String), pl.Series("_row", np.arange(len(history))))
    distinct = left.drop_nulls().unique(maintain_order=True).with_row_index("_code").cast({"_code": pl.Int64})
    asked = left.join(distinct, on=list(keys), how="left", maintain_order="left").get_column("_code")
    timed = history.select(pl.col(times).is_not_null()).select(pl.all_horizontal(pl.all())).to_series()
    known = right.filter(timed).join(distinct, on=list(keys), how="inner")
    at = known.get_column("_row")
    events, available = (_instants(history.get_column(name).gather(at)) for name in times)
    contents = history.drop(*keys, *times)
    found = _Known(known.get_column("_code").to_numpy(), events, available, at.to_numpy(), contents)
    return asked.fill_null(-1).to_numpy(writable=True), found


def _found(known: _Known, codes: Int1D, instants: Int1D) -> Int1D:
    """Place in `known` of what each code sees at each instant; -1 for nothing."""
    if not len(known.rows):
        return np.full(len(codes), -1)
    by_availability = _sorted_order(known.available)
    width = len(known.rows) + 1
    packed = known.codes[by_availability] * width + np.arange(1, width)
    packed.sort()
    order = _ties_ordered(by_availability[packed % width - 1], known)
    best = order[_best_so_far(known.codes[order], known.events[order])]
    n_available = np.searchsorted(known.available[by_availability], instants, side="right")
    at = np.searchsorted(packed, codes * width + n_available, side="right") - 1
    inside = np.maximum(at, 0)
    hit = (codes >= 0) & (at >= 0) & (packed[inside] // width == codes)
    return np.where(hit, best[inside], -1)


def _sorted_order(values: Int1D) -> Int1D:
    return np.arange(len(values)) if np.all(values[1:] >= values[:-1]) else np.argsort(values)


def _best_so_far(codes: Int1D, events: Int1D) -> Int1D:
    """Position, for each place, of the last row of its key so far whose event is the greatest so far."""
    rising = events[1:] >= events[:-1]
    if np.all(rising | (codes[1:] != codes[:-1])):
        return np.arange(len(events))
    frame = pl.DataFrame({"code": codes, "event": events})
    greatest = frame.select(pl.col("event").cum_max().over("code")).to_series().to_numpy()
    return np.maximum.accumulate(np.where(events == greatest, np.arange(len(events)), 0))


def _ties_ordered(order: Int1D, known: _Known) -> Int1D:
    """`order` with rows of one key and one availability sorted by event, then by their other columns."""
    codes, available = known.codes[order], known.available[order]
    same = (codes[1:] == codes[:-1]) & (available[1:] == available[:-1])
    if not same.any():
        return order
    tied = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    runs = np.cumsum(np.concatenate([[True], ~same]))[tied]
    members = order[tied]
    columns = sorted(known.contents.columns)
    frame = known.contents.select(pl.col(columns).name.prefix("c_"))[known.rows[members]].with_columns(
        pl.Series("run", runs), pl.Series("event", known.events[members]), pl.Series("member", members)
    )
    resolved = order.copy()
    by = ["run", "event", *(f"c_{name}" for name in columns)]
    resolved[tied] = frame.sort(by, nulls_last=False).get_column("member").to_numpy()
    return resolved


def _gathered(history: pl.DataFrame, kept: Int1D, found: Int1D, status: NDArray[np.uint8]) -> pl.DataFrame:
    places = kept[found] if len(kept) else np.zeros(len(found), np.int64)
    at = pl.select(pl.when(pl.Series(status == FRESH)).then(pl.Series(places))).to_series()
    return history.select(pl.all().gather(at)).with_columns(pl.Series(STATUS, status))
