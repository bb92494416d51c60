"""A source's newest rows against its healthy past: the signal `off_profile`, and what causes and recovery ask.

Rows count by `_available_at`. The past never holds quarantined rows; while a range is open it ends where the range
begins, and the newest rows are judged as they are, so that the incident stays until the feed is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec, off_profile
from perdure.core.clock import iso
from perdure.core.units import parse_duration
from perdure.engines.profile.novelty import (
    ColumnNovelty,
    column_novelty,
    column_values,
    judged_columns,
    known_values,
    past_bursts,
)
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.feed import AVAILABLE_AT, INSTANT, known_span
from perdure.loop.work.ranges import outside, read_ranges
from perdure.loop.work.readings import reading_of

_QUARANTINE = "quarantine"
ORIGIN = "source:"
_ENOUGH = 1.0 / 3.0
"""Of the reference that the past must cover: in its first two weeks half of what real weather brings is new."""
_GUARD = 7
"""Windows before the judged one that may be bad already: the onset is looked for there."""


@dataclass(frozen=True, slots=True, eq=False)
class Newest:
    """The newest rows of a source and the healthy past before them, both sorted by `_available_at`."""

    source: str
    past: pl.DataFrame
    window: pl.DataFrame
    over: timedelta
    past_end: datetime
    """The past holds what could be known before."""
    between: pl.DataFrame
    """Rows after the past and before the window: those of an open range."""
    enough: bool
    """Whether the past is long enough to judge by."""

    @property
    def columns(self) -> list[str]:
        """Those with values to compare."""
        return judged_columns(self.window)

    def looks(self, column: str) -> list[NDArray[Any]]:
        """The past of a column in stretches as long as the window, oldest first."""
        return self._looks()[column]

    def _looks(self) -> dict[str, list[NDArray[Any]]]:
        known_us = self.past[AVAILABLE_AT].cast(INSTANT).to_physical().to_numpy()
        end_us = int(self.past_end.timestamp() * 1_000_000)
        step_us = self.over // timedelta(microseconds=1)
        back = (end_us - known_us) // step_us
        cuts = np.flatnonzero(np.diff(back)) + 1
        return {name: list(np.split(column_values(self.past[name]), cuts)) for name in self.columns}

    def judged(self, window: pl.DataFrame | None = None, confidence: float = 0.95) -> dict[str, ColumnNovelty]:
        """Every column that can be judged, by name. Cost: some 1.5 ms a column of 60 looks of 72 rows.

        Args:
            window: rows to judge instead of the newest ones.
            confidence: of the bounds.
        """
        if not self.enough:
            return {}
        rows, looks = self.window if window is None else window, self._looks()
        found = {
            name: column_novelty(
                name, looks[name], column_values(rows[name]), n_columns=len(looks), confidence=confidence
            )
            for name in looks
        }
        return {name: each for name, each in found.items() if each is not None}


def read_newest(place: Workplace, source: str, spec: SignalSpec, now: datetime) -> Newest | None:
    """What was known at `now` of a source, split as `spec` says; None while it has no rows."""
    lake = place.stores.lake
    if lake.version(table_of(source)) is None:
        return None
    kept, start = read_ranges(place.stores.ledger, source), now - spec.over
    past_end = start if kept.open is None else min(start, kept.open.start)
    reference = parse_duration(spec.params["reference"])
    rows = lake.read(table_of(source), span=known_span(AVAILABLE_AT, past_end - reference, now))
    rows = rows.sort(AVAILABLE_AT, maintain_order=True)
    closed = [each for each in kept.ranges if each.end is not None]
    usable = outside(rows, closed)
    before = pl.col(AVAILABLE_AT) < past_end if kept.open is not None else pl.col(AVAILABLE_AT) <= past_end
    past, window = usable.filter(before), usable.filter(pl.col(AVAILABLE_AT) > start)
    between = usable.filter(~before & (pl.col(AVAILABLE_AT) <= start))
    enough = past.height > 0 and past_end - past[AVAILABLE_AT][0] >= reference * _ENOUGH
    return Newest(source, past, window, spec.over, past_end, between, enough)


def spec_of(asset: Watched) -> SignalSpec:
    """How the source's own objective measures its profile; as usual where it has none."""
    return next((each.spec for each in asset.healthy if each.spec.signal == "off_profile"), off_profile())


