"""Metrics give scikit-learn's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from perdure.engines.performance import measure

RNG = np.random.default_rng(0)
MINUTES = RNG.uniform(60, 300, size=500)
GUESS = MINUTES + RNG.normal(1.0, 9.0, size=500)
LATE = (RNG.uniform(size=500) < 0.3).astype(np.float64)
CHANCE = np.clip(0.3 + 0.4 * (LATE - 0.3) + RNG.normal(scale=0.1, size=500), 0.0, 1.0)
CALLED = (CHANCE > 0.4).astype(np.float64)


@pytest.mark.parametrize(
    ("metric", "y", "prediction", "theirs"),
    [
        ("mae", MINUTES, GUESS, metrics.mean_absolute_error),
        ("rmse", MINUTES, GUESS, metrics.root_mean_squared_error),
        ("bias", MINUTES, GUESS, lambda y, p: -np.mean(y - p)),
        ("accuracy", LATE, CALLED, metrics.accuracy_score),
        ("brier", LATE, CHANCE, metrics.brier_score_loss),
        ("log_loss", LATE, CHANCE, metrics.log_loss),
        ("log_loss", LATE, LATE, metrics.log_loss),
    ],
)
def test_a_metric_s_value(metric: str, y: np.ndarray, prediction: np.ndarray, theirs) -> None:
    [estimate] = measure(metric, y, prediction)

    assert estimate.interval.value == pytest.approx(theirs(y, prediction), rel=1e-9, abs=1e-12)
