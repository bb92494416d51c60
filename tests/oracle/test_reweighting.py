"""The split of a rise against worlds whose importance weights and parts are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.metrics import roc_auc_score

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats import clustered_mean_interval, mean_interval
from perdure.engines.drift.cross_fit import separability
from perdure.engines.drift.reweight import LossRows, importance, split_rise

Rng = np.random.Generator
SHIFT, CONCEPT, DIFFICULTY = 0.8, 1.5, 2.0


def _rows(rng: Rng, n: int, *, shift: float = 0.0, concept: float = 1.0) -> LossRows:
    """Two inputs; the first moves and makes rows difficult, the second is noise."""
    x = rng.normal(size=(n, 2))
    x[:, 0] += shift
    loss = concept * np.exp(x[:, 0] / DIFFICULTY) * rng.exponential(1.0, n)
    return LossRows(x.astype(np.float32), loss)


def _expected_loss(shift: float) -> float:
    """E exp(X / 2) of a normal X of that mean."""
    return float(np.exp(shift / DIFFICULTY + 0.5 / DIFFICULTY**2))


@pytest.mark.parametrize("seed", range(3))
def test_weights_follow_the_true_density_ratio(seed: int) -> None:
    rng = np.random.default_rng(seed)
    healthy, now = _rows(rng, 6000), _rows(rng, 6000, shift=SHIFT)
    weights = importance(healthy, now)
    x = healthy.x[:, 0].astype(np.float64)
    truth = stats.norm.pdf(x, SHIFT) / stats.norm.pdf(x)
    assert stats.spearmanr(weights.ratio, truth).statistic > 0.95
    assert_allclose(weights.ratio.mean(), 1.0, atol=0.02)
    # Kish's size of the true weights is n exp(-shift²).
    assert_allclose(weights.n_effective, 6000 * np.exp(-(SHIFT**2)), rtol=0.25)
    assert_allclose(weights.separability, stats.norm.cdf(SHIFT / np.sqrt(2)), atol=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_a_pure_move_of_the_inputs_is_explained_by_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    split = split_rise(_rows(rng, 5000), _rows(rng, 5000, shift=SHIFT))
    assert_allclose(split.expected.value, _expected_loss(SHIFT), rtol=0.08)
    assert split.by_inputs.low > 0.0
    assert abs(split.by_relation.value) < 0.2 * split.rise.value
    assert split.weights.enough


@pytest.mark.parametrize("seed", range(5))
def test_a_pure_change_of_the_relation_is_left_when_the_inputs_are_accounted_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    split = split_rise(_rows(rng, 3000), _rows(rng, 3000, concept=CONCEPT))
    assert split.by_relation.low > 0.0
    assert_allclose(split.by_relation.value, (CONCEPT - 1.0) * _expected_loss(0.0), rtol=0.25)
    assert abs(split.by_inputs.value) < 0.1 * split.rise.value


@pytest.mark.parametrize("seed", range(3))
def test_where_inputs_left_what_is_known_like_is_compared_with_like(seed: int) -> None:
    """Nearly nothing in common: the plain split blames the relation, the comparison of likes does not."""
    rng = np.random.default_rng(seed)
    far = split_rise(_rows(rng, 4000), _rows(rng, 4000, shift=3.5))
    assert not far.weights.enough
    assert far.weights.covered_ratio < 0.8
    assert far.like_for_like.low <= 0.0
    both = split_rise(_rows(rng, 4000), _rows(rng, 4000, shift=3.5, concept=2.5))
    assert both.like_for_like.low > 0.0


def test_nothing_in_common_is_compared_with_nothing() -> None:
    rng = np.random.default_rng(4)
    split = split_rise(_rows(rng, 500), _rows(rng, 500, shift=30.0))
    assert split.weights.covered_ratio < 0.2
    assert split.like_for_like.low == -np.inf


def test_days_that_wander_are_no_move_and_do_not_hide_one() -> None:
    """Each day has a weather of its own: rows of a day are alike, days are not."""
    rng = np.random.default_rng(0)

    def side(shift: float, first_day: int) -> LossRows:
        day = first_day + rng.integers(0, 8, 3000)
        weather = rng.normal(size=100)[day]
        x = np.column_stack([rng.normal(shift, 1.0, 3000), weather])
        return LossRows(x.astype(np.float32), np.exp(x[:, 0] / DIFFICULTY) * rng.exponential(1.0, 3000), day)

    split = split_rise(side(0.0, 0), side(SHIFT, 50))
    assert split.by_inputs.low > 0.0
    assert abs(split.by_relation.value) < 0.25 * split.rise.value


def test_bounds_hold_the_truth_about_as_often_as_they_say() -> None:
    """With nothing moved, of 30 small worlds few are sure of a part that is not there."""
    sure = []
    for seed in range(30):
        rng = np.random.default_rng(1000 + seed)
        split = split_rise(_rows(rng, 300), _rows(rng, 300))
        sure.append((split.by_relation.low > 0.0, split.by_inputs.low > 0.0, split.rise.low > 0.0))
    assert np.array(sure).mean(axis=0).max() <= 0.1


def test_the_order_of_the_rows_changes_no_digit() -> None:
    rng = np.random.default_rng(3)
    day = rng.integers(0, 9, 800)
    plain, moved = _rows(rng, 800), _rows(rng, 800, shift=0.5)
    x = plain.x.copy()
    x[::7, 1] = np.nan
    sides = [LossRows(x, plain.loss, day), LossRows(moved.x, moved.loss, day + 20)]
    orders = [rng.permutation(800), rng.permutation(800)]
    mixed = [
        LossRows(side.x[order], side.loss[order], side.clusters[order])
        for side, order in zip(sides, orders, strict=True)
        if side.clusters is not None
    ]
    first, second = split_rise(*sides), split_rise(*mixed)
    assert _figures(first) == _figures(second)
    assert np.array_equal(first.weights.ratio[orders[0]], second.weights.ratio)


def _figures(split: Any) -> list[tuple[float, float, float]]:
    names = ("healthy", "current", "expected", "rise", "by_inputs", "by_relation", "like_for_like")
    return [(part.value, part.low, part.high) for part in (getattr(split, name) for name in names)]


def test_plain_means_have_the_usual_standard_errors() -> None:
    """Without weights the linearised residuals are those of a mean, by row and by cluster."""
    rng = np.random.default_rng(5)
    x, loss, day = rng.normal(size=(400, 1)).astype(np.float32), rng.normal(5.0, 1.0, 400), rng.integers(0, 12, 400)
    by_row, by_day = split_rise(LossRows(x, loss), LossRows(x, loss)), split_rise(*[LossRows(x, loss, day)] * 2)
    for found, reference in (
        (by_row.healthy, mean_interval(loss)),
        (by_day.healthy, clustered_mean_interval(loss, day)),
    ):
        assert_allclose(
            (found.value, found.low, found.high), (reference.value, reference.low, reference.high), rtol=0.02
        )
    welch = stats.ttest_ind(loss, loss, equal_var=False).confidence_interval()
    assert_allclose((by_row.rise.low, by_row.rise.high), (welch.low, welch.high), rtol=1e-3)


def test_separability_is_the_area_under_the_roc_curve() -> None:
    rng = np.random.default_rng(6)
    healthy, now = rng.normal(size=150).round(1), rng.normal(0.4, 1.0, 90).round(1)
    area, error = separability(healthy, now)
    assert_allclose(area, roc_auc_score(np.repeat([0, 1], [150, 90]), np.concatenate([healthy, now])))
    assert 0.02 < error < 0.06


def test_too_few_rows_and_shapes_that_do_not_fit_are_told() -> None:
    rng = np.random.default_rng(8)
    enough = _rows(rng, 60)
    with pytest.raises(TooFewRows, match="49 rows"):
        split_rise(_rows(rng, 49), enough)
    with pytest.raises(DeclarationError, match="shape"):
        split_rise(LossRows(enough.x[:, :1], enough.loss), enough)
    with pytest.raises(DeclarationError, match="finite"):
        split_rise(LossRows(enough.x, np.full(60, np.nan)), enough)
