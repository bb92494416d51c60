"""The corrected figures and the watched interval are those of their authors' packages, but for what is defined otherwise.

The numbers of `reference/ppi_and_confseq.json` were made once, by ppi-python 0.2.3, MIT (A. Angelopoulos, T. Zrnic and others;
`ppi_mean_pointestimate`, `ppi_mean_ci` at alpha .05) and confseq 0.0.11, MIT (S. Howard, I. Waudby-Smith, A. Ramdas;
`boundaries.normal_mixture_bound`, two-sided), whose own code is needed for none of these tests. What differs, by choice:

- λ: theirs divides the covariance by n, ours by n - 1; both are clipped to 0 to 1.
- the variance: theirs has Σ(e - ē)²/n² and Σ(f - f̄)²/N², ours Σ(e - ē)²/(n (n - 2)) and Σ(f - f̄)²/(N (N - 1)).
- the interval: theirs is normal; ours Student's t for means, and for shares Wilson's at the effective number of labels.
- weights: values are the same. Their variance is that of the mean of w e (Horvitz and Thompson's), ours that of the ratio
  (Hájek's), which is the smaller where errors do not average to 0; it is held to statsmodels' weighted least squares here.
- the sequence: confseq's mixture is tuned with log(1 + 2 log(1/α)), ours with log(2 log(1/α)) + 1, as the paper has it.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.regression.linear_model import WLS

from perdure.core.stats.clustered import clustered_mean
from perdure.core.stats.corrected import correct, power_tuned
from perdure.core.stats.power import drift, variance_planned
from perdure.core.stats.sequential import watched_interval
from perdure.core.stats.shares import clustered_share

REFERENCE = json.loads((Path(__file__).parent / "reference" / "ppi_and_confseq.json").read_text("utf-8"))
CASES = REFERENCE["ppi-python"]["cases"]
WAYS = ("labels alone", "half", "plain PPI", "tuned")


def arrays(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, own, judged = (np.array(case[name]) for name in ("labels", "judged_of_labelled", "judged"))
    return labels, own, judged


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_estimate_is_ppi_python_s_plain_and_weighted(case: dict[str, Any], way: str) -> None:
    labels, own, judged = arrays(case)
    theirs = case["found"][way]

    plain = power_tuned(labels, own, judged, trust=theirs["trust"])
    weighted = power_tuned(labels, own, judged, weights=np.array(case["weights"]), trust=theirs["trust"])

    assert plain.value == pytest.approx(theirs["value"], rel=1e-9)
    assert weighted.value == pytest.approx(theirs["weighted"], rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_trust_is_theirs_but_for_the_degree_of_freedom(case: dict[str, Any]) -> None:
    labels, own, judged = arrays(case)
    n, theirs = len(labels), case["found"]["tuned"]["trust"]

    assert power_tuned(labels, own, judged).trust == pytest.approx(min(1.0, theirs * n / (n - 1)), rel=1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_variance_is_that_of_their_interval_but_for_degrees_of_freedom(case: dict[str, Any], way: str) -> None:
    labels, own, judged = arrays(case)
    theirs, n, n_others = case["found"][way], len(labels), len(judged)
    trust, error = theirs["trust"], labels - theirs["trust"] * own
    squared = ((theirs["high"] - theirs["low"]) / 2.0 / stats.norm.ppf(0.975)) ** 2
    assert squared == pytest.approx(trust**2 * judged.var() / n_others + error.var() / n, rel=1e-9)

    found = power_tuned(labels, own, judged, trust=trust)

    assert found.variance - squared == pytest.approx(
        trust**2 * judged.var() / n_others / (n_others - 1) + error.var() * 2 / n / (n - 2), rel=1e-6
    )
    assert found.df == n - 2


@pytest.mark.parametrize("case", [each for each in CASES if each["kind"] == "mean"], ids=["mean"])
def test_the_interval_of_a_mean_is_theirs_with_student_s_quantile(case: dict[str, Any]) -> None:
    labels, own, judged = arrays(case)
    tuned = power_tuned(labels, own, judged)
    half = stats.t.ppf(0.975, len(labels) - 2) * math.sqrt(tuned.variance)

    ours = correct(labels, own, judged, kind="mean").corrected

    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((tuned.value - half, tuned.value + half), rel=1e-9)
    theirs = case["found"]["tuned"]
    assert 1.0 < (ours.high - ours.low) / (theirs["high"] - theirs["low"]) < 1.15


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_weighted_variance_is_that_of_weighted_least_squares(case: dict[str, Any]) -> None:
    """The sandwich of a weighted regression on a constant is Hájek's linearised variance."""
    labels, own, judged = arrays(case)
    weights = np.array(case["weights"])
    fitted = WLS(labels - 0.5 * own, np.ones(len(labels)), weights=weights)
    units = weights.sum() ** 2 / np.square(weights).sum()

    found = power_tuned(labels, own, judged, weights=weights, trust=0.5)

    of_judged = 0.25 * judged.var(ddof=1) / len(judged)
    sandwich = float(fitted.fit(cov_type="HC0").bse[0]) ** 2
    assert found.variance - of_judged == pytest.approx(sandwich * units / (units - 2), rel=1e-9)


