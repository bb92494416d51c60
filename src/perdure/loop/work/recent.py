"""What a model did lately, read once for all the causes that look at it.

A `Recent` is the window of the broken error objective as diagnosing sees it: what was served since its start,
what came true, and the version that is judged. Its parts are read when first asked for. The causes of one
diagnosis share it through `Recents`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Finding, State
from perdure.assets.model import Model
from perdure.assets.version import Version
from perdure.core.stats.columns import Profile
from perdure.core.units import days
from perdure.engines.features import FeaturePlan
from perdure.engines.performance import get_metric
from perdure.engines.training.dataset import LABEL, LabelJoin
from perdure.loop.intake import table_of
from perdure.loop.protocols import Stores, Watched, Workplace
from perdure.loop.work.outcomes import (
    captures_table,
    feature_matrix,
    field_of_row,
    labels_table,
    read_captures,
)
from perdure.loop.work.performance import DECIDED_AT
from perdure.loop.work.ranges import untainted
from perdure.loop.work.rows import outcomes_between
from perdure.loop.work.versions import find_champion, get_version, plan_of, profile_of

Float1D = NDArray[np.float64]

ERROR_SIGNALS = ("mae", "rmse", "bias", "accuracy")
ENOUGH_ROWS = 50
"""Labelled rows of one side below which nothing is said of drift."""
N_SAMPLED = 10_000
"""Rows of one side that are looked at, drawn by a hash of their keys."""
_USUAL_WINDOW = days(7)
_NO_VALUE = "null"
"""How a slice of rows without a value is called."""


def day_of(instants: pl.Series) -> NDArray[np.int64]:
    """The day of each instant: errors of one day move together."""
    return instants.dt.epoch("d").cast(pl.Int64).to_numpy()


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Labelled rows: encoded inputs, label, prediction, day and slices."""

    x: NDArray[np.float32]
    y: Float1D
    prediction: Float1D
    day: NDArray[np.int64]
    slices: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.y)

    def where(self, kept: NDArray[np.bool_]) -> Outcomes:
        """The rows of a mask."""
        slices = {field: values[kept] for field, values in self.slices.items()}
        return Outcomes(self.x[kept], self.y[kept], self.prediction[kept], self.day[kept], slices)

    def plus(self, other: Outcomes) -> Outcomes:
        """Both together, with the slices that both know."""
        return Outcomes(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.prediction, other.prediction]),
            np.concatenate([self.day, other.day]),
            {
                field: np.concatenate([self.slices[field], other.slices[field]])
                for field in self.slices
                if field in other.slices
            },
        )


@dataclass(frozen=True, slots=True)
class RowLoss:
    """How wrong one prediction is; what is bad is large, also where the metric counts what is good."""

    metric: str
    unit: str

    def __call__(self, y: Float1D, prediction: Float1D) -> Float1D:
        """One loss a row, shape (n,)."""
        if self.metric == "accuracy":
            return 1.0 - get_metric("accuracy").row_loss(y, (prediction >= DECIDED_AT).astype(np.float64))
        return get_metric(self.metric).row_loss(y, prediction)

    @property
    def words(self) -> str:
        """What its mean is called."""
        return {"mae": "mean absolute error", "rmse": "mean squared error", "accuracy": "share of wrong answers"}.get(
            self.metric, "mean squared error of the probability"
        )

    @classmethod
    def of(cls, signal: str, model: type[Model]) -> RowLoss:
        """The loss behind an error signal; the usual one of the model's task where there is none."""
        if model.task == "classification":
            return cls("accuracy", "ratio") if signal == "accuracy" else cls("brier", "")
        column = model.label.column
        return cls("rmse", f"{column} squared") if signal == "rmse" else cls("mae", column)


