"""The model that is left when no other can be made: a constant, or one a category.

For a regression the median of the training labels, which a few absurd ones do not move; for a
classification the share of 1. Its categories are those of the one categorical feature by which the
training error falls most. `loop.work.fallback` makes a version of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perdure.assets.model import Task, TrainingData

if TYPE_CHECKING:
    from perdure.assets.model import Float1D, Float2D

_LEAST_ROWS = 30
"""Of a category that gets a number of its own."""
_LEAST_GAIN = 0.01
"""Share of the training error by which categories must reduce it; else one constant does."""


@dataclass(frozen=True, slots=True, eq=False)
class Medians:
    """Predicts by one feature's code, or the same for all rows."""

    overall: float
    feature: int | None = None
    """Position of the categorical feature; None: a constant."""
    by_code: Float1D | None = None
    """Prediction of each code, shape (n_codes,)."""

    def predict(self, x: Float2D) -> Float1D:
        """Shape (n,); codes that training did not see, and missing ones, get the overall number."""
        answers = np.full(len(x), self.overall)
        if self.feature is None or self.by_code is None:
            return answers
        codes = x[:, self.feature]
        known = np.isfinite(codes) & (codes >= 0) & (codes < len(self.by_code))
        answers[known] = self.by_code[codes[known].astype(np.intp)]
        return answers


def fit_medians(data: TrainingData, task: Task) -> Medians:
    """The best of a constant and of one number a category. Deterministic.

    >>> x = np.array([[0.0]] * 40 + [[1.0]] * 40, dtype=np.float32)
    >>> y = np.array([5.0] * 40 + [9.0] * 40)
    >>> data = TrainingData(x, y, x, y, ["city"], {"city": ["Cusco", "Lima"]})
    >>> fit_medians(data, "regression").predict(x[[0, 79]]).tolist()
    [5.0, 9.0]
    """
    best = Medians(_centre(data.y, task))
    error = _error(best, data)
    worth = error * (1.0 - _LEAST_GAIN)
    for feature in data.categorical:
        found = _by_category(data, feature, best.overall, task)
        if _error(found, data) < worth:
            best, worth = found, _error(found, data)
    return best


def _centre(y: Float1D, task: Task) -> float:
    return float(np.median(y) if task == "regression" else np.mean(y))


def _by_category(data: TrainingData, feature: int, overall: float, task: Task) -> Medians:
    codes = data.x[:, feature]
    by_code = np.full(len(data.categories[data.features[feature]]), overall)
    for code in range(len(by_code)):
        y = data.y[codes == code]
        if len(y) >= _LEAST_ROWS:
            by_code[code] = _centre(y, task)
    return Medians(overall, feature, by_code)


def _error(model: Medians, data: TrainingData) -> float:
    return float(np.abs(model.predict(data.x) - data.y).mean())
