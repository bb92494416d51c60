"""Training-serving skew: served vectors recomputed offline as of the moment of serving: the signal `skew`.

The recomputation uses the lake's rows and the offline engine, nothing of what serving read or kept.
Serving may be ahead of the lake: online rows follow a source in every round, the lake every `Source.every`.
So only what was served before the last intake is checked; later rows wait for a later reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.stats import proportion_interval
from perdure.engines.contracts import compile_contract
from perdure.engines.features import FeaturePlan, SkewReport, compare_vectors
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.feed import AVAILABLE_AT, known_span
from perdure.loop.work.outcomes import feature_matrix, read_captures
from perdure.loop.work.ranges import recomputable, usable_rows
from perdure.loop.work.readings import exactly, reading_of
from perdure.loop.work.taken import known_until
from perdure.loop.work.versions import get_version, plan_of
from perdure.stores.lake.protocols import Lake

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the end of what the lake has of a source that was never taken in: no row was served before it."""


class SkewSignal:
    """Share of sampled served vectors that differ, in any feature, from their recomputation (float32, exact)."""

    name = "skew"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading a version that served in the window; the sample is drawn by the rows' keys.

        `facts["n_outdated"]` counts sampled rows of an older contract, `facts["n_tainted"]` those that were served
        with rows in quarantine since, or without rows that are usable again: neither can be recomputed.
        """
        start, end = self._window(place, asset, spec, now)
        served = read_captures(place.stores.lake, asset.name, start, end, ["key", "version", "row", "features"])
        if served.is_empty():
            return []
        sampled = served.sort(pl.col("key").hash(7), "served_at", "prediction_id").head(place.settings.loop.skew_sample)
        readings = []
        for (version_id,), drawn in sampled.sort("served_at", "prediction_id").group_by("version", maintain_order=True):
            plan = plan_of(get_version(place.stores.ledger, str(version_id)))
            known = _known_until(place, plan, now)
            rows = drawn.filter(pl.col("served_at") < known)
            explained = recomputable(place, plan.sources, rows, "served_at")
            n_tainted, rows = rows.height - explained.height, explained
            requests, read = request_rows(asset, rows)
            if read.is_empty():
                continue
            report = _compare(place, plan, requests, read, now)
            facts = {
                "n_mismatched": report.n_mismatched_rows,
                "n_outdated": rows.height - read.height,
                "n_tainted": n_tainted,
                "by_feature": dict(report.by_feature),
                "population_high": proportion_interval(report.n_mismatched_rows, report.n_rows).high,
            }
            # A mismatch is a fact and its absence is one too: the sample is judged as it is.
            found = exactly(report.n_mismatched_rows / report.n_rows, report.n_rows)
            more = {"window_start": start, "window_end": end, "version": str(version_id), "facts": facts}
            readings.append(reading_of(asset, spec, now, found, unit="ratio", **more))
        return readings

    def _window(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> tuple[datetime, datetime]:
        """`[start, end)`: what the lake can explain, back to the end of the last window where that is farther."""
        with place.stores.ledger.read() as session:
            pinned = {pointer.version for pointer in session.pointers.list(asset.name)}
        plans = [plan_of(get_version(place.stores.ledger, version)) for version in sorted(pinned)]
        end = min((_known_until(place, plan, now) for plan in plans), default=now)
        checked = [
            reading.window_end for reading in place.stores.readings.latest(asset.name) if reading.signal == spec.series
        ]
        return min(end - spec.over, max(checked, default=end)), end


def _known_until(place: Workplace, plan: FeaturePlan, now: datetime) -> datetime:
    """Up to when the lake has every source of the plan's stored views."""
    known = [known_until(place.stores.ledger, source) for source in plan.sources]
    return min([now, *(until or _NEVER for until in known)])


def _compare(
    place: Workplace, plan: FeaturePlan, requests: pl.DataFrame, rows: pl.DataFrame, now: datetime
) -> SkewReport:
    """Served vectors of one version against their recomputation as of the moment of serving."""
    known = histories(place.stores.lake, plan, until=now)
    history = {source: usable_rows(place, source, read) for source, read in known.items()}
    recomputed = plan.encode(plan.offline(requests.with_columns(_as_of=rows["served_at"]), "_as_of", history).frame)
    names = [feature.name for feature in plan.features]
    return compare_vectors(feature_matrix(rows["features"]), recomputed, names)


def request_rows(asset: Watched, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Captured request rows as a typed frame of the contract's fields, and those captures, in the same order.

    A row that was served under an older contract, and that the present one cannot read, is in neither.
    """
    compiled = compile_contract(asset.declaration.contract)
    try:
        decoded = msgspec.json.decode(f"[{','.join(rows['row'])}]", type=list[compiled.struct])  # type: ignore[name-defined]
        read = rows
    except msgspec.ValidationError:
        kept = [_decoded(row, compiled.struct) for row in rows["row"]]
        decoded = [row for row in kept if row is not None]
        read = rows.filter(pl.Series([row is not None for row in kept], dtype=pl.Boolean))
    columns = {name: [getattr(row, name) for row in decoded] for name in compiled.schema}
    return pl.DataFrame(columns, schema=compiled.schema), read


def _decoded(row: str, struct: type[msgspec.Struct]) -> msgspec.Struct | None:
    try:
        return msgspec.json.decode(row, type=struct)
    except msgspec.ValidationError:
        return None


def histories(lake: Lake, plan: FeaturePlan, *, until: datetime) -> Mapping[str, pl.DataFrame]:
    """Rows of every source that the plan's stored views need, known until `until`, that instant included."""
    return {
        source: lake.read(table_of(source), span=known_span(AVAILABLE_AT, None, until))
        for source in plan.sources
        if lake.version(table_of(source)) is not None
    }
