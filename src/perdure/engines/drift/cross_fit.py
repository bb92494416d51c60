"""What inputs alone can tell: which side a row is from, and how wrong the model usually was on such a row.

Called by `reweight`. Nothing is said of a row by a fit that saw the row's own cluster. scikit-learn's histogram
boosting takes missing values as they are, and finds what several inputs do together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float1D = NDArray[np.float64]
Float2D = NDArray[np.float32]

N_FOLDS = 3
_TREES: Mapping[str, Any] = {
    "max_iter": 50,
    "learning_rate": 0.15,
    "max_leaf_nodes": 8,
    "max_bins": 64,
    "l2_regularization": 1.0,
    "early_stopping": False,
}
_LEAF_SHARE = 100
"""A leaf holds at least so small a part of the rows: single values are no evidence of a move."""


def side_scores(
    inputs: Sequence[Float2D], clusters: Sequence[NDArray[np.int64] | None], *, seed: int
) -> tuple[Float1D, Float1D]:
    """Probability that each row is a current one, by a classifier fitted on other clusters than its own.

    Args:
        inputs: of the healthy and of the current rows, float32 of shape (n, d) and (m, d), NaN for missing.
        clusters: of both; a side with fewer than 3 clusters, or without, is folded by row.
        seed: of the folds and the classifier.

    Returns: scores of shape (n,) and (m,), for the healthy and the current rows.
    Cost: 0.25 CPU seconds for 10,000 rows of 20 features on each side.
    """
    # Loaded on the first use: it takes three CPU seconds, mostly scipy's.
    from sklearn.ensemble import HistGradientBoostingClassifier

    n = len(inputs[0])
    x, y = np.concatenate(inputs), np.repeat([0, 1], [n, len(inputs[1])])
    folds = np.concatenate([_folds(len(each), groups, seed) for each, groups in zip(inputs, clusters, strict=True)])
    scores = np.empty(len(x))
    with _one_thread():
        for fold in range(N_FOLDS):
            fit, rest = folds != fold, folds == fold
            trees = HistGradientBoostingClassifier(**_TREES, min_samples_leaf=_leaf(fit), random_state=seed)
            scores[rest] = trees.fit(x[fit], y[fit]).predict_proba(x[rest])[:, 1]
    return scores[:n], scores[n:]


def usual_losses(
    inputs: Sequence[Float2D], loss: Float1D, clusters: NDArray[np.int64] | None, *, seed: int
) -> tuple[Float1D, Float1D]:
    """The loss that rows with these inputs had while all was healthy: of healthy rows by other clusters, and of current ones.

    Args:
        inputs: of the healthy and of the current rows, float32 of shape (n, d) and (m, d).
        loss: of the healthy rows, shape (n,).
        clusters: of the healthy rows.
        seed: of the folds and the regression.

    Returns: shape (n,) and (m,); of current rows the mean over the folds' regressions.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    healthy, current = inputs
    folds = _folds(len(healthy), clusters, seed)
    own, others = np.empty(len(healthy)), np.zeros(len(current))
    with _one_thread():
        for fold in range(N_FOLDS):
            fit, rest = folds != fold, folds == fold
            trees = HistGradientBoostingRegressor(**_TREES, min_samples_leaf=_leaf(fit), random_state=seed)
            trees.fit(healthy[fit], loss[fit])
            own[rest] = trees.predict(healthy[rest])
            others += trees.predict(current) / N_FOLDS
    return own, others


def _one_thread() -> AbstractContextManager[Any]:
    """Threads of scikit-learn's loops would burn both cores waiting for each other, and sum in another order."""
    limits: AbstractContextManager[Any] = _thread_pools().limit(limits=1)
    return limits


@cache
def _thread_pools() -> Any:
    """Those of scikit-learn, which is loaded by now: looking through all loaded libraries takes some milliseconds."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped] # scikit-learn brings it, without types

    return ThreadpoolController()


def _leaf(fit: NDArray[np.bool_]) -> int:
    return max(10, int(fit.sum()) // _LEAF_SHARE)


def _folds(n: int, clusters: NDArray[np.int64] | None, seed: int) -> NDArray[np.int64]:
    """The fold of each row: one a cluster where there are enough of them."""
    rng = np.random.default_rng(seed)
    names, member = (np.arange(n), np.arange(n)) if clusters is None else np.unique(clusters, return_inverse=True)
    if len(names) < N_FOLDS:
        names, member = np.arange(n), np.arange(n)
    dealt = np.arange(len(names)) % N_FOLDS
    rng.shuffle(dealt)
    folds: NDArray[np.int64] = dealt[member]
    return folds


def separability(reference: Float1D, current: Float1D) -> tuple[float, float]:
    """How often a current row scores above a healthy one (ties count half), with its standard error.

    Cost: O(n log n).
    Source: J. Hanley, B. McNeil, Radiology 143 (1982), eq. 2.

    >>> area, error = separability(np.array([0.1, 0.4, 0.5]), np.array([0.4, 0.8]))
    >>> round(area, 3), error > 0.0
    (0.75, True)
    """
    n, m = len(reference), len(current)
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, current, side="left") + np.searchsorted(ordered, current, side="right")
    area = float(below.sum()) / 2.0 / (n * m)
    one, other = area / (2.0 - area), 2.0 * area * area / (1.0 + area)
    variance = area * (1 - area) + (m - 1) * (one - area * area) + (n - 1) * (other - area * area)
    return area, math.sqrt(max(0.0, variance) / (n * m))
