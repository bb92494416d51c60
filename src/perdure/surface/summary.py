"""What a stretch of served traffic came to: counts, error by month, skew, from the stores alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.model import Model
from perdure.core.stats import mean_interval
from perdure.engines.training.dataset import LABEL, join_labels
from perdure.loop.protocols import Stores
from perdure.loop.work.outcomes import read_captures, read_outcomes, read_posted_labels


@dataclass(frozen=True, slots=True)
class MonthError:
    """Mean absolute error of one calendar month with its 95% interval, in the label's unit."""

    month: str
    """Such as `2013-03`."""
    n: int
    mae: float
    low: float
    high: float
    bias: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts of a stretch of traffic."""

    rows_captured: int
    labels: int
    labels_joined: int
    labels_orphaned: int
    labels_duplicated: int
    labels_corrected: int
    quarantined_rows: int
    quarantined_by_origin: dict[str, int]
    skew_checked: int
    skew_mismatches: int
    months: list[MonthError]


def outcome(stores: Stores, model: type[Model], start: datetime, end: datetime, timezone: str = "UTC") -> Outcome:
    """Summarise what was served in `[start, end)` with the labels known by `end`; months are of `timezone`."""
    lake = stores.lake
    joined = read_outcomes(lake, model.name, model.label, (start, end), end)
    captured = read_captures(lake, model.name, start, end, ["key"])
    posted = read_posted_labels(lake, model.name, start, end)
    fates = join_labels(captured, posted, key="key", value="value", known_at="known_at", until=end)
    by_origin = _quarantined(stores)
    skew = [reading for reading in stores.readings.list(model.name, "skew") if start <= reading.at <= end]
    return Outcome(
        rows_captured=captured.height,
        labels=posted.height,
        labels_joined=joined.n_labelled,
        labels_orphaned=fates.n_orphaned,
        labels_duplicated=fates.n_duplicates,
        labels_corrected=fates.n_corrected,
        quarantined_rows=sum(by_origin.values()),
        quarantined_by_origin=by_origin,
        skew_checked=sum(reading.n for reading in skew),
        skew_mismatches=sum(int(reading.facts["n_mismatched"]) for reading in skew),
        months=months(joined.frame, timezone),
    )


def _quarantined(stores: Stores) -> dict[str, int]:
    if stores.lake.version("quarantine") is None:
        return {}
    counted = stores.lake.read("quarantine", columns=["origin"]).group_by("origin").len().sort("origin")
    return dict(counted.iter_rows())


def months(joined: pl.DataFrame, timezone: str) -> list[MonthError]:
    """Error by calendar month of predictions that have their label."""
    labelled = joined.filter(pl.col(LABEL).is_not_null()).select(
        month=pl.col("served_at").dt.convert_time_zone(timezone).dt.strftime("%Y-%m"),
        error=pl.col("prediction") - pl.col(LABEL),
    )
    found = []
    for (month,), rows in labelled.sort("month", maintain_order=True).group_by("month", maintain_order=True):
        interval = mean_interval(rows["error"].abs().to_numpy())
        bias = float(rows.select(pl.col("error").mean()).item())
        found.append(MonthError(str(month), rows.height, interval.value, interval.low, interval.high, bias))
    return found


def weekly(readings: list[Reading]) -> list[Reading]:
    """One reading a week out of overlapping ones: the last of each seven days, counted from the first."""
    if not readings:
        return []
    first = readings[0].at
    weeks: dict[Any, Reading] = {}
    for reading in readings:
        weeks[(reading.at - first).days // 7] = reading
    return list(weeks.values())
