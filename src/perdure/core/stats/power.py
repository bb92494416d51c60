"""How many cases a comparison needs, told before money is spent on it, and after a run that could not tell.

Called by `verdicts` ("about 140 more cases for a 3-point difference") and by whoever plans a suite. What surprised us: a
plan from the upper 80% bound of a pilot's variance reaches 86% where 80% was planned, and asks for 44% more cases. The
variance is uncertain both ways: what is right on average over pilots is the variance as seen, made larger by just what
that average loses (`variance_planned`: 21% at 10 clusters, 9% at 20, 4% at 40). Never planned for is the effect that was seen: the
smallest difference of interest is declared before.
"""

from __future__ import annotations

import math
from functools import lru_cache

from perdure.core.errors import DeclarationError
from perdure.core.stats.distributions import normal_quantile, t_quantile
from perdure.core.stats.sequential import bounds, crossing_probability, spent
from perdure.core.stats.tails import chi2_quantile, normal_tail

POWER = 0.8
_NODES = 200
_MOST_DRIFT = 12.0
_MOST_DRIFT_SEEN = 1_000.0
_HALVINGS = 60
_ROUNDS = 20


@lru_cache(maxsize=64)
def drift(n_looks: int, alpha: float = 0.05, power: float = POWER) -> float:
    """The expected z at the end of a plan that has this power: 2.802 for one look, 2.829 for four.

    >>> round(drift(1), 3), round(drift(4), 3)
    (2.802, 2.829)
    """
    if n_looks == 1:
        return normal_quantile(1.0 - alpha / 2.0) + normal_quantile(power)
    times = tuple(k / n_looks for k in range(1, n_looks + 1))
    crossed = bounds(times, tuple(spent(t, alpha / 2.0) for t in times))
    low, high = 0.0, _MOST_DRIFT
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if crossing_probability(times, crossed, middle) < power else (low, middle)
    return (low + high) / 2.0


def clusters_needed(
    difference: float, variance: float, *, n_looks: int = 1, alpha: float = 0.05, power: float = POWER
) -> int:
    """Clusters of a paired comparison that finds `difference` with this power.

    G = θ² s² / δ², with θ of `drift`, then Student's t for the normal at that G.

    Args:
        difference: the smallest of interest, in score (0.03 is 3 points), above 0.
        variance: of the clusters' mean differences; see `variance_planned` and `variance_guess`.
        n_looks: planned looks.
        alpha: two-sided error.
        power: the probability to find the difference where it is true.

    Raises:
        DeclarationError: the difference is not above 0, or the variance below 0.

    Source: C. Jennison, B. Turnbull, Group Sequential Methods (2000), 3.4. Checked against statsmodels.

    >>> clusters_needed(0.06, 0.09), clusters_needed(0.06, 0.09, n_looks=4)
    (199, 203)
    """
    if not difference > 0.0 or not variance >= 0.0:
        raise DeclarationError(
            f"No number of cases finds a difference of {difference!r} at a variance of {variance!r}.",
            hint="Declare a smallest difference above 0.",
        )
    theta = drift(n_looks, alpha, power)
    of_normal = theta**2 * variance / difference**2
    return _with_t(of_normal, 1.0 - alpha / 2.0, power)


def clusters_to_equal(margin: float, variance: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Clusters from which two equal versions are called equivalent within `margin` with this power.

    Both one-sided tests at `alpha` pass: G = (z_{1-alpha} + z_{(1+power)/2})² s² / m².

    Source: D. J. Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987).

    >>> clusters_to_equal(0.06, 0.09)
    216
    """
    if not margin > 0.0 or not variance >= 0.0:
        raise DeclarationError(f"A margin of {margin!r} calls nothing equivalent.", hint="Declare one above 0.")
    sure, reached = 1.0 - alpha, (1.0 + power) / 2.0
    of_normal = (normal_quantile(sure) + normal_quantile(reached)) ** 2 * variance / margin**2
    return _with_t(of_normal, sure, reached)


def _with_t(of_normal: float, sure: float, power: float) -> int:
    """The clusters when Student's t stands for the normal: a fixed point, reached within a few rounds."""
    normal = normal_quantile(sure) + normal_quantile(power)
    needed = max(2, math.ceil(of_normal))
    for _ in range(_ROUNDS):
        stretched = ((t_quantile(sure, needed - 1) + t_quantile(power, needed - 1)) / normal) ** 2
        again = max(2, math.ceil(of_normal * stretched))
        if again <= needed:
            break
        needed = again
    return needed


def variance_planned(variance: float, df: int, *, theta: float | None = None, power: float = POWER) -> float:
    """The variance to plan with when it was seen on a pilot: so that plans reach their power on average over pilots.

    E Φ(q s/σ - z) = power over s²/σ² ~ χ²_df/df, z = θ - z_power; then s² q²/θ². So q is the quantile of the non-central t with
    parameter z: planning with q in place of θ is exact where the variance is all that is not known.

    Args:
        variance: as seen.
        df: its degrees of freedom: clusters in effect, less one.
        theta: expected z of the plan, see `drift`; by default of one look at a two-sided 5%.
        power: of the plan.

    Source: S. Julious, R. Owen, Pharmaceutical Statistics 5 (2006). Checked against scipy's non-central t.

    >>> round(variance_planned(0.09, 9), 4), round(variance_planned(0.09, 39), 4)
    (0.1089, 0.094)
    """
    wanted = drift(1, 0.05, power) if theta is None else theta
    return variance * (_sure_drift(wanted, max(1, df), power) / wanted) ** 2


@lru_cache(maxsize=256)
def _sure_drift(theta: float, df: int, power: float) -> float:
    """The non-central t quantile, by the mean over equally likely deviations of the pilot."""
    bound = theta - normal_quantile(power)
    seen = [math.sqrt(chi2_quantile((k + 0.5) / _NODES, df) / df) for k in range(_NODES)]
    low, high = theta, 2.0 * theta
    while _reached(high, bound, seen) < power and high < _MOST_DRIFT_SEEN:
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _reached(middle, bound, seen) < power else (low, middle)
    return (low + high) / 2.0


def _reached(drifted: float, bound: float, seen: list[float]) -> float:
    """The power on average over pilots."""
    return math.fsum(normal_tail(bound - drifted * each) for each in seen) / len(seen)


def variance_guess(
    share: float, difference: float, *, correlation: float, size: float = 1.0, icc: float = 0.0
) -> float:
    """The variance of cluster means of a pass-or-fail comparison that nobody has run yet.

    s² = (2p(1-p)(1-ρ) - δ²) (1 + (m-1) ICC) / m

    Args:
        share: expected share of cases passed, 0 to 1.
        difference: smallest of interest.
        correlation: of both versions' results on a case, such as 0.5.
        size: cases a cluster; of unequal ones Σm²/Σm.
        icc: correlation of differences within a cluster.

    >>> round(variance_guess(0.8, 0.03, correlation=0.5), 4)
    0.1591
    """
    discordant = 2.0 * share * (1.0 - share) * (1.0 - correlation)
    return max(0.0, discordant - difference**2) * (1.0 + (size - 1.0) * icc) / size


def round_up(n: float) -> int:
    """A count to 2 figures, upwards: what "about" may say.

    >>> round_up(137.0), round_up(1449.0), round_up(7.2)
    (140, 1500, 8)
    """
    whole = math.ceil(n)
    unit = int(10 ** max(0, len(str(whole)) - 2))
    return math.ceil(whole / unit) * unit
