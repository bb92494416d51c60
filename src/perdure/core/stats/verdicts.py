"""The verdict of a paired comparison: better, worse, equivalent within a margin, or not enough evidence, in words.

Called by gates, reports and the pytest plugin with one difference a case (candidate less incumbent, means over repeats
taken first; what one side failed to answer scores 0 there and stays in). Tells the interval of the difference that
holds at this look of the plan, and how many cases more would tell.

What surprised us: the dangerous inputs are those without spread. When all differences are equal the standard error is 0
and any t test is sure of everything; one cluster gives no standard error at all. Both are answered from exact bounds of
how many other clusters may differ unseen, which needs 149 clusters of agreement for a margin of 2 points. And one
cluster that holds most cases makes CR3 err 10.7% in place of 2.5% (50, 40 and ten of 1): t has as many degrees of
freedom as there are clusters in effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError
from perdure.core.stats.clustered import ClusteredMean, cluster_sums, clustered_mean
from perdure.core.stats.distributions import normal_quantile, t_quantile
from perdure.core.stats.intervals import Interval
from perdure.core.stats.power import POWER, clusters_needed, clusters_to_equal, drift, round_up, variance_planned
from perdure.core.stats.sequential import FEWEST_CLUSTERS, look_bound
from perdure.core.stats.tails import normal_tail, share_bounds, z_to_t
from perdure.core.verdict import Comparison

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

MOST_MORE = 1_000_000
"""More cases than that are no advice."""
_FEW_DISCORDANT = 25
"""Cases that only one side gets right, below which the exact binomial stands beside Student's t."""
_FEW_DIFFER = 6
"""Clusters that must differ before any exact test at 5% can tell two versions apart (2 · ½⁶ = 3.1%)."""
_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """What was declared before the run: part of the suite, so no run can choose it by its outcome."""

    margin: float
    """Differences within ± this count as none; in score, 0.02 is 2 points."""
    smallest: float
    """The smallest difference worth finding: cases are counted for it."""
    planned: int
    """Clusters of the whole run."""
    n_looks: int = 4
    alpha: float = 0.05
    """Two-sided error of the whole run, all looks together; a gate promotes in error half as often."""

    def __post_init__(self) -> None:
        if not (self.margin > 0.0 and self.smallest > 0.0):
            raise DeclarationError(
                f"A margin of {self.margin!r} and a smallest difference of {self.smallest!r} plan nothing.",
                hint="Declare both above 0, such as margin 0.02 and smallest 0.03.",
            )
        if self.planned < 0 or self.n_looks < 1 or not 0.0 < self.alpha < 0.5:
            raise DeclarationError(
                f"{self.planned} clusters in {self.n_looks} looks at alpha {self.alpha!r} are no plan.",
                hint="Plan at least one look, and an alpha such as 0.05.",
            )


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison says at one look."""

    comparison: Comparison
    difference: Interval
    """Candidate less incumbent, with the bounds that hold at all looks together (repeated interval); -1 to 1 where
    nothing is known. `n` counts cases."""
    n_clusters: int
    n_more: int | None
    """About how many cases more would tell; None where the verdict stands, or none can be named."""
    look: int
    planned: int
    """Clusters of the whole run."""
    partial: bool
    """Whether the run ended before its plan (budget, upstream, a changed suite): then nothing is concluded."""
    text: str
    not_worse: bool = False
    """Whether, at the last look, the candidate is for sure not worse by the margin or more (one-sided at alpha):
    what a guarded suite asks, and a cheaper model."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One look's figures."""

    plan: Plan
    look: int
    mean: ClusteredMean
    at_look: Interval
    """With the look's own bound: decides better and worse."""
    equal: Interval
    """With one-sided tests at alpha: decides equivalent, at the last look only."""
    last: bool
    partial: bool
    df: int
    """Of Student's t."""


