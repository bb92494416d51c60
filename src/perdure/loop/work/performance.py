"""Error metrics from late labels: the signals `mae`, `rmse`, `bias` and `accuracy`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.canonical import plain
from perdure.engines.performance import delay_summary, measure
from perdure.engines.training.dataset import LABEL, LABEL_KNOWN_AT
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.outcomes import field_of_row
from perdure.loop.work.readings import reading_of
from perdure.loop.work.rows import outcomes_between

DECIDED_AT = 0.5
"""A classification's prediction is the probability of label 1; from here on it counts as 1."""
MIN_DAYS = 5
"""Windows of so many days or more are judged by days, not by rows: with fewer the bounds say nothing."""


class ErrorSignal:
    """One error metric over predictions of a window whose labels have had their delay to arrive.

    The window ends `label.delay` before now, so that late labels do not look like good ones.
    """

    def __init__(self, metric: str) -> None:
        self.name = metric

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or one a slice; none while nothing was served in the window."""
        label = asset.declaration.label
        end = now - label.delay
        start = end - spec.over
        joined = outcomes_between(place, asset.declaration, (start, end), now)
        if joined.frame.is_empty():
            return []
        served = joined.frame
        slices = served.select(field_of_row(spec.by).alias("slice"))["slice"] if spec.by else None
        prediction = served["prediction"].to_numpy()
        if self.name == "accuracy" and asset.declaration.task == "classification":
            prediction = (prediction >= DECIDED_AT).astype(np.float64)
        estimates = measure(
            self.name,
            served[LABEL].fill_null(float("nan")).to_numpy(),
            prediction,
            slices=None if slices is None else slices.to_numpy(),
            clusters=_days(served),
            confidence=spec.confidence,
        )
        delays = delay_summary(_delays_s(served), watermark_s=label.delay.total_seconds())
        facts = {"n_served": served.height, "n_unlabelled": joined.n_unlabelled, "label_delay": plain(delays)}
        return [
            reading_of(
                asset,
                spec,
                now,
                estimate.interval,
                window_start=start,
                window_end=end,
                n=estimate.n,
                unit="ratio" if self.name == "accuracy" else label.column,
                slice=f"{spec.by}={estimate.slice}" if spec.by else "",
                facts=facts,
            )
            for estimate in estimates
        ]


def _days(served: pl.DataFrame) -> NDArray[np.int64] | None:
    """The day of each row: errors of one day move together. None for windows of too few days to tell."""
    days = served["served_at"].dt.epoch("d").cast(pl.Int64)
    return days.to_numpy() if days.n_unique() >= MIN_DAYS else None


def _delays_s(served: pl.DataFrame) -> NDArray[np.float64]:
    delay = (pl.col(LABEL_KNOWN_AT) - pl.col("served_at")).dt.total_microseconds() / 1e6
    return served.select(delay.fill_null(float("nan")).alias("s"))["s"].to_numpy()
