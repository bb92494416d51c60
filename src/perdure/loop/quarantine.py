"""Quarantine: bad rows of a source are set aside as a time range, with everything that used them.

    found (off_profile) → range opened at the onset → last good rows online → feed right again → range closed

Training, skew and drift read `usable_rows` of sources and `untainted` captures; rounds call `review` after intake.
A range is closed where the feed has been right for at least 24 rows and 12 hours, at the first good row.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from perdure.assets.source import Source
from perdure.core.units import hours
from perdure.engines.profile.novelty import onset
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.batches import Newest, off_rows, read_newest, spec_of, violations
from perdure.loop.work.feed import AVAILABLE_AT, INSTANT, known_span
from perdure.loop.work.feed_remedies import tainted_counts
from perdure.loop.work.ranges import (
    QuarantinedRange,
    all_ranges,
    close_range,
    open_range,
    outside,
    quarantined,
    recomputable,
    untainted,
    untainted_by,
    usable_rows,
)

__all__ = [
    "SETTLE",
    "SETTLE_ROWS",
    "QuarantinedRange",
    "close_range",
    "open_range",
    "outside",
    "quarantined",
    "recomputable",
    "review",
    "untainted",
    "untainted_by",
    "usable_rows",
]

SETTLE = hours(12)
"""So long must a feed have been right before its rows are used again."""
SETTLE_ROWS = 24


def review(place: Workplace, sources: Iterable[Source], now: datetime) -> list[QuarantinedRange]:
    """Close the open range of every source whose feed is right again; returns the ranges that were closed.

    The rows since the range began are judged against the healthy past before it. Where bad ones ended, at the most
    likely instant, the range ends at the first good row, once enough good rows followed. Call it after intake and before the
    online rows are materialised; doing it again changes nothing.

    Raises:
        LostLease: another worker took over; nothing more is written.

    Cost: one look at the ledger; some 20 ms a source with an open range.
    """
    known, closed = all_ranges(place.stores.ledger), []
    for source in sources:
        ranges = known.get(source.name)
        if ranges is None or ranges.open is None:
            continue
        end = _good_again(place, source, ranges.open, now)
        if end is None:
            continue
        evidence = {"tainted": tainted_counts(place, source.name, ranges.open.start, ranges.open.mended_at)}
        done = close_range(
            place, source.name, end, reason=f"{source.name} is on its profile again", at=now, evidence=evidence
        )
        closed += [] if done is None else [done]
    return closed


def _good_again(place: Workplace, source: Source, kept: QuarantinedRange, now: datetime) -> datetime | None:
    """`_available_at` of the first good row after the bad ones; None while too few good ones followed."""
    watched = Watched(source.name, "source", tuple(source.healthy), source.policy, source)
    newest = read_newest(place, source.name, spec_of(watched), now)
    if newest is None:
        return None
    rows = _rows_since(place, newest, kept.start, now)
    backwards = rows.sort(AVAILABLE_AT, descending=True, maintain_order=True)
    judged = newest.judged(rows)
    off_profile = wrong = [name for name, each in judged.items() if each.sure]
    if not off_profile and not rows["_bad"].any():
        # Bad rows that lie before the range are past by now, and make those inside look less strange.
        off_profile = list(judged)
    looks = {name: newest.looks(name) for name in off_profile}
    strange, usual = off_rows(looks, backwards, off_profile, wrong)
    off = strange | backwards["_bad"].to_numpy()
    n_good = onset(off, usual)
    if n_good is None or n_good < SETTLE_ROWS:
        return None
    # Rows of the instant of the last bad one are bad with it.
    good = rows.filter(pl.col(AVAILABLE_AT) > backwards[AVAILABLE_AT][n_good])
    if good.height < SETTLE_ROWS:
        return None
    first, last = good[AVAILABLE_AT][0], good[AVAILABLE_AT][-1]
    if last - first < SETTLE or now - first < SETTLE:
        return None
    if any(each.sure for each in newest.judged(good).values()):
        return None
    return first if isinstance(first, datetime) else None


def _rows_since(place: Workplace, newest: Newest, start: datetime, now: datetime) -> pl.DataFrame:
    """Good and bad rows from the range's start on, by time, with `_bad`: whether the contract refused it."""
    table = f"sources/{newest.source}"
    span = known_span(AVAILABLE_AT, start - _MICROSECOND, now)
    good = place.stores.lake.read(table, span=span).with_columns(_bad=pl.lit(value=False))
    bad = violations(place, newest.source, start - _MICROSECOND, now)
    refused = bad.select(pl.col("at").cast(INSTANT).alias(AVAILABLE_AT), pl.lit(value=True).alias("_bad"))
    return pl.concat([good, refused], how="diagonal").sort(AVAILABLE_AT, maintain_order=True)


_MICROSECOND = hours(1) / 3_600_000_000