def compare(
    differences: Floats,
    clusters: Ints,
    plan: Plan,
    *,
    look: int = 1,
    partial: bool = False,
    weights: Floats | None = None,
) -> Compared:
    """The verdict on a candidate from its paired differences.

    Better when the interval of this look lies above 0, worse when below; else, at the last look (or with all planned
    clusters in), equivalent when the interval of 1 - 2 alpha lies within ± margin; else not enough evidence. The
    interval is Student's t on CR3 over clusters, at the bound of the look (`sequential.look_bound`).

    Args:
        differences: shape (n,), candidate less incumbent of each case; scores lie in 0 to 1, so these in -1 to 1.
        clusters: shape (n,), a number each.
        plan: declared before the run.
        look: from 1, of `plan.n_looks`; the last one concludes.
        partial: the run ended early for a reason of its own: the figures are told, nothing is concluded.
        weights: shape (n,), of the cases; None: 1 each.

    Raises:
        DeclarationError: a difference is not finite, lengths differ, or weights are not usable.

    Cost: 0.5 ms for 2,000 cases, and some 15 ms the first time that the looks of a plan are solved.
    Source: E. Miller, arXiv 2411.00640 (2024); D. J. Schuirmann (1987) for equivalence; `sequential` for the looks.

    >>> clusters = np.arange(120)
    >>> gains = np.where(clusters % 4 == 0, 0.2, 0.0)
    >>> compare(gains, clusters, Plan(margin=0.02, smallest=0.03, planned=120)).text
    'better: +5.0 points (95% 3.4 to 6.6) on 120 cases in 120 clusters'
    """
    sums, sizes, _ = cluster_sums(differences, clusters, weights)
    n_clusters = int((sizes > 0.0).sum())
    if n_clusters < 2:
        return _unknown(differences, n_clusters, plan, look, partial)
    mean = clustered_mean(differences, clusters, weights=weights)
    last = look >= plan.n_looks or n_clusters >= plan.planned
    means = sums[sizes > 0.0] / sizes[sizes > 0.0]
    bound = look_bound(look, plan.n_looks, n_clusters, max(plan.planned, 1), plan.alpha)
    reach = max(1.0, float(np.abs(means).max()))
    df = _freedom(sizes)
    at_look = _honest(mean, z_to_t(bound, df), normal_tail(bound), means, reach)
    equal = _honest(mean, t_quantile(1.0 - plan.alpha, df), plan.alpha, means, reach)
    return _concluded(_Look(plan, look, mean, at_look, equal, last, partial, df))


def _freedom(sizes: NDArray[np.float64]) -> int:
    """Clusters in effect, less one; as many as there are where all weigh alike.

    Source: A. Carter, K. Schnepel, D. Steigerwald, Review of Economics and Statistics 99 (2017), with equal correlation.
    """
    effective = float(sizes.sum()) ** 2 / float(np.square(sizes).sum())
    return max(1, math.floor(effective + 1e-9) - 1)


def _honest(mean: ClusteredMean, t: float, tail: float, means: NDArray[np.float64], reach: float) -> Interval:
    """Student's interval, widened by what is exact where clusters hardly differ; `tail` is the error of each side."""
    low, high = mean.value - t * mean.se, mean.value + t * mean.se
    n_clusters = len(means)
    usual, n_differ = _usual(means)
    if n_differ < _FEW_DIFFER and n_clusters - n_differ > n_differ:
        unseen = share_bounds(n_differ, n_clusters, confidence=1.0 - 2.0 * tail)[1]
        low = min(low, usual * (1.0 - unseen) - unseen * reach)
        high = max(high, usual * (1.0 - unseen) + unseen * reach)
    if 0.5**n_clusters > tail:
        # Not even if all of them agree could their signs tell: half of all others may be otherwise.
        unseen = share_bounds(0, n_clusters, confidence=1.0 - 2.0 * tail)[1]
        low = min(low, mean.value * (1.0 - unseen) - unseen * reach)
        high = max(high, mean.value * (1.0 - unseen) + unseen * reach)
    won, lost = int((means == 1.0).sum()), int((means == -1.0).sum())
    discordant = won + lost
    if 0 < discordant < _FEW_DISCORDANT and discordant + int((means == 0.0).sum()) == n_clusters == mean.n:
        first, second = share_bounds(won, discordant, confidence=1.0 - 2.0 * tail)
        low = min(low, (2.0 * first - 1.0) * discordant / n_clusters)
        high = max(high, (2.0 * second - 1.0) * discordant / n_clusters)
    return Interval(mean.value, max(low, -reach), min(high, reach), mean.n)


def _usual(means: NDArray[np.float64]) -> tuple[float, int]:
    """The most frequent difference of a cluster, and how many clusters have another."""
    values, counts = np.unique(np.round(means, 12), return_counts=True)
    most = int(counts.argmax())
    return float(values[most]), int(counts.sum() - counts[most])


def _concluded(at: _Look) -> Compared:
    comparison, n_more = _comparison(at), None
    told = (
        f"{_interval_text(at.at_look, 1.0 - at.plan.alpha)} on {at.mean.n:,} cases in {at.mean.n_clusters:,} clusters"
    )
    if comparison is Comparison.NOT_ENOUGH_EVIDENCE:
        n_more, lacking = _lacking(at)
        text = f"{comparison}: {lacking}; so far {told}"
    elif comparison is Comparison.EQUIVALENT:
        bounds = f"{_sure(1 - 2 * at.plan.alpha)} {_points(at.equal.low)} to {_points(at.equal.high)}"
        margin = f"within ±{_size(at.plan.margin)} points"
        text = f"{comparison}: {_signed(at.mean.value)} points ({bounds}, {margin}){told[told.index(' on ') :]}"
    else:
        early = "" if at.last else f", stopped early at look {at.look} of {at.plan.n_looks}"
        text = f"{comparison}: {told}{early}"
    sound = comparison is Comparison.BETTER or (at.last and not at.partial and at.equal.low > -at.plan.margin)
    text = _partly(text, at.partial)
    n_clusters, planned = at.mean.n_clusters, at.plan.planned
    return Compared(comparison, at.at_look, n_clusters, n_more, at.look, planned, at.partial, text, sound)


