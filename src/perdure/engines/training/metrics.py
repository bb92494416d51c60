"""The numbers a training is judged by, over all rows and by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from perdure.assets.model import Task

if TYPE_CHECKING:
    from perdure.assets.model import Float1D

GREATER_IS_BETTER = frozenset({"accuracy"})
_MAX_SLICE_VALUES = 100
_LEAST_PROBABILITY = 1e-15


def metrics_of(y: Float1D, predicted: Float1D, task: Task) -> dict[str, float]:
    """Regression: mae, rmse, bias, in the label's unit. Classification: accuracy and log_loss (nats).

    Bias is the mean of prediction minus label. A probability counts as 1 from 0.5 on; for the log
    loss it is kept 1e-15 away from 0 and 1.

    >>> metrics_of(np.array([1.0, 3.0]), np.array([2.0, 3.0]), "regression")
    {'mae': 0.5, 'rmse': 0.7071067811865476, 'bias': 0.5}
    """
    if task == "regression":
        error = predicted - y
        return {
            "mae": float(np.abs(error).mean()),
            "rmse": float(np.sqrt(np.square(error).mean())),
            "bias": float(error.mean()),
        }
    chance = np.clip(predicted, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    surprise = -np.where(y == 1.0, np.log(chance), np.log1p(-chance))
    return {"accuracy": float(((predicted >= 0.5) == (y == 1.0)).mean()), "log_loss": float(surprise.mean())}


def metrics_by_slice(
    y: Float1D, predicted: Float1D, task: Task, slices: Mapping[str, Sequence[str | None]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Column → value → metrics and `n`; the 100 most frequent values of a column, None left out.

    Args:
        y: labels, shape (n,).
        predicted: predictions, shape (n,).
        task: which metrics.
        slices: column → its value in each of the n rows.
    """
    return {column: _by_value(y, predicted, task, values) for column, values in slices.items()}


def _by_value(y: Float1D, predicted: Float1D, task: Task, values: Sequence[str | None]) -> dict[str, dict[str, float]]:
    names = np.asarray([None if value is None else str(value) for value in values], dtype=object)
    known = np.asarray([name is not None for name in names], dtype=bool)
    counted = np.unique(names[known].astype(str), return_counts=True)
    frequent = sorted(zip(*counted, strict=True), key=lambda pair: (-pair[1], pair[0]))[:_MAX_SLICE_VALUES]
    found: dict[str, dict[str, float]] = {}
    for value, n in sorted(frequent):
        rows = names == value
        found[str(value)] = {**metrics_of(y[rows], predicted[rows], task), "n": int(n)}
    return found