@pytest.mark.parametrize("case", [each for each in CASES if each["kind"] == "share"])
def test_a_weighted_share_s_error_is_the_jackknife_of_weighted_least_squares(case: dict[str, Any]) -> None:
    labels, weights = np.array(case["labels"]), np.array(case["weights"])
    n, units = len(labels), weights.sum() ** 2 / np.square(weights).sum()
    theirs = WLS(labels, np.ones(n), weights=weights).fit(cov_type="HC3")
    squared = float(theirs.bse[0]) ** 2 * (n - 1) / n

    mean, share = clustered_mean(labels, weights=weights), clustered_share(labels, weights=weights)

    assert (mean.value, mean.se**2) == pytest.approx((float(theirs.params[0]), squared), rel=1e-9)
    t, effective = stats.t.ppf(0.975, math.floor(units) - 1), mean.value * (1.0 - mean.value) / squared
    roots = np.roots([1 + t**2 / effective, -(2 * mean.value + t**2 / effective), mean.value**2])
    assert (share.low, share.high) == pytest.approx(sorted(roots), rel=1e-6)


@pytest.mark.parametrize("bound", REFERENCE["confseq"]["bounds"], ids=lambda each: f"{each['alpha']}-{each['t']}")
def test_the_watched_interval_is_confseq_s_normal_mixture(bound: dict[str, Any]) -> None:
    alpha, t = bound["alpha"], bound["t"]
    often = -2.0 * math.log(alpha)
    # What ours must be tuned for so that both mix with the same spread.
    same = bound["v_opt"] * (often + math.log(often) + 1.0) / (often + math.log1p(often))
    values = np.resize([0.0, 1.0], t)

    found = watched_interval(values, confidence=1.0 - alpha, tuned_for=same)  # type: ignore[arg-type]
    as_tuned = watched_interval(values, confidence=1.0 - alpha, tuned_for=round(bound["v_opt"]))

    assert (found.high - found.value) * t / values.std() == pytest.approx(bound["bound"], rel=1e-9)
    assert (as_tuned.high - as_tuned.value) * t / values.std() == pytest.approx(bound["bound"], rel=0.08)


@pytest.mark.parametrize("df", [2, 5, 9, 19, 100])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_a_pilot_s_variance_is_planned_with_by_the_non_central_t(df: int, power: float) -> None:
    theta = drift(1, 0.05, power)

    found = variance_planned(2.0, df, power=power)

    assert found == pytest.approx(2.0 * (stats.nct.ppf(power, df, stats.norm.ppf(0.975)) / theta) ** 2, rel=2e-3)