class OffProfileSignal:
    """The largest share, over a source's columns, of newest values that the healthy past never had."""

    name = "off_profile"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; without a value while the past or the window is too small; none before the first row.

        While a range is open only a wrong look has a value: that the feed is right is for `quarantine.review` to say.

        A lower bound above zero is only given where no healthy past explains the values. `facts["columns"]` has each
        column's share, `facts["worst"]` the one that is read, `facts["since"]` where its bad stretch begins.
        """
        newest = read_newest(place, asset.name, spec, now)
        if newest is None:
            return []
        judged = newest.judged(confidence=spec.confidence)
        worst = max(judged.values(), key=lambda each: (each.sure, each.low, each.share), default=None)
        if worst is not None and not worst.sure and read_ranges(place.stores.ledger, asset.name).open is not None:
            # Rows are set aside: a look that sees nothing strange, as in a storm, does not say that the feed is right.
            worst = None
        facts: dict[str, Any] = {"columns": {name: _facts(each) for name, each in sorted(judged.items())}}
        if worst is not None:
            facts |= {"worst": worst.column, "since": iso(newest.window[AVAILABLE_AT][worst.first])}
        if worst is None:
            return [reading_of(asset, spec, now, None, n=newest.window.height, unit="ratio", facts=facts)]
        bounds = {"value": worst.share, "low": worst.low, "high": worst.high, "n": worst.n}
        return [reading_of(asset, spec, now, None, **bounds, unit="ratio", facts=facts)]


def _facts(each: ColumnNovelty) -> dict[str, Any]:
    return {
        "share": round(each.share, 6),
        "low": round(each.low, 6),
        "n": each.n,
        "n_strange": each.n_strange,
        "n_reference": each.n_reference,
        "p_value": float(f"{each.p_value:.3g}"),
        "sure": each.sure,
    }


def off_rows(
    past: Mapping[str, Sequence[NDArray[Any]]], rows: pl.DataFrame, columns: Sequence[str], wrong: Sequence[str] = ()
) -> tuple[NDArray[np.bool_], float]:
    """Which rows have a strange value in any of the columns, shape (n,), and the share of the past that had.

    Args:
        past: healthy values by column and look.
        rows: what is asked about.
        columns: of them those that count.
        wrong: columns that were found wrong: there any new value counts, also one past what the past had often. In
            a storm nearly all wind in km/h lies there, and would be taken for right.
    """
    off, n_bursts, n_past = np.zeros(rows.height, dtype=np.bool_), 0, 1
    for name in columns:
        looks = [_present(look) for look in past[name]]
        known = known_values(np.concatenate(looks)) if looks else None
        if known is None or not (known.discrete or known.numeric):
            continue
        values = column_values(rows[name])
        present = np.array([value is not None and value == value for value in values])  # noqa: PLR0124 - NaN
        off[present] |= known.new(values[present]) if name in wrong else known.strange(values[present])
        n_bursts += sum(past_bursts(looks, known))
        n_past = max(n_past, known.n)
    return off, n_bursts / n_past


def _present(look: NDArray[Any]) -> NDArray[Any]:
    if look.dtype.kind == "f":
        finite: NDArray[Any] = look[np.isfinite(look)]
        return finite
    return np.array([value for value in look if value is not None], dtype=object)


def suspected(place: Workplace, source: str, spec: SignalSpec, now: datetime) -> Newest | None:
    """As `read_newest`, with the last seven windows before moved from the past to the rows that are asked about.

    The onset may lie there: what was bad and not yet found must not count as healthy. Where the past would become too
    short by that, it stays as it is.
    """
    newest = read_newest(place, source, spec, now)
    if newest is None:
        return None
    cut = newest.past_end - _GUARD * spec.over
    past = newest.past.filter(pl.col(AVAILABLE_AT) <= cut)
    if past.height < newest.past.height // 2:
        past, cut = newest.past, newest.past_end
    recent = newest.past.filter(pl.col(AVAILABLE_AT) > cut)
    window = pl.concat([recent, newest.between, newest.window])
    return Newest(source, past, window, spec.over, cut, newest.between.clear(), newest.enough)


def violations(place: Workplace, source: str, start: datetime, now: datetime) -> pl.DataFrame:
    """Rows of a source that broke their contract and became known in `(start, now]`: at, errors; by time."""
    lake = place.stores.lake
    empty = pl.DataFrame(schema={"at": INSTANT, "errors": pl.String})
    if lake.version(_QUARANTINE) is None:
        return empty
    kept = lake.read(_QUARANTINE, columns=["origin", "at", "errors"], span=known_span("at", start, now))
    return kept.filter(pl.col("origin") == ORIGIN + source).select("at", "errors").sort("at", maintain_order=True)
