"""How many cases a comparison needs, told before money is spent on it, and after a run that could not tell.

Called by `verdicts` ("about 140 more cases for a 3-point difference") and by whoever plans a suite. What surprised us: a
plan from the variance of a small pilot falls short of its power half of the time, so below 30 clusters the upper 80%
bound of the variance is planned with. Never planned for is the effect that was seen: the smallest difference of
interest is declared before.
"""

from __future__ import annotations

import math
from functools import lru_cache

from perdure.core.errors import DeclarationError
from perdure.core.stats.distributions import normal_quantile, t_quantile
from perdure.core.stats.sequential import bounds, crossing_probability, spent
from perdure.core.stats.tails import chi2_quantile

POWER = 0.8
PILOT_CLUSTERS = 30
"""Below, the variance is a guess whose upper bound is planned with."""
_SURE_OF_VARIANCE = 0.8
_MOST_DRIFT = 12.0
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
        variance: of the clusters' mean differences; see `variance_upper` and `variance_guess`.
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


def variance_upper(variance: float, n_clusters: int, *, sure: float = _SURE_OF_VARIANCE) -> float:
    """The variance to plan with: as seen from 30 clusters on, its one-sided upper bound below.

    (G - 1) s² / χ²_{1-sure}(G - 1), for normal cluster means.

    >>> round(variance_upper(0.09, 20), 3), variance_upper(0.09, 30)
    (0.125, 0.09)
    """
    if n_clusters >= PILOT_CLUSTERS:
        return variance
    return (n_clusters - 1) * variance / chi2_quantile(1.0 - sure, n_clusters - 1) if n_clusters > 1 else variance


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