@dataclass(frozen=True, eq=False)
class Recent:
    """A model's recent window, and the version that is judged by it. Make it with `Recents.of`."""

    place: Workplace
    asset: Watched
    findings: Sequence[Finding]
    now: datetime
    champion: Version
    over: timedelta
    loss: RowLoss
    slice: str = ""
    """`field=value` where only slices are broken, else empty."""

    @property
    def model(self) -> type[Model]:
        """The declaration."""
        declared: type[Model] = self.asset.declaration
        return declared

    @property
    def window(self) -> tuple[datetime, datetime]:
        """`[start, end)` of what was served; labels have had their delay to come."""
        end = self.now - self.model.label.delay
        return end - self.over, end

    @cached_property
    def served(self) -> pl.DataFrame:
        """Rows served from the window's start until now, by any version; in order of time."""
        columns = ["key", "version", "features", "status", "prediction", "latency_us"]
        return read_captures(self.place.stores.lake, self.asset.name, self.window[0], self.now, columns)

    @cached_property
    def joined(self) -> LabelJoin:
        """The window's rows with their labels, as the error signals see them."""
        return outcomes_between(self.place, self.model, self.window, self.now)

    @cached_property
    def version(self) -> Version:
        """The champion; where it has answered too little yet, the version that answered most of the window."""
        labelled = self.joined.frame.filter(pl.col(LABEL).is_not_null())
        counts = dict(labelled["version"].value_counts().sort("count", "version", descending=True).iter_rows())
        if not counts or counts.get(self.champion.id, 0) >= ENOUGH_ROWS:
            return self.champion
        most = next(iter(counts))
        return self.champion if counts[most] < ENOUGH_ROWS else get_version(self.place.stores.ledger, most)

    @cached_property
    def plan(self) -> FeaturePlan:
        """The judged version's features."""
        return plan_of(self.version)

    @cached_property
    def profile(self) -> Profile:
        """Of the rows that the judged version learned from."""
        return profile_of(self.place.stores.blobs, self.version)

    @property
    def names(self) -> list[str]:
        """Features, in the order of a vector."""
        return [feature.name for feature in self.plan.features]

    @cached_property
    def own(self) -> pl.DataFrame:
        """What the judged version served from the window's start until now."""
        if self.served.is_empty():
            return self.served
        return self.served.filter(pl.col("version") == self.version.id)

    @cached_property
    def outcomes(self) -> Outcomes:
        """Labelled rows of the judged version in the window; without those that used quarantined rows."""
        return self.labelled(self.window)

    def labelled(self, window: tuple[datetime, datetime]) -> Outcomes:
        """Labelled rows that the judged version served in a window, sampled by key, of the broken slice only."""
        joined = self.joined if window == self.window else outcomes_between(self.place, self.model, window, self.now)
        frame = joined.frame.filter(pl.col(LABEL).is_not_null())
        if frame.is_empty():
            return self.no_rows()
        frame = untainted(self.place, self.model, frame.filter(pl.col("version") == self.version.id), "served_at")
        if self.slice:
            field, _, value = self.slice.partition("=")
            frame = frame.filter(field_of_row(field).fill_null(_NO_VALUE) == value)
        drawn = frame.sort(pl.col("key").hash(7), "served_at", "prediction_id").head(N_SAMPLED)
        return self._with_inputs(drawn, window)

    def _with_inputs(self, drawn: pl.DataFrame, window: tuple[datetime, datetime]) -> Outcomes:
        if window == self.window:
            captured = self.own
        else:
            captured = read_captures(self.place.stores.lake, self.asset.name, *window, ["features"])
        rows = drawn.join(captured.select("prediction_id", "features"), on="prediction_id", maintain_order="left")
        if rows.is_empty():
            return self.no_rows()
        fields = self.model.slices
        texts = rows.select(field_of_row(field).fill_null(_NO_VALUE).alias(field) for field in fields)
        found = Outcomes(
            feature_matrix(rows["features"]),
            rows[LABEL].to_numpy(),
            rows["prediction"].to_numpy(),
            day_of(rows["served_at"]),
            {field: texts[field].to_numpy() for field in fields},
        )
        return found.where(np.isfinite(self.loss(found.y, found.prediction)))

    def no_rows(self) -> Outcomes:
        """Nothing, in the shape of the judged version."""
        nothing = np.empty(0)
        shape = (0, len(self.plan.features))
        return Outcomes(np.empty(shape, np.float32), nothing, nothing, nothing.astype(np.int64), {})


class Recents:
    """The recent window of the asset that is being diagnosed; the newest one is kept for the next cause.

    It is made again when anything it rests on has changed: the instant, the champion, the tables, the findings.
    """

    def __init__(self) -> None:
        self._newest: tuple[Stores, tuple[Any, ...], Recent] | None = None

    def of(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> Recent | None:
        """The asset's recent window; None while it has no champion."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None:
            return None
        model: type[Model] = asset.declaration
        signal, over, part = _studied(asset, findings)
        tables = (captures_table(asset.name), labels_table(asset.name), table_of(model.label.source.name))
        states = tuple(place.stores.lake.version(table) for table in tables)
        key = (model, now, champion.id, place.stores.ledger.sequence(), states, signal, over, part)
        newest = self._newest
        if newest is not None and newest[0] is place.stores and newest[1] == key:
            return newest[2]
        recent = Recent(place, asset, findings, now, champion, over, RowLoss.of(signal, model), part)
        self._newest = (place.stores, key, recent)
        return recent


def _studied(asset: Watched, findings: Sequence[Finding]) -> tuple[str, timedelta, str]:
    """The error signal, window and slice to look at: of what is broken, all rows before slices."""
    broken = [finding for finding in findings if finding.state is State.BROKEN and is_error(finding)]
    if broken:
        whole = [finding for finding in broken if not finding.reading.slice]
        reading = (whole or sorted(broken, key=_past_low))[0].reading
        return signal_of(reading.signal), reading.window_end - reading.window_start, reading.slice
    for objective in asset.healthy:
        if objective.spec.signal in ERROR_SIGNALS:
            return objective.spec.signal, objective.spec.over, ""
    return "", _USUAL_WINDOW, ""


def _past_low(finding: Finding) -> tuple[float, str]:
    """The slice with the largest error for sure comes first."""
    return -(finding.reading.low or 0.0), finding.reading.slice


def signal_of(series: str) -> str:
    """The signal behind a series of readings, such as `mae` of `mae@0.99`."""
    return series.partition("@")[0]


def is_error(finding: Finding) -> bool:
    """Whether a finding is about how wrong the predictions are."""
    return signal_of(finding.reading.signal) in ERROR_SIGNALS
