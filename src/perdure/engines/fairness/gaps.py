"""The gap between the group that a model serves best and the one that it serves worst.

The gap of one model is fairlearn's `MetricFrame.difference`. Whether a second model's gap is wider needs
an interval of the difference of two gaps on the same rows, which no closed form gives (the best and the
worst group may be other groups for each), so rows are drawn again, whole clusters at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, MissingExtra
from perdure.core.stats import Interval

Float1D = NDArray[np.float64]

_N_DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class GroupGap:
    """Mean loss by group and the distance between the extremes, in the loss's unit."""

    by_group: Mapping[str, float]
    gap: float
    best: str
    worst: str


def group_gap(losses: Float1D, groups: NDArray[Any]) -> GroupGap:
    """The gap of one model.

    Args:
        losses: one a row, shape (n,), finite: the less the better.
        groups: the group of each row, shape (n,).

    Raises:
        MissingExtra: fairlearn is not installed.
        DeclarationError: no row.
    Cost: 10 ms; the first call imports fairlearn, which takes 3 s of CPU.
    """
    if not len(losses):
        raise DeclarationError("No row has no group.", hint="Give at least one.")
    try:
        from fairlearn.metrics import MetricFrame
    except ImportError as error:
        raise MissingExtra("fairness", needed_for="Comparing groups (Model.fair)") from error
    frame = MetricFrame(
        metrics=_mean_of_second,
        y_true=np.zeros(len(losses)),
        y_pred=losses,
        sensitive_features=np.asarray(groups, dtype=np.str_),
    )
    by_group = {str(group): float(value) for group, value in frame.by_group.items()}
    return GroupGap(
        by_group,
        float(frame.difference(method="between_groups")),
        min(by_group, key=lambda group: (by_group[group], group)),
        max(by_group, key=lambda group: (by_group[group], group)),
    )


def _mean_of_second(y_true: Float1D, y_pred: Float1D) -> float:  # noqa: ARG001 - the shape that fairlearn calls
    return float(np.mean(y_pred))


def gap_change(
    first: Float1D, second: Float1D, groups: NDArray[Any], clusters: NDArray[Any], *, confidence: float
) -> Interval:
    """The gap of `first` less the gap of `second` on the same rows, with the bounds of a clustered bootstrap.

    Args:
        first: losses of one model, shape (n,), such as the challenger's.
        second: losses of the other, shape (n,).
        groups: the group of each row, shape (n,); two or more.
        clusters: rows with one value are drawn together, shape (n,).
        confidence: two-sided, 0 to 1.

    Returns: percentile bounds; deterministic, the draws are seeded.
    Cost: O(n log n), and 2,000 draws of the clusters.

    >>> losses = np.tile([1.0, 1.0], 50)
    >>> groups = np.tile(["a", "b"], 50)
    >>> worse_on_b = losses + (groups == "b") * 0.5
    >>> change = gap_change(worse_on_b, losses, groups, np.arange(100) // 2, confidence=0.9)
    >>> change.value, change.low > 0.0
    (0.5, True)
    """
    names, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    units, cluster = np.unique(clusters, return_inverse=True)
    shape = (len(names), len(units))
    cell = member * len(units) + cluster

    def sums(weights: Float1D) -> NDArray[np.float64]:
        return np.bincount(cell, weights=weights, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    sizes, of_first, of_second = sums(np.ones(len(first))), sums(first), sums(second)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(units), np.full(len(units), 1.0 / len(units)), size=_N_DRAWS).astype(np.float64)
    changes = _gaps(of_first, sizes, drawn) - _gaps(of_second, sizes, drawn)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(changes[np.isfinite(changes)], [tail, 1.0 - tail])
    every = np.ones((1, len(units)))
    value = float((_gaps(of_first, sizes, every) - _gaps(of_second, sizes, every))[0])
    return Interval(value, float(low), float(high), len(first))


def _gaps(sums: NDArray[np.float64], sizes: NDArray[np.float64], drawn: NDArray[np.float64]) -> Float1D:
    """The gap under each draw; NaN where a group was not drawn at all."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (drawn @ sums.T) / (drawn @ sizes.T)
    gaps: Float1D = means.max(axis=1) - means.min(axis=1)
    return gaps
