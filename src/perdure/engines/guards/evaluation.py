"""How good a guard is, by family: what it misses, what it blocks in vain, how well it ranks, each with its interval.

The loop's signals and gates, and the benchmark, call it. Texts that are nearly the same say the same thing twice: with
`groups` they count as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats import Interval, clustered_mean_interval
from perdure.core.stats.distributions import normal_quantile
from perdure.engines.guards.learned_threshold import upper_bound

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]

HARMLESS = "harmless"
"""What harmless texts without a family are called."""


@dataclass(frozen=True, slots=True)
class FamilyQuality:
    """How a guard does on the texts of one family."""

    family: str
    harmful: bool
    caught: Interval
    """Share caught: of a harmful family its recall, of a harmless one its false-block rate."""
    auc: Interval | None
    """Of a harmful family against all ordinary harmless texts; None without scores, or without harmless texts."""


def share_interval(hits: Bools, groups: NDArray[Any] | None = None, *, confidence: float = 0.95) -> Interval:
    """A share with its exact interval; texts of one group count as much as the variance between groups lets them.

    The interval is that of Clopper and Pearson for an effective number of texts, p(1 - p) over the variance of the
    clustered mean (Korn and Graubard, Survey Methodology 24, 1998); with no or all hits it is the number of groups.

    Args:
        hits: shape (n,).
        groups: of each text; None: each is one of its own.
        confidence: 0 to 1, exclusive, two-sided.

    Raises:
        TooFewRows: no text.

    >>> found = share_interval(np.array([True] * 9 + [False]))
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.9, 0.555, 0.997)
    """
    n = len(hits)
    if n == 0:
        raise TooFewRows("No share without a text.", hint="Give labelled texts.", n=0, n_needed=1)
    share = float(hits.mean())
    effective = min(n, _effective(hits, groups, share))
    sure, k = (1.0 + confidence) / 2.0, round(share * effective)
    if effective < n and 0.0 < share < 1.0:
        k = min(max(k, 1), max(effective - 1, 1))
    low, high = 1.0 - upper_bound(effective - k, effective, sure=sure), upper_bound(k, effective, sure=sure)
    return Interval(share, min(low, share), max(high, share), n)


def _effective(hits: Bools, groups: NDArray[Any] | None, share: float) -> int:
    if groups is None:
        return len(hits)
    n_groups = len(np.unique(groups))
    if n_groups < 2 or not 0.0 < share < 1.0:
        return n_groups
    of_normal = clustered_mean_interval(hits.astype(np.float64), groups, confidence=0.68)
    # The half-width at about one standard error.
    error = (of_normal.high - of_normal.low) / 2.0 / normal_quantile(0.84)
    return max(2, round(share * (1.0 - share) / error**2)) if error > 0.0 else n_groups


def auc_interval(harmful: Floats, harmless: Floats, *, confidence: float = 0.95) -> Interval:
    """The probability that a harmful text scores above a harmless one (ties count half), with its interval.

    The variance is DeLong's, the interval symmetric in log odds; where every harmful text scores above every harmless one the
    bound is that of the smaller side's number of texts.

    Args:
        harmful: scores, shape (m,).
        harmless: scores, shape (n,).
        confidence: 0 to 1, exclusive, two-sided.

    Raises:
        TooFewRows: fewer than 2 texts of a side.

    Cost: O((m + n) log(m + n)).
    Source: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988); value checked against scikit-learn.

    >>> auc_interval(np.array([0.9, 0.8, 0.4]), np.array([0.5, 0.1])).value
    0.8333333333333334
    """
    m, n = len(harmful), len(harmless)
    if min(m, n) < 2:
        raise TooFewRows(
            f"{min(m, n)} texts of one side give no AUC.", hint="Give two at least.", n=min(m, n), n_needed=2
        )
    above = _placements(harmful, harmless)
    below = 1.0 - _placements(harmless, harmful)
    value = float(above.mean())
    variance = float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n
    sure = (1.0 + confidence) / 2.0
    if variance <= 0.0 or not 0.0 < value < 1.0:
        slack = upper_bound(0, min(m, n), sure=sure)
        return Interval(value, max(0.0, value - slack), min(1.0, value + slack), m + n)
    odds, half = math.log(value / (1.0 - value)), math.sqrt(variance) / (value * (1.0 - value))
    bounds = [1.0 / (1.0 + math.exp(-(odds + side * normal_quantile(sure) * half))) for side in (-1.0, 1.0)]
    return Interval(value, bounds[0], bounds[1], m + n)


def _placements(scores: Floats, others: Floats) -> NDArray[np.float64]:
    """Of each score the share of the others that lie below it, ties half."""
    ranked = np.sort(others)
    return (np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right")) / (2.0 * len(ranked))


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Labelled texts with what a guard said of them, each of shape (n,)."""

    harmful: Bools
    families: Sequence[str]
    """Harmless texts with a family are look-alikes, such as questions about injections."""
    caught: Bools
    scores: Floats | None = None
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        lengths = {
            len(each)
            for each in (self.harmful, self.families, self.caught, self.scores, self.groups)
            if each is not None
        }
        if len(lengths) > 1:
            raise DeclarationError(f"Labels, families, verdicts, scores and groups have the lengths {sorted(lengths)}.")


