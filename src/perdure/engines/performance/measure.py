"""Labels and predictions → how good the model is, with intervals, by slice.

Called by training (validation metrics) and by observing (captured predictions with late labels).
Pairs without a label or a prediction are left out and not counted: their number is delay, not error.

Fewer than `MIN_ROWS` pairs give no value at all. With 5 rows an interval exists on paper, but its
coverage for skewed errors is poor, and a bound judged on it fires at random on small slices; "not
enough evidence" is the honest answer, and `n` says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats.intervals import Interval, clustered_mean_interval, mean_interval, proportion_interval
from perdure.engines.performance.metrics import Float1D, Metric, get_metric

_LARGEST_LOSS = 1e150
"""Its square is still a number; rows past it are left out, and `n` does not count them."""
MIN_ROWS = 30
"""Pairs from which a value is reported: where simulated coverage for exponential errors reaches 94%."""
_NO_LABEL = "null"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric over one slice. Without an interval nothing may be concluded from it."""

    slice: str
    """Empty for all rows, else the label of the slice; `null` for rows without one."""
    n: int
    """Pairs of label and prediction that it rests on."""
    interval: Interval | None
    """None below `MIN_ROWS` pairs, or when they lie in fewer than two clusters."""


def measure(
    metric: str,
    y: Float1D,
    prediction: Float1D,
    *,
    slices: NDArray[Any] | None = None,
    clusters: NDArray[Any] | None = None,
    confidence: float = 0.95,
) -> list[Estimate]:
    """A metric of predictions against labels: over all rows, or apart for each slice.

    Args:
        metric: a name of `list_metrics`, such as "mae".
        y: labels, shape (n,); NaN where not known yet.
        prediction: shape (n,); for brier and log_loss the probability of label 1.
        slices: the slice of each row, shape (n,), of any type that has a text; None and NaN count
            as a slice of their own.
        clusters: rows with one value have errors that move together, such as the day; wider bounds.
        confidence: of the bounds.

    Returns:
        One estimate for all rows without `slices`, else one a slice in the order of their labels.

    Raises:
        NotFound: no such metric.
        DeclarationError: lengths differ.

    Cost: O(n) and 30 µs a slice; 20 ms for 1e6 rows without slices.

    >>> label, guess = np.zeros(100), np.linspace(-1.0, 1.0, 100)
    >>> [estimate] = measure("mae", label, guess)
    >>> round(estimate.interval.value, 3), estimate.interval.low < 0.5
    (0.505, True)
    """
    chosen = get_metric(metric)
    _check_lengths(y, prediction=prediction, slices=slices, clusters=clusters)
    paired = np.isfinite(y) & np.isfinite(prediction)
    with np.errstate(over="ignore"):
        losses = chosen.row_loss(y[paired].astype(np.float64), prediction[paired].astype(np.float64))
    # A label of 1e308 is finite and its loss is not: one row must not hide all others.
    paired[paired] = usable = np.abs(losses) < _LARGEST_LOSS
    losses, groups = losses[usable], None if clusters is None else np.asarray(clusters)[paired]
    if slices is None:
        return [_estimate(chosen, "", losses, groups, confidence)]
    return [
        _estimate(chosen, label, losses[rows], None if groups is None else groups[rows], confidence)
        for label, rows in _rows_by_slice(slices, paired)
    ]


def _estimate(
    metric: Metric, label: str, losses: Float1D, clusters: NDArray[Any] | None, confidence: float
) -> Estimate:
    n = len(losses)
    if n < MIN_ROWS:
        return Estimate(label, n, None)
    try:
        return Estimate(label, n, metric.reported(_bounded(metric, losses, clusters, confidence)))
    except TooFewRows:
        return Estimate(label, n, None)


def _bounded(metric: Metric, losses: Float1D, clusters: NDArray[Any] | None, confidence: float) -> Interval:
    if clusters is not None:
        return clustered_mean_interval(losses, clusters, confidence=confidence)
    if metric.share:
        return proportion_interval(int(losses.sum()), len(losses), confidence=confidence)
    return mean_interval(losses, confidence=confidence)


def _rows_by_slice(slices: NDArray[Any], paired: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The paired rows of each slice; a slice whose labels have not come is there with no row."""
    labels, member = _coded(slices)
    member = member[paired]
    order = np.argsort(member, kind="stable")
    ends = np.searchsorted(member[order], np.arange(len(labels) + 1))
    for position, label in enumerate(labels):
        yield label, order[ends[position] : ends[position + 1]]


def _coded(slices: NDArray[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """The labels in order, as text, and the position of each row's label."""
    if slices.dtype.kind not in "biuSU":
        slices = np.array([_NO_LABEL if _is_missing(label) else str(label) for label in slices.tolist()], dtype=np.str_)
    labels, member = np.unique(slices, return_inverse=True)
    return [str(label) for label in labels.tolist()], member


def _is_missing(label: object) -> bool:
    return label is None or (isinstance(label, float) and math.isnan(label))


def _check_lengths(y: Float1D, **others: NDArray[Any] | None) -> None:
    for name, other in others.items():
        if other is not None and len(other) != len(y):
            raise DeclarationError(f"{len(y)} labels came with {len(other)} {name}.", hint="Give one a row.")
