"""What is wrong with a source: its unit changed, it went silent or thin, its contract is broken, or its values moved.

All are ways of a broken feed, which no retraining mends. The evidence of each has `onset`, the instant (by
`_available_at`) from which rows are bad or missing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.core.clock import iso
from perdure.engines.profile.novelty import onset
from perdure.engines.profile.units import UnitFit, fit_units
from perdure.loop.intake import table_of
from perdure.loop.protocols import Cause, Watched, Workplace
from perdure.loop.work.batches import Newest, off_rows, read_newest, spec_of, suspected, violations
from perdure.loop.work.feed import AVAILABLE_AT, known_span

UNIT_CHANGE = "unit_change"
STALE_FEED = "stale_feed"
VOLUME_DROP = "volume_drop"
CONTRACT_BROKEN = "contract_broken"
PROFILE_SHIFT = "profile_shift"
FEED_CAUSES = (UNIT_CHANGE, STALE_FEED, VOLUME_DROP, CONTRACT_BROKEN, PROFILE_SHIFT)
"""All ways of a broken feed: set it aside or wait for it, and never learn from it."""
_USUAL_WINDOWS = 30
_HOUR_US = 3_600_000_000


def source_causes() -> tuple[Cause, ...]:
    """The causes of the kind `source`."""
    return (UnitChange(), StaleFeed(), VolumeDrop(), ContractBroken(), ProfileShift())


def _broken(findings: Sequence[Finding], signal: str) -> Finding | None:
    """The broken finding of a signal, if any."""
    same = (each for each in findings if each.reading.signal.partition("@")[0] == signal)
    return next((each for each in same if each.state is State.BROKEN), None)


class UnitChange:
    """A column is what it was, times a factor."""

    name = UNIT_CHANGE

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """The columns with their factors; None where no known change, or one on the grid, fits."""
        looked = _off_columns(place, asset, findings, now)
        if looked is None:
            return None
        fits, evidence = looked
        changed = {name: fit for name, fit in fits.items() if fit.changed}
        if not changed:
            return None
        told = [f"{name} is {_factor(fit)} what it was: {fit.name or 'another unit'}?" for name, fit in changed.items()]
        best = max(changed.values(), key=lambda fit: (fit.on_grid_after or 0.0, -fit.distance_after))
        weight = 0.97 if best.on_grid_after is not None else 0.85
        columns = {name: _fit_facts(fit) for name, fit in changed.items()}
        text = f"{' '.join(told)} Since {evidence['onset']}."
        return RankedCause(self.name, weight, {**evidence, "columns": columns}, text)


class ProfileShift:
    """Values that the past never had, which no change of unit explains."""

    name = PROFILE_SHIFT

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """The columns with the share of such values; None where every one of them is explained."""
        looked = _off_columns(place, asset, findings, now)
        if looked is None:
            return None
        fits, evidence = looked
        unexplained = [name for name in evidence["shares"] if name not in fits or not fits[name].changed]
        if not unexplained:
            return None
        shares = {name: evidence["shares"][name] for name in unexplained}
        told = ", ".join(f"{share:.0%} of {name}" for name, share in shares.items())
        text = f"{told} are values that the past never had, and no change of unit explains them."
        weight = 0.8 if len(unexplained) == len(evidence["shares"]) else 0.5
        return RankedCause(self.name, weight, {**evidence, "shares": shares}, f"{text} Since {evidence['onset']}.")


def _off_columns(
    place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime
) -> tuple[dict[str, UnitFit], dict[str, Any]] | None:
    """Of the columns that are off their profile for sure: the fit of each number, and shared evidence."""
    if _broken(findings, "off_profile") is None:
        return None
    spec = spec_of(asset)
    newest = read_newest(place, asset.name, spec, now)
    if newest is None:
        return None
    sure = {name: each for name, each in newest.judged().items() if each.sure}
    if not sure:
        return None
    asked = suspected(place, asset.name, spec, now) or newest
    first = _onset(asked, list(sure))
    start = newest.window[AVAILABLE_AT][0] if first is None else first
    bad = asked.window.filter(pl.col(AVAILABLE_AT) >= start)
    numbers = [name for name in sure if asked.past[name].dtype.is_numeric()]
    fits = {name: fit_units(_exact(asked.past, name), _exact(bad, name), name) for name in numbers}
    evidence = {
        "onset": iso(start),
        "n_rows": bad.height,
        "shares": {name: round(each.share, 4) for name, each in sure.items()},
        "n": {name: each.n for name, each in sure.items()},
    }
    return fits, evidence


def _exact(frame: pl.DataFrame, name: str) -> Any:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _onset(asked: Newest, columns: Sequence[str]) -> datetime | None:
    """`_available_at` of the first bad row; None when no row is strange."""
    looks = {name: asked.looks(name) for name in columns}
    off, usual = off_rows(looks, asked.window, columns)
    first = onset(off, usual)
    return None if first is None else asked.window[AVAILABLE_AT][first]


def _factor(fit: UnitFit) -> str:
    return f"{fit.scale:.4g} times" if fit.offset == 0.0 else f"{fit.scale:.4g} times, {fit.offset:+.4g}"


def _fit_facts(fit: UnitFit) -> dict[str, Any]:
    return {
        "factor": round(fit.scale, 6),
        "offset": round(fit.offset, 6),
        "name": fit.name,
        "on_grid_before": fit.on_grid_before,
        "on_grid_after": fit.on_grid_after,
        "distance_before": round(fit.distance_before, 4),
        "distance_after": round(fit.distance_after, 4),
        "margin": round(fit.margin, 4),
        "n": fit.n,
    }


class StaleFeed:
    """Nothing new comes."""

    name = STALE_FEED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """How long nothing came; None while rows come."""
        thin, old = _broken(findings, "volume"), _broken(findings, "freshness_h")
        if old is None and (thin is None or thin.reading.n > 0):
            return None
        newest = _newest_at(place, asset.name, now)
        if newest is None:
            return RankedCause(self.name, 0.9, {"onset": iso(now)}, f"{asset.name} never brought a row.")
        silent_h = round((now - newest).total_seconds() / 3600.0, 2)
        evidence = {"onset": iso(newest), "silent_h": silent_h}
        return RankedCause(
            self.name, 0.9, evidence, f"No rows of {asset.name} for {silent_h:g} h, since {iso(newest)}."
        )


def _newest_at(place: Workplace, source: str, now: datetime) -> datetime | None:
    if place.stores.lake.version(table_of(source)) is None:
        return None
    rows = place.stores.lake.read(table_of(source), columns=[AVAILABLE_AT], span=known_span(AVAILABLE_AT, None, now))
    newest = rows[AVAILABLE_AT].max()
    return newest if isinstance(newest, datetime) else None


class VolumeDrop:
    """Rows come, but fewer than they did."""

    name = VOLUME_DROP

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """How many came and how many used to; None while enough come, or none do."""
        thin = _broken(findings, "volume")
        if thin is None or thin.reading.n == 0:
            return None
        over, start = thin.reading.window_end - thin.reading.window_start, thin.reading.window_start
        since = start - _USUAL_WINDOWS * over
        table = table_of(asset.name)
        rows = place.stores.lake.read(table, columns=[AVAILABLE_AT], span=known_span(AVAILABLE_AT, since, now))
        usual = float(rows.filter(pl.col(AVAILABLE_AT) <= start).height) / _USUAL_WINDOWS
        first = start + timedelta(hours=_fewer_from(rows.filter(pl.col(AVAILABLE_AT) > start), start, over, usual))
        evidence = {"onset": iso(first), "n_rows": thin.reading.n, "usual": round(usual, 1)}
        text = f"{thin.reading.n} rows of {asset.name} came where {usual:.0f} are usual."
        return RankedCause(self.name, 0.7, evidence, text)


def _fewer_from(rows: pl.DataFrame, start: datetime, over: timedelta, usual: float) -> int:
    """Hours from the window's start until fewer rows came, to stay: the most likely change of a Poisson rate."""
    n_hours = max(1, math.ceil(over / timedelta(hours=1)))
    since = (rows[AVAILABLE_AT] - start).dt.total_microseconds().to_numpy() - 1
    counts = np.bincount(np.minimum(since // _HOUR_US, n_hours - 1), minlength=n_hours)
    n_after = np.arange(n_hours, 0, -1)
    after = np.cumsum(counts[::-1])[::-1].astype(np.float64)
    before = max(usual / n_hours, 1e-9)
    ratio = after / (n_after * before)
    gain = after * np.log(np.maximum(ratio, 1e-12)) - n_after * before * (ratio - 1.0)
    return int(np.argmax(np.where(ratio < 1.0, gain, -np.inf)))


class ContractBroken:
    """Rows that their contract refuses."""

    name = CONTRACT_BROKEN

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """Violations by field; None while the share of such rows is within its bound."""
        found = _broken(findings, "violations_ratio")
        if found is None:
            return None
        start = found.reading.window_start
        bad = violations(place, asset.name, start, now)
        if bad.is_empty():
            return None
        fields = Counter(error["field"] for errors in bad["errors"] for error in msgspec.json.decode(errors))
        good = place.stores.lake.version(table_of(asset.name)) is not None
        at = bad["at"]
        off = np.ones(bad.height, dtype=np.bool_)
        if good:
            span = known_span(AVAILABLE_AT, start, now)
            rows = place.stores.lake.read(table_of(asset.name), columns=[AVAILABLE_AT], span=span)
            both = pl.concat(
                [bad.select("at", off=pl.lit(value=True)), rows.select(at=AVAILABLE_AT, off=pl.lit(value=False))]
            ).sort("at", "off", maintain_order=True)
            at, off = both["at"], both["off"].to_numpy()
        first = onset(off)
        evidence = {
            "onset": iso(at[first or 0]),
            "fields": dict(fields.most_common(10)),
            "n_bad": bad.height,
            "share": found.reading.value,
        }
        told = ", ".join(f"{name} ({n})" for name, n in fields.most_common(3))
        text = f"{bad.height} rows of {asset.name} break their contract: {told}. Since {evidence['onset']}."
        return RankedCause(self.name, 0.75, evidence, text)
