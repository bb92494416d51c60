"""Measures of rankings against scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from perdure.core.stats.ranking import average_precisions, judged, ndcg


@pytest.mark.parametrize("k", [1, 5, 10, 40])
def test_ndcg_is_scikit_learn_s(k) -> None:
    """With grades of 0 to 3, over 40 ids."""
    rng = np.random.default_rng(k)
    grades = rng.choice([0, 0, 0, 1, 2, 3], size=(200, 40)).astype(float)
    grades[:, 0] = 1.0
    scores = rng.permuted(np.tile(np.arange(40.0), (200, 1)), axis=1)
    rankings = np.argsort(-scores, axis=1).tolist()
    found = ndcg(judged(rankings, [dict(enumerate(row)) for row in grades], k))
    expected = [ndcg_score(grades[i : i + 1], scores[i : i + 1], k=k) for i in range(200)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_average_precision_over_whole_rankings_is_scikit_learn_s() -> None:
    """Where all ids are ranked."""
    rng = np.random.default_rng(3)
    relevant = rng.random((200, 25)) < 0.2
    relevant[:, 0] = True
    scores = rng.permuted(np.tile(np.arange(25.0), (200, 1)), axis=1)
    rankings = np.argsort(-scores, axis=1).tolist()
    grades = [dict.fromkeys(np.flatnonzero(row).tolist(), 1.0) for row in relevant]
    expected = [average_precision_score(row, score) for row, score in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(average_precisions(judged(rankings, grades, 25)), expected, rtol=1e-12)
