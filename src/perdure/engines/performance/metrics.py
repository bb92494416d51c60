"""The metrics that can be measured against labels, by name. Extend with `register`.

A metric is a loss a row and a way to bound its mean; that is all that slices, clusters and intervals
need. Metrics that are no mean of rows (AUC, F1) need another record and do not belong here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, not_found
from perdure.core.stats.intervals import Interval

Float1D = NDArray[np.float64]
RowLoss = Callable[[Float1D, Float1D], Float1D]

_CERTAIN = 1e-15
"""Probabilities are kept this far from 0 and 1, as scikit-learn's `log_loss` keeps float64."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A mean over rows, in the unit it is reported in."""

    name: str
    row_loss: RowLoss
    """(labels, predictions) → one number a row, both of shape (n,)."""
    unit: Literal["label", "ratio", "nats", ""]
    """`label` for the label's own unit."""
    share: bool = False
    """Whether rows give 0 or 1 only, so that the mean is a proportion."""
    root: bool = False
    """Whether the square root of the mean is reported."""

    def reported(self, interval: Interval) -> Interval:
        """The interval of the mean, as it is reported."""
        if not self.root:
            return interval
        low, high = math.sqrt(max(0.0, interval.low)), math.sqrt(max(0.0, interval.high))
        return Interval(math.sqrt(interval.value), low, high, interval.n)


def _absolute(y: Float1D, prediction: Float1D) -> Float1D:
    return np.abs(prediction - y)


def _squared(y: Float1D, prediction: Float1D) -> Float1D:
    return (prediction - y) ** 2


def _signed(y: Float1D, prediction: Float1D) -> Float1D:
    return prediction - y


def _correct(y: Float1D, prediction: Float1D) -> Float1D:
    return np.equal(prediction, y).astype(np.float64)


def _log_loss(y: Float1D, prediction: Float1D) -> Float1D:
    p = np.clip(prediction, _CERTAIN, 1.0 - _CERTAIN)
    loss: Float1D = -(y * np.log(p) + (1.0 - y) * np.log1p(-p))
    return loss


_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", _absolute, "label"),
        Metric("rmse", _squared, "label", root=True),
        Metric("bias", _signed, "label"),
        Metric("accuracy", _correct, "ratio", share=True),
        Metric("brier", _squared, ""),
        Metric("log_loss", _log_loss, "nats"),
    )
}


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        NotFound: no such metric; names the nearest.

    >>> get_metric("mae").unit
    'label'
    """
    if name not in _METRICS:
        raise not_found("metric", name, _METRICS)
    return _METRICS[name]


def list_metrics() -> list[Metric]:
    """All metrics, by name."""
    return [_METRICS[name] for name in sorted(_METRICS)]


def register(metric: Metric) -> None:
    """Add a metric of one's own.

    Raises:
        DeclarationError: another metric has that name.
    """
    if _METRICS.get(metric.name, metric) != metric:
        raise DeclarationError(f"A metric {metric.name!r} exists already.", hint="Choose another name.")
    _METRICS[metric.name] = metric
