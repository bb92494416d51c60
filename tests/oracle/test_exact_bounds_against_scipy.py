"""Exact binomial bounds of calibration against scipy's beta quantiles."""

from __future__ import annotations

import pytest
from scipy.stats import beta

from perdure.engines.semantics.calibration import exact_upper


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (0, 299), (1, 100), (7, 20), (19, 20), (40, 5_000), (900, 1_000), (3, 10**6)]
)
def test_the_upper_bound_is_the_beta_quantile(k, n, confidence):
    assert exact_upper(k, n, confidence) == pytest.approx(beta.ppf(confidence, k + 1, n - k), rel=1e-9)
