"""How the server and the feeds are doing: the signals `latency_ms`, `freshness_h`, `volume`, `violations_ratio`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.errors import TooFewRows
from perdure.core.stats import proportion_interval, quantile_interval
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.feed import AVAILABLE_AT, EVENT_AT, INSTANT, known_span
from perdure.loop.work.outcomes import read_captures
from perdure.loop.work.readings import reading_of
from perdure.loop.work.taken import known_until


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
            found = quantile_interval(took_ms, quantile, confidence=spec.confidence)
        except TooFewRows:
            # No order statistic bounds so far a quantile yet: the largest is shown, and nothing is judged.
            return [
                reading_of(
                    asset, spec, now, None, n=requests.height, unit="ms", facts={"largest": float(took_ms.max())}
                )
            ]
        return [reading_of(asset, spec, now, found, n=requests.height, unit="ms")]


class FreshnessSignal:
    """Age of a source's newest row at the time of observing, however old it is."""

    name = "freshness_h"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading once the source has been looked at."""
        rows = _source_rows(place, asset, spec, now)
        if rows is None:
            return []
        newest = rows[EVENT_AT].max()
        if newest is None and place.stores.lake.version(table_of(asset.name)) is not None:
            # Nothing came in the window: only then is the whole table asked.
            newest = place.stores.lake.read(table_of(asset.name), columns=[EVENT_AT])[EVENT_AT].max()
        if not isinstance(newest, datetime):
            return [reading_of(asset, spec, now, None, n=0, unit="h")]
        age_h = (now - newest).total_seconds() / 3600.0
        return [reading_of(asset, spec, now, None, value=age_h, n=rows.height, unit="h")]


class VolumeSignal:
    """Rows that a source delivered in the window."""

    name = "volume"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading once the source has been looked at."""
        rows = _source_rows(place, asset, spec, now)
        if rows is None:
            return []
        return [reading_of(asset, spec, now, None, value=float(rows.height), n=rows.height, unit="rows")]


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
        found = proportion_interval(n_bad, n, confidence=spec.confidence)
        return [reading_of(asset, spec, now, found, unit="ratio")]


def _source_rows(place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> pl.DataFrame | None:
    """Rows of the window; none, in a frame, of a source that never had a good row; None of one never looked at."""
    lake, table = place.stores.lake, table_of(asset.name)
    if lake.version(table) is None:
        looked_at = known_until(place.stores.ledger, asset.name) is not None
        return pl.DataFrame(schema={EVENT_AT: INSTANT, AVAILABLE_AT: INSTANT}) if looked_at else None
    return lake.read(table, columns=[EVENT_AT, AVAILABLE_AT], span=known_span(AVAILABLE_AT, now - spec.over, now))
