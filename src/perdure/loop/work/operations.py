"""How the server and the feeds are doing: the signals `latency_ms`, `freshness_h`, `volume`, `violations_ratio`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.errors import TooFewRows
from perdure.core.stats import proportion_interval, quantile_interval
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.feed import AVAILABLE_AT, EVENT_AT, known_span
from perdure.loop.work.outcomes import read_captures


def _reading(asset: Watched, spec: SignalSpec, now: datetime, **measured: Any) -> Reading:
    fields: dict[str, Any] = {"value": None, "low": None, "high": None, **measured}
    return Reading(
        asset=asset.name,
        signal=spec.series,
        at=now,
        window_start=now - spec.over,
        window_end=now,
        **fields,
    )


class LatencySignal:
    """A quantile of the server's time a request, with the interval of its order statistics."""

    name = "latency_ms"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none while nothing was served."""
        columns = ["request_id", "latency_us"]
        served = read_captures(place.stores.lake, asset.name, now - spec.over, now, columns)
        if served.is_empty():
            return []
        requests = served.unique("request_id", keep="first", maintain_order=True)
        took_ms, quantile = requests["latency_us"].cast(pl.Float64).to_numpy() / 1000.0, spec.params["quantile"]
        try:
            found = quantile_interval(took_ms, quantile)
        except TooFewRows:
            # No order statistic bounds so far a quantile yet: the largest is shown, and nothing is judged.
            return [_reading(asset, spec, now, n=requests.height, unit="ms", facts={"largest": float(took_ms.max())})]
        bounds = {"value": found.value, "low": found.low, "high": found.high}
        return [_reading(asset, spec, now, n=requests.height, unit="ms", **bounds)]


class FreshnessSignal:
    """Age of a source's newest row at the time of observing; older than the window counts as the window."""

    name = "freshness_h"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading once the source has delivered anything."""
        rows = _source_rows(place, asset, spec, now)
        if rows is None:
            return []
        newest = rows.select(pl.col(EVENT_AT).max()).item()
        age_h = (now - newest if newest is not None else spec.over).total_seconds() / 3600.0
        return [_reading(asset, spec, now, value=age_h, n=rows.height, unit="h")]


class VolumeSignal:
    """Rows that a source delivered in the window."""

    name = "volume"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading once the source has delivered anything."""
        rows = _source_rows(place, asset, spec, now)
        if rows is None:
            return []
        return [_reading(asset, spec, now, value=float(rows.height), n=rows.height, unit="rows")]


class ViolationsSignal:
    """Share of a source's rows that broke their contract in the window."""

    name = "violations_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading once the source has delivered anything, good or bad, in the window."""
        rows = _source_rows(place, asset, spec, now)
        n_good = 0 if rows is None else rows.height
        n_bad, lake = 0, place.stores.lake
        if lake.version("quarantine") is not None:
            kept = lake.read("quarantine", columns=["origin", "at"], span=known_span("at", now - spec.over, now))
            n_bad = kept.filter(pl.col("origin") == f"source:{asset.name}").height
        n = n_good + n_bad
        if n == 0:
            return []
        found = proportion_interval(n_bad, n)
        return [_reading(asset, spec, now, value=found.value, low=found.low, high=found.high, n=n, unit="ratio")]


def _source_rows(place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> pl.DataFrame | None:
    lake, table = place.stores.lake, table_of(asset.name)
    if lake.version(table) is None:
        return None
    return lake.read(table, columns=[EVENT_AT, AVAILABLE_AT], span=known_span(AVAILABLE_AT, now - spec.over, now))
