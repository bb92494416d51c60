"""What a stretch of served traffic came to: counts, error by month, skew, from the stores alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.health import Reading
from perdure.assets.model import Model
from perdure.core.stats import Interval, clustered_mean_interval, mean_interval
from perdure.engines.features import EXPIRED, FALLBACK_DEFAULT, FALLBACK_LAST_GOOD, MISSING, NOT_YET
from perdure.engines.training.dataset import LABEL, join_labels
from perdure.loop.protocols import Stores
from perdure.loop.work.outcomes import feature_matrix, read_captures, read_outcomes, read_posted_labels
from perdure.loop.work.performance import MIN_DAYS
from perdure.loop.work.versions import get_version, plan_of
from perdure.surface.quarantine import quarantined_by_origin

_STATUSES = {
    MISSING: "missing",
    EXPIRED: "expired",
    NOT_YET: "not yet",
    FALLBACK_LAST_GOOD: "last good",
    FALLBACK_DEFAULT: "default",
}


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
class DayError:
    """Absolute errors of one day."""

    day: date
    n: int
    total: float
    """Their sum, in the label's unit."""


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
    days: Sequence[DayError] = ()


def outcome(stores: Stores, model: type[Model], start: datetime, end: datetime, timezone: str = "UTC") -> Outcome:
    """Summarise what was served in `[start, end)` with the labels known by `end`; months are of `timezone`."""
    lake = stores.lake
    joined = read_outcomes(lake, model.name, model.label, (start, end), end)
    captured = read_captures(lake, model.name, start, end, ["key"])
    posted = read_posted_labels(lake, model.name, start, end)
    fates = join_labels(captured, posted, key="key", value="value", known_at="known_at", until=end)
    by_origin = quarantined_by_origin(lake)
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
        days=by_day(joined.frame, timezone),
    )


def months(joined: pl.DataFrame, timezone: str) -> list[MonthError]:
    """Error by calendar month of predictions that have their label."""
    local = pl.col("served_at").dt.convert_time_zone(timezone)
    labelled = joined.filter(pl.col(LABEL).is_not_null()).select(
        month=local.dt.strftime("%Y-%m"), day=local.dt.ordinal_day(), error=pl.col("prediction") - pl.col(LABEL)
    )
    found = []
    for (month,), rows in labelled.sort("month", maintain_order=True).group_by("month", maintain_order=True):
        interval = _by_day(rows)
        bias = float(rows.select(pl.col("error").mean()).item())
        found.append(MonthError(str(month), rows.height, interval.value, interval.low, interval.high, bias))
    return found


def by_day(joined: pl.DataFrame, timezone: str) -> list[DayError]:
    """Errors by calendar day of predictions that have their label, in order."""
    if joined.is_empty():
        return []
    labelled = joined.filter(pl.col(LABEL).is_not_null()).select(
        day=pl.col("served_at").dt.convert_time_zone(timezone).dt.date(),
        error=(pl.col("prediction") - pl.col(LABEL)).abs(),
    )
    daily = labelled.group_by("day").agg(n=pl.len(), total=pl.col("error").sort().sum()).sort("day")
    return [DayError(*row) for row in daily.iter_rows()]


def moving_error(days: Sequence[DayError], over: int = 7) -> list[tuple[date, float, int]]:
    """For each day its date, the mean absolute error of it and the days before, `over` in all, and their rows.

    >>> moving_error([DayError(date(2013, 3, 1), 2, 8.0), DayError(date(2013, 3, 2), 1, 1.0)])
    [(datetime.date(2013, 3, 1), 4.0, 2), (datetime.date(2013, 3, 2), 3.0, 3)]
    """
    found = []
    for each in days:
        window = [other for other in days if timedelta(0) <= each.day - other.day < timedelta(days=over)]
        n = sum(other.n for other in window)
        if n:
            found.append((each.day, sum(other.total for other in window) / n, n))
    return found


def mean_error(days: Sequence[DayError], first: date, last: date) -> float | None:
    """Mean absolute error over all rows of the days `first` to `last`; None where there is none."""
    inside = [each for each in days if first <= each.day <= last]
    n = sum(each.n for each in inside)
    return sum(each.total for each in inside) / n if n else None


def _by_day(rows: pl.DataFrame) -> Interval:
    """Mean absolute error; errors of one day move together, so days are what is counted where there are enough."""
    error, day = rows["error"].abs().to_numpy(), rows["day"].to_numpy()
    return clustered_mean_interval(error, day) if rows["day"].n_unique() >= MIN_DAYS else mean_interval(error)


@dataclass(frozen=True, slots=True)
class Gaps:
    """What was not there when rows were served."""

    views: dict[str, dict[str, int]]
    """Stored view → rows for which its row was `missing`, `expired` or `not yet`, or for which its
    fallback answered with the `last good` row or a `default`."""
    features: dict[str, int]
    """Feature → rows served without it, a category never seen in training included; the most first."""


def gaps(stores: Stores, model: type[Model], start: datetime, end: datetime) -> Gaps:
    """Count what was missing in the rows served in `[start, end)`."""
    served = read_captures(stores.lake, model.name, start, end, ["version", "features", "status"])
    views: dict[str, dict[str, int]] = {}
    features: dict[str, int] = {}
    for (version_id,), rows in served.group_by("version", maintain_order=True):
        plan = plan_of(get_version(stores.ledger, str(version_id)))
        missing = np.isnan(feature_matrix(rows["features"])).sum(axis=0)
        for feature, n in zip(plan.features, missing.tolist(), strict=True):
            features[feature.name] = features.get(feature.name, 0) + n
        codes = np.frombuffer(b"".join(rows["status"]), dtype=np.uint8).reshape(rows.height, -1)
        for at, view in enumerate(plan.stored_views):
            counted = views.setdefault(view.name, dict.fromkeys(_STATUSES.values(), 0))
            for code, name in _STATUSES.items():
                counted[name] += int((codes[:, at] == code).sum())
    return Gaps(views, dict(sorted(features.items(), key=lambda item: -item[1])))


def weekly(readings: list[Reading]) -> list[Reading]:
    """One reading a week out of overlapping ones: the last of each seven days, counted from the first."""
    if not readings:
        return []
    first = readings[0].at
    weeks: dict[Any, Reading] = {}
    for reading in readings:
        weeks[(reading.at - first).days // 7] = reading
    return list(weeks.values())
