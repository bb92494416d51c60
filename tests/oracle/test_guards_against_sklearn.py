"""Guards' numbers against scikit-learn and scipy: weights, AUC, exact bounds."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from perdure.engines.guards.evaluation import auc_interval, share_interval
from perdure.engines.guards.learned import from_artifact, load_learned
from perdure.engines.guards.learned_text import N_BITS, features, normalise
from perdure.engines.guards.learned_threshold import choose_threshold, upper_bound
from perdure.engines.guards.learned_training import train_learned

WORDS = [
    "order",
    "rules",
    "prompt",
    "refund",
    "ignore",
    "reveal",
    "parcel",
    "above",
    "system",
    "thanks",
    "where",
    "mine",
]


def texts(n: int = 120) -> tuple[list[str], list[bool]]:
    rng = random.Random(4)
    labels = [bool(n % 2) for n in range(n)]
    return [" ".join(rng.choices(WORDS[4:] if label else WORDS[:8], k=9)) for label in labels], labels


def test_the_evidence_of_short_texts_is_scikit_learn_s_decision_function() -> None:
    """By another solver (lbfgs), on the same n-grams built here by hand."""
    some, labels = texts()
    parts = from_artifact(train_learned(some, labels, [""] * len(some), max_false_block=0.1, seed=0).artifact)
    found = [features(normalise(text)) for text in some]
    seen = np.zeros(2**N_BITS)
    for each in found:
        seen[np.unique(each.buckets)] += 1
    rarity = math.log1p(len(some)) - np.log1p(seen) + 1
    rarity /= np.average(rarity[seen > 0], weights=seen[seen > 0])
    rows = [np.bincount(each.buckets, minlength=2**N_BITS) * rarity / math.sqrt(len(each.buckets)) for each in found]
    x = np.array(rows)[:, seen > 0]
    theirs = LogisticRegression(C=3.0, tol=1e-8, max_iter=500).fit(x, labels).decision_function(x)
    ours = np.array([parts.weights[each.buckets].sum() / math.sqrt(len(each.buckets)) for each in found])

    np.testing.assert_allclose(ours + parts.settings.intercept, theirs, atol=0.05)


def test_the_share_of_harmless_texts_above_the_threshold_is_within_what_is_allowed() -> None:
    some, labels = texts(400)
    learned = train_learned(some, labels, [""] * 400, max_false_block=0.05, seed=0)
    fresh, fresh_labels = texts(4000)
    scorer = load_learned({}, learned.artifact)
    caught = [
        scorer.score(text) >= scorer.threshold for text, label in zip(fresh, fresh_labels, strict=True) if not label
    ]

    assert learned.report.threshold.held
    assert np.mean(caught) <= 0.05


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 149), (3, 10), (17, 2000), (500, 1000), (9_999, 10_000), (5, 5)])
def test_the_exact_bound_is_scipy_s(k: int, n: int) -> None:
    theirs = 1.0 if k == n else stats.beta.ppf(0.95, k + 1, n - k)

    assert upper_bound(k, n) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(("k", "n"), [(0, 12), (7, 12), (12, 12), (160, 400)])
def test_the_interval_of_a_share_is_clopper_and_pearson_s(k: int, n: int) -> None:
    found = share_interval(np.arange(n) < k)
    theirs = stats.binomtest(k, n).proportion_ci(0.95, "exact")

    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_a_threshold_lets_as_many_through_as_the_bound_allows_and_one_more_would_be_too_many() -> None:
    found = choose_threshold(np.random.default_rng(0).uniform(size=3000), 0.02)

    assert stats.beta.ppf(0.95, found.n_caught + 1, 3000 - found.n_caught) <= 0.02
    assert stats.beta.ppf(0.95, found.n_caught + 2, 3000 - found.n_caught - 1) > 0.02


def test_the_auc_is_scikit_learn_s_and_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth, held = float(stats.norm.cdf(1.0 / math.sqrt(2.0))), 0
    for _ in range(300):
        harmful, harmless = rng.normal(1.0, 1.0, 40).round(2), rng.normal(0.0, 1.0, 60).round(2)
        found = auc_interval(harmful, harmless)
        expected = roc_auc_score([1] * 40 + [0] * 60, np.concatenate([harmful, harmless]))
        assert found.value == pytest.approx(expected)
        held += found.low <= truth <= found.high

    assert 0.91 <= held / 300 <= 0.985
