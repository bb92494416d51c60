"""Our few distribution functions and intervals give scipy's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from perdure.core.stats import adjusted_p_values, proportion_interval, quantile_interval
from perdure.core.stats.distributions import binomial_ranks, chi2_tail, normal_quantile, t_quantile


@pytest.mark.parametrize("p", [0.0001, 0.025, 0.5, 0.6, 0.9, 0.975, 0.999])
@pytest.mark.parametrize("df", [1, 2, 3, 4, 6, 30, 1000, 10**6])
def test_t_quantiles(p: float, df: int) -> None:
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=2e-5, abs=1e-12)


@pytest.mark.parametrize("df", [1, 2, 9, 50, 999])
@pytest.mark.parametrize("x", [0.0, 1e-6, 0.5, 9.0, 50.0, 1000.0, 5000.0])
def test_chi_squared_tails(x: float, df: int) -> None:
    assert chi2_tail(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.975])
def test_normal_quantiles(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(special.ndtri(p), rel=1e-9)


@pytest.mark.parametrize("n", [10, 100, 1000, 10**6])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_binomial_ranks(n: int, p: float, confidence: float) -> None:
    tail = (1 - confidence) / 2

    assert binomial_ranks(n, p, confidence) == (stats.binom.ppf(tail, n, p), stats.binom.ppf(1 - tail, n, p) + 1)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (3, 7), (7, 7), (120, 10_000)])
def test_wilson_s_interval(hits: int, n: int) -> None:
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")

    ours = proportion_interval(hits, n)

    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_quantile_s_interval_is_at_least_as_sure_as_asked() -> None:
    values = np.random.default_rng(0).permutation(500).astype(np.float64)

    interval = quantile_interval(values, 0.3)

    low, high = int(interval.low) + 1, int(interval.high) + 1
    assert stats.binom.cdf(high - 1, 500, 0.3) - stats.binom.cdf(low - 1, 500, 0.3) >= 0.95
    assert interval.value == 149.0


def test_benjamini_hochberg() -> None:
    p = np.random.default_rng(1).uniform(size=40) ** 3

    np.testing.assert_allclose(adjusted_p_values(p), stats.false_discovery_control(p))
