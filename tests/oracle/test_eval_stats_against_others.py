"""The statistics of evals and judges give statsmodels', scipy's and printed numbers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.regression.linear_model import OLS
    from statsmodels.regression.mixed_linear_model import MixedLM
    from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
    from statsmodels.stats.inter_rater import cohens_kappa
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.power import TTestPower
    from statsmodels.stats.proportion import proportion_confint
    from statsmodels.stats.weightstats import ttost_paired

from perdure.core.stats.agreement import gwet_ac1, kappa
from perdure.core.stats.biases import slope
from perdure.core.stats.clustered import clustered_mean, mcnemar
from perdure.core.stats.components import components
from perdure.core.stats.multiple import holm
from perdure.core.stats.power import clusters_needed
from perdure.core.stats.sequential import bounds, crossing_probability, look_bound, spent
from perdure.core.stats.shares import wilson_bounds
from perdure.core.stats.tails import (
    beta_cdf,
    beta_quantile,
    binomial_tail,
    chi2_quantile,
    fisher_exact,
    normal_tail,
    share_bounds,
    t_tail,
    t_to_z,
    z_to_t,
)
from perdure.core.stats.verdicts import Plan, compare
from perdure.core.verdict import Comparison


@pytest.mark.parametrize("df", [1, 2, 3, 7, 29, 500])
@pytest.mark.parametrize("t", [-8.0, -0.3, 0.0, 1e-9, 0.7, 2.1, 12.0, 80.0])
def test_tails_of_student_s_t(t: float, df: int) -> None:
    assert t_tail(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1.0, 20.0), (35.2, 4.7), (400.0, 600.0)])
@pytest.mark.parametrize("x", [0.0, 1e-6, 0.2, 0.41, 0.9, 1.0])
def test_the_beta_distribution(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-300)
    assert beta_quantile(0.3, a, b) == pytest.approx(stats.beta.ppf(0.3, a, b), rel=1e-9)


def test_binomial_chi_squared_and_normal_tails() -> None:
    assert binomial_tail(7, 20, 0.4) == pytest.approx(stats.binom.sf(6, 20, 0.4), rel=1e-10)
    assert (binomial_tail(0, 5), binomial_tail(6, 5)) == (1.0, 0.0)
    assert chi2_quantile(0.2, 7) == pytest.approx(stats.chi2.ppf(0.2, 7), rel=1e-9)
    assert normal_tail(9.0) == pytest.approx(stats.norm.sf(9.0), rel=1e-10)


@pytest.mark.parametrize("df", [1, 3, 11, 200])
@pytest.mark.parametrize("z", [-2.0, 0.5, 1.96, 4.33])
def test_a_z_and_its_t_are_as_rare(z: float, df: int) -> None:
    t = z_to_t(z, df)

    assert t == pytest.approx(np.sign(z) * stats.t.isf(stats.norm.sf(abs(z)), df), rel=1e-7)
    assert t_to_z(t, df) == pytest.approx(z, rel=1e-7)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (3, 7), (7, 7), (120, 1000)])
def test_exact_and_wilson_bounds_of_a_share(hits: int, n: int) -> None:
    assert share_bounds(hits, n) == pytest.approx(proportion_confint(hits, n, method="beta"), abs=1e-9)
    theirs = proportion_confint(hits, n, method="wilson")
    assert wilson_bounds(hits / n, n, quantile=stats.norm.ppf(0.975)) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("table", [(8, 2, 1, 5), (0, 10, 10, 0), (3, 3, 3, 3), (20, 1, 30, 9), (0, 0, 4, 5)])
def test_fisher_s_exact_test(table: tuple[int, int, int, int]) -> None:
    assert fisher_exact(*table) == pytest.approx(stats.fisher_exact([table[:2], table[2:]])[1], rel=1e-6)


def _clustered() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(15), rng.integers(1, 9, 15))
    return rng.normal(0.1, 0.3, len(clusters)) + rng.normal(0, 0.2, 15)[clusters], clusters, rng


def test_cr1_is_the_clustered_sandwich_of_a_regression_on_a_constant() -> None:
    values, clusters, _ = _clustered()
    theirs = OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": clusters})

    ours = clustered_mean(values, clusters, kind="CR1")

    # theirs multiplies by (n - 1) / (n - k), which is 1 for one column.
    assert (ours.value, ours.se) == pytest.approx((theirs.params[0], theirs.bse[0]), rel=1e-12)


def test_cr3_is_the_jackknife_by_refits_also_with_weights() -> None:
    values, clusters, rng = _clustered()
    weights = rng.uniform(0.5, 2.0, len(values))
    without = [np.average(values[clusters != g], weights=weights[clusters != g]) for g in range(15)]
    mean = np.average(values, weights=weights)

    ours = clustered_mean(values, clusters, weights=weights)

    assert ours.value == pytest.approx(mean)
    assert ours.se == pytest.approx(np.sqrt(14 / 15 * np.square(np.array(without) - mean).sum()))


def test_the_slope_of_a_bias_is_that_of_least_squares_with_its_jackknife() -> None:
    values, clusters, rng = _clustered()
    trait = rng.normal(size=len(values)) + values

    def fitted(kept: np.ndarray) -> float:
        return float(OLS(values[kept], np.column_stack([np.ones(kept.sum()), trait[kept]])).fit().params[1])

    whole = fitted(np.ones(len(values), dtype=bool))
    without = np.array([fitted(clusters != g) for g in range(15)])
    half = stats.t.ppf(0.975, 13) * np.sqrt(14 / 15 * np.square(without - whole).sum())

    ours = slope(trait, values, clusters)

    assert (ours.value, ours.high - ours.value) == pytest.approx((whole, half), rel=1e-4)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 9), (6, 6), (133, 10)])
def test_mcnemar_s_exact_test(first: int, second: int) -> None:
    assert mcnemar(first, second) == pytest.approx(sm_mcnemar([[5, first], [second, 5]], exact=True).pvalue)


def test_o_brien_and_fleming_s_and_pocock_s_spending_give_the_printed_bounds() -> None:
    """Jennison and Turnbull (2000), and gsDesign: five looks, one-sided .025."""
    looks = (0.2, 0.4, 0.6, 0.8, 1.0)
    pocock = tuple(0.025 * np.log(1 + (np.e - 1) * t) for t in looks)

    assert bounds(looks, tuple(spent(t) for t in looks)) == pytest.approx(
        [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4
    )
    assert bounds(looks, pocock) == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=2e-4)


def test_the_error_spent_is_that_of_a_multivariate_normal() -> None:
    looks = np.array([0.3, 0.55, 1.0])
    found = bounds(tuple(looks), tuple(spent(t) for t in looks))
    together = np.sqrt(np.minimum.outer(looks, looks) / np.maximum.outer(looks, looks))

    stays = stats.multivariate_normal.cdf(np.array(found), mean=np.zeros(3), cov=together, rng=np.random.default_rng(0))

    assert 1.0 - stays == pytest.approx(0.025, abs=5e-5)
    assert crossing_probability(tuple(looks), found, 0.0) == pytest.approx(0.025, abs=1e-8)
    shifted = stats.multivariate_normal.cdf(
        np.array(found), mean=2.8 * np.sqrt(looks), cov=together, rng=np.random.default_rng(0)
    )
    assert crossing_probability(tuple(looks), found, 2.8) == pytest.approx(1.0 - shifted, abs=5e-5)


def test_a_run_that_ends_early_or_late_spends_the_rest_of_its_error() -> None:
    for seen in (80, 100, 130):
        planned = [25.0, 50.0, 75.0, float(seen)]
        found = [look_bound(k, 4, int(planned[k - 1]), 100) for k in (1, 2, 3, 4)]
        assert crossing_probability([each / seen for each in planned], found, 0.0) == pytest.approx(0.025, abs=1e-6)


def test_clusters_needed_are_those_of_the_paired_t_test() -> None:
    theirs = TTestPower().solve_power(0.06 / 0.3, alpha=0.05, power=0.8)

    assert theirs == pytest.approx(198.15, abs=0.01)
    assert 0 <= clusters_needed(0.06, 0.09) - theirs < 1.5


def test_equivalence_is_that_of_two_one_sided_tests() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(0.5, 0.2, 60), rng.normal(0.5, 0.2, 60)
    p = ttost_paired(first, second, -0.1, 0.1)[0]
    assert p < 0.05

    for margin in (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1):
        told = compare(first - second, np.arange(60), Plan(margin, 0.03, 60, n_looks=1)).comparison
        theirs = ttost_paired(first, second, -margin, margin)[0] < 0.05
        assert (told is Comparison.EQUIVALENT) == theirs


def test_holm() -> None:
    p = np.random.default_rng(1).uniform(size=12) ** 2

    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_kappa_and_its_error(weights: str) -> None:
    tables = [np.array([[40, 9], [6, 45]]), np.array([[20, 5, 1], [4, 30, 6], [0, 7, 27]])]
    for table in tables:
        theirs = cohens_kappa(table, wt=None if weights == "none" else weights)
        value, error = kappa(table, weights=weights)  # type: ignore[arg-type, misc]
        assert (value, error) == pytest.approx((theirs.kappa, theirs.std_kappa))


def test_gwet_s_coefficient_of_a_printed_table() -> None:
    """Gwet (2008), table 1 and section 3: 118 of 125 agreed on, kappa -.02 and AC1 .94."""
    table = np.array([[118, 5], [2, 0]])
    found = kappa(table)

    assert gwet_ac1(table) == pytest.approx(0.941, abs=1e-3)
    assert found is not None
    assert found[0] == pytest.approx(-0.023, abs=1e-3)


def test_the_split_of_variance_is_that_of_a_mixed_model() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.3, (60, 1)) + rng.normal(0, 0.2, (60, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = MixedLM(scores.ravel(), np.ones(240), groups=np.repeat(np.arange(60), 4)).fit(reml=True)

    found = components(scores)

    assert found.case == pytest.approx(float(np.asarray(fitted.cov_re)[0, 0]), rel=1e-3)
    assert found.sample == pytest.approx(fitted.scale, rel=1e-3)
