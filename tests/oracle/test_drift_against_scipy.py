"""Our drift from stored grids gives scipy's numbers from whole samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from perdure.engines.drift import chi2_p_value, js_from_counts, ks, w1

N = 20_000


def pair(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    healthy, moved = {
        "same": (rng.normal(size=N), rng.normal(size=N)),
        "shifted": (rng.normal(size=N), rng.normal(0.3, size=N // 4)),
        "wider": (rng.normal(size=N), rng.normal(scale=3.0, size=N)),
        "far away": (rng.normal(size=N), rng.normal(50.0, size=N)),
        "long tail": (rng.lognormal(sigma=1.5, size=N), rng.lognormal(0.2, sigma=1.5, size=N)),
        "few values": (rng.poisson(4, size=N), rng.poisson(5, size=N)),
        "zeros and a tail": (
            np.where(rng.uniform(size=N) < 0.6, 0.0, rng.exponential(size=N)),
            np.where(rng.uniform(size=N) < 0.5, 0.0, rng.exponential(size=N)),
        ),
        "small": (rng.normal(size=80), rng.normal(0.5, size=60)),
    }[name]
    return healthy.astype(np.float32), moved.astype(np.float32)


PAIRS = ["same", "shifted", "wider", "far away", "long tail", "few values", "zeros and a tail", "small"]


@pytest.mark.parametrize("name", PAIRS)
def test_kolmogorov_smirnov_to_a_thousandth(name: str) -> None:
    healthy, moved = pair(name)
    exact = stats.ks_2samp(healthy, moved, method="asymp").statistic

    found = ks(healthy, moved)

    assert found <= exact + 1e-9
    # Every value of a small reference is an edge; what falls between two of them is its own limit.
    assert found == pytest.approx(exact, abs=1e-3 if len(healthy) > 1000 else 0.02)


@pytest.mark.parametrize("name", PAIRS)
def test_wasserstein_to_three_thousandths(name: str) -> None:
    healthy, moved = pair(name)
    exact = stats.wasserstein_distance(healthy, moved)

    # Between the few values of a small reference, where a value lies is not known.
    within = 0.003 if len(healthy) > 1000 else 0.03
    assert w1(healthy, moved) == pytest.approx(exact, rel=within, abs=0.001 * float(np.std(healthy)))


@pytest.mark.parametrize("seed", range(5))
def test_jensen_shannon_in_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = rng.integers(0, 50, size=(2, 12))

    found = js_from_counts(p, q, corrected=False).value

    assert found == pytest.approx(jensenshannon(p, q, base=2), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_chi_squared_of_homogeneity(seed: int) -> None:
    p, q = np.random.default_rng(seed).integers(5, 50, size=(2, 8))

    theirs = stats.chi2_contingency(np.array([p, q]), correction=False).pvalue

    assert chi2_p_value(p, q) == pytest.approx(theirs, rel=1e-9)


def test_the_p_value_is_uniform_where_nothing_drifts() -> None:
    rng = np.random.default_rng(1)
    p_values = [chi2_p_value(rng.multinomial(5000, [0.1] * 10), rng.multinomial(500, [0.1] * 10)) for _ in range(1000)]

    assert stats.kstest(p_values, "uniform").pvalue > 0.01