def _comparison(at: _Look) -> Comparison:
    if at.partial or (not at.last and at.mean.n_clusters < FEWEST_CLUSTERS):
        return Comparison.NOT_ENOUGH_EVIDENCE
    if at.at_look.low > 0.0:
        return Comparison.BETTER
    if at.at_look.high < 0.0:
        return Comparison.WORSE
    if at.last and -at.plan.margin < at.equal.low and at.equal.high < at.plan.margin:
        return Comparison.EQUIVALENT
    return Comparison.NOT_ENOUGH_EVIDENCE


def _lacking(at: _Look) -> tuple[int | None, str]:
    """About how many more cases would tell, and for what."""
    have, plan = at.mean.n_clusters, at.plan
    seen = at.mean.se**2 * have
    variance = variance_planned(seen, at.df, theta=drift(plan.n_looks, plan.alpha))
    goal = f"for a {_size(plan.smallest)}-point difference"
    needed = clusters_needed(plan.smallest, variance, n_looks=plan.n_looks, alpha=plan.alpha)
    if needed <= have:
        # The difference of interest would have shown; what is missing is the proof that there is none.
        goal = f"to call them equivalent within {_size(plan.margin)} points"
        agreeing = math.ceil(math.log(plan.alpha) / math.log1p(-min(plan.margin, 0.99)))
        variance = variance_planned(seen, at.df, power=(1.0 + POWER) / 2.0, theta=_theta_of_equal(plan))
        needed = max(clusters_to_equal(plan.margin, variance, alpha=plan.alpha), agreeing if _alike(at) else 0)
    if needed <= have:
        return None, "the difference lies at the edge of the margin" if at.last else "the run is not at its end"
    n_more = round_up((needed - have) * at.mean.n / have)
    if n_more > MOST_MORE:
        return None, f"more cases than a suite can hold {goal}"
    return n_more, f"about {n_more:,} more cases {goal}"


def _theta_of_equal(plan: Plan) -> float:
    return normal_quantile(1.0 - plan.alpha) + normal_quantile((1.0 + POWER) / 2.0)


def _alike(at: _Look) -> bool:
    """Whether the interval is that of clusters which hardly differ, so that more agreement is what is missing."""
    student = t_quantile(1.0 - at.plan.alpha, at.df) * at.mean.se
    return at.equal.high - at.equal.low > 2.0 * student * (1.0 + 1e-9)


def _unknown(differences: Floats, n_clusters: int, plan: Plan, look: int, partial: bool) -> Compared:
    """No case, or one cluster only: words, and the interval of knowing nothing."""
    n = len(differences)
    value = float(np.asarray(differences, dtype=np.float64).mean()) if n else 0.0
    why = "no case was answered" if not n else f"{n:,} cases of one cluster say nothing of others"
    text = f"{Comparison.NOT_ENOUGH_EVIDENCE}: {why}"
    nothing = Interval(value, min(-1.0, value), max(1.0, value), n)
    return Compared(
        Comparison.NOT_ENOUGH_EVIDENCE, nothing, n_clusters, None, look, plan.planned, partial, _partly(text, partial)
    )


def _partly(text: str, partial: bool) -> str:
    return f"{text}; partial: the run ended before its plan" if partial else text


def _interval_text(interval: Interval, confidence: float) -> str:
    return f"{_signed(interval.value)} points ({_sure(confidence)} {_points(interval.low)} to {_points(interval.high)})"


def _sure(confidence: float) -> str:
    """In whole percent, and with as many digits as it takes where that would say certainty.

    >>> _sure(0.95), _sure(0.969604), _sure(0.99878), _sure(0.999999)
    ('95%', '97%', '99.9%', '99.9999%')
    """
    digits = 0
    while digits < _MOST_DIGITS and round(100.0 * confidence, digits) >= 100.0:
        digits += 1
    return f"{100.0 * confidence:.{digits}f}%"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-0.0", "+0.0")


def _points(share: float) -> str:
    return f"{100 * share:.1f}".replace("-0.0", "0.0")


def _size(share: float) -> str:
    return f"{100 * share:g}"