def quality_by_family(judged: Judged, *, confidence: float = 0.95) -> list[FamilyQuality]:
    """How a guard does on each family: the harmful ones by name, then the harmless ones, ordinary texts first."""
    families = np.array(judged.families, dtype=object)
    ordinary = ~judged.harmful & (families == "")
    rows = [_of(judged, judged.harmful & (families == name), str(name), ordinary, confidence)
            for name in sorted(set(families[judged.harmful].tolist()))]  # fmt: skip
    rows += [_of(judged, ~judged.harmful & (families == name), str(name) or HARMLESS, ordinary, confidence)
             for name in sorted(set(families[~judged.harmful].tolist()))]  # fmt: skip
    return rows


def _of(judged: Judged, chosen: Bools, name: str, ordinary: Bools, confidence: float) -> FamilyQuality:
    groups = None if judged.groups is None else judged.groups[chosen]
    harmful = bool(judged.harmful[chosen].all())
    caught = share_interval(judged.caught[chosen], groups, confidence=confidence)
    auc = None
    if harmful and judged.scores is not None and min(int(chosen.sum()), int(ordinary.sum())) > 1:
        auc = auc_interval(judged.scores[chosen], judged.scores[ordinary], confidence=confidence)
    return FamilyQuality(name, harmful, caught, auc)


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text of a development set."""

    text: str
    harmful: bool
    family: str = ""


Judge = Callable[[str], tuple[bool, float]]
"""Whether a text is caught, and its score."""


def leave_one_family_out(
    texts: Sequence[LabelledText], train: Callable[[Sequence[LabelledText], str], Judge], *, confidence: float = 0.95
) -> list[FamilyQuality]:
    """How a guard does on each harmful family that it was not trained on: what new attacks will meet.

    Args:
        texts: all of them; of the harmless ones every second is kept from training, to be judged.
        train: makes a judge of the texts without a family, whose name it is told.
        confidence: of the intervals.

    Cost: a training a family.
    """
    harmless = [each for each in texts if not each.harmful]
    found = []
    for family in sorted({each.family for each in texts if each.harmful}):
        rest = [each for each in texts if each.harmful and each.family != family]
        judge = train([*rest, *harmless[::2]], family)
        asked = [each for each in texts if each.harmful and each.family == family] + harmless[1::2]
        said = [judge(each.text) for each in asked]
        judged = Judged(
            np.array([each.harmful for each in asked]),
            [each.family if each.harmful else "" for each in asked],
            np.array([caught for caught, _ in said]),
            np.array([score for _, score in said]),
        )
        found += [each for each in quality_by_family(judged, confidence=confidence) if each.harmful]
    return found
