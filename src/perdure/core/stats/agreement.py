"""How well a judge agrees with people, and whether it carries any information at all.

Called when a judge is calibrated, and by `corrected` before any figure of it is used. Four figures are told together,
since each alone misleads: with 95% good answers a judge that always says "good" is 95% accurate. Kappa sees that but
falls with the share, AC1 does not, informedness (sensitivity + specificity - 1) is what a correction divides by.

What surprised us: asking the lower bound of informedness to be .2 refuses a fair judge (.40) 54% of the time at 50
labels; refusing at a bound of 0 or a value below .2 refuses it 8%, and a worthless one (.06) 87%. And no bound sees that
ten labels, all agreed with, may be luck: that of a judge who errs on every fifth case comes so in one study of nine. So
a say of its own needs labels enough, of both classes; a correction by labels of the same traffic needs none of that, since
it holds whatever the judge is worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats.distributions import normal_quantile, t_quantile
from perdure.core.stats.intervals import Interval
from perdure.core.stats.power import round_up
from perdure.core.stats.shares import clustered_share, units_of, wilson_bounds

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Usable = Literal["usable", "weak", "refused"]

LEAST_INFORMEDNESS = 0.2
"""Below, a judge is refused; where only its lower bound is below, it is weak. Ours."""
FEWEST_LABELS = 10
"""Labels below which nothing is said of a judge."""
FEWEST_TRUSTED = 30
"""Labels below which no judge has a say, however well it agrees; in effect: a cluster counts as one. Ours."""
FEWEST_OF_A_CLASS = 10
"""And so many of each class: a judge that errs on 30% of it errs on one of these 97% of the time. Ours."""
MOST_MORE = 100_000
"""More labels than that are no advice."""
_SURE = 0.95


@dataclass(frozen=True, slots=True)
class Agreement:
    """A judge beside people on one anchor set."""

    n: int
    accuracy: Interval
    kappa: Interval | None
    """Cohen's; None where both sides know one class only."""
    ac1: float | None
    """Gwet's: like kappa, but not small where one class is rare."""
    sensitivity: Interval | None
    """Of what people call good, the share the judge does; None without such a case."""
    specificity: Interval | None
    informedness: Interval | None
    """Sensitivity + specificity - 1: 0 is a coin, below 0 worse than one; None where a class is missing."""
    informedness_low: float
    """Its one-sided 95% lower bound; -1 where unknown."""
    usable: Usable
    """Whether it may have a say: `informs`, and labels enough of both classes to know."""
    text: str
    informs: Usable = "refused"
    """Whether it tells anything at all (`usable_by`): enough where a figure is corrected by labels of its own traffic."""
    n_more: int | None = 0
    """About how many more labels would make it usable if it went on so; 0: none, None: no number would."""


def agreement(
    labels: Floats,
    judged: Floats,
    clusters: Ints | None = None,
    *,
    weights: Floats | None = None,
    confidence: float = 0.95,
) -> Agreement:
    """A judge's verdicts beside people's labels of the same cases.

    Args:
        labels: shape (n,), 0 or 1.
        judged: shape (n,), 0 to 1; ½ is a tie (both orders disagree) and counts half.
        clusters: shape (n,), a number each; None: each case is one of its own.
        weights: shape (n,), above 0: one over the probability with which each case was drawn; None: all alike. Shares
            are then Hájek's ratios, see `clustered_share`.
        confidence: of the intervals.

    Raises:
        TooFewRows: no case.
        DeclarationError: lengths differ, labels are not 0 or 1, verdicts not within 0 to 1.

    Source: J. Cohen (1960); K. L. Gwet, British J. Math. Stat. Psychology 61 (2008); R. Newcombe, Statistics in Medicine
    17 (1998), for the bound of a sum of shares.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(0, 2, 200).astype(float)
    >>> agreement(truth, np.where(rng.random(200) < 0.9, truth, 1.0 - truth)).usable
    'usable'
    """
    _check(labels, judged, weights)
    n, good = len(labels), labels == 1.0
    accuracy = clustered_share(1.0 - np.abs(labels - judged), clusters, weights=weights, confidence=confidence)
    sensitivity = _side(judged, good, clusters, weights, confidence)
    specificity = _side(1.0 - judged, ~good, clusters, weights, confidence)
    informedness, low = informedness_interval(labels, judged, clusters, weights=weights, confidence=confidence)
    informs = usable_by(informedness, low, n)
    units = [units_of(int(each.sum()), *_picked(each, clusters, weights)) for each in (good, ~good)]
    lacks = _Lacks(n, units_of(n, clusters, weights), units[0], units[1])
    enough = lacks.all_units >= FEWEST_TRUSTED and min(units) >= FEWEST_OF_A_CLASS
    n_more = _more(lacks, sensitivity, specificity) if informs != "usable" or not enough else 0
    usable = informs if enough else "refused"
    table = _table(labels, judged, weights)
    found = _kappa_interval((labels, judged, clusters, weights), table, confidence)
    told = _told(usable, informs, (accuracy, informedness), (lacks, n_more))
    ac1 = gwet_ac1(table)
    return Agreement(
        n, accuracy, found, ac1, sensitivity, specificity, informedness, low, usable, told, informs, n_more
    )


@dataclass(frozen=True, slots=True)
class _Lacks:
    """What evidence there is: labels, and how many equal and independent ones they are worth, of each class too."""

    n: int
    all_units: float
    good: float
    bad: float

    @property
    def rarer(self) -> str:
        """The class of which there is less."""
        return "bad" if self.bad <= self.good else "good"


def _more(lacks: _Lacks, sensitivity: Interval | None, specificity: Interval | None) -> int | None:
    """About how many more labels: of both classes, until the bound of informedness is above the least one."""
    if sensitivity is None or specificity is None:
        return round_up(max(FEWEST_TRUSTED - lacks.n, FEWEST_OF_A_CLASS))
    if sensitivity.value + specificity.value - 1.0 <= LEAST_INFORMEDNESS:
        return None
    sides = ((sensitivity.value, lacks.good), (specificity.value, lacks.bad))
    worth = lacks.n / lacks.all_units
    rare = max(0.0, FEWEST_OF_A_CLASS - lacks.good) + max(0.0, FEWEST_OF_A_CLASS - lacks.bad)
    n_more = math.ceil(max(rare, FEWEST_TRUSTED - lacks.all_units, 0.0) * worth)
    step = max(1, n_more)
    while _low_at(sides, n_more / worth / 2.0) <= LEAST_INFORMEDNESS:
        n_more, step = n_more + step, max(1, (n_more + step) // 20)
        if n_more > MOST_MORE:
            return None
    return round_up(n_more)


def _low_at(sides: tuple[tuple[float, float], ...], n_more: float) -> float:
    """The one-sided bound of informedness at so many more labels of each class, if shares stay what they are."""
    quantile = normal_quantile(_SURE)
    gaps = [share - wilson_bounds(share, n + n_more, quantile=quantile)[0] for share, n in sides]
    return sum(share for share, _ in sides) - 1.0 - math.hypot(*gaps)


def informedness_interval(
    labels: Floats,
    judged: Floats,
    clusters: Ints | None = None,
    *,
    weights: Floats | None = None,
    confidence: float = 0.95,
) -> tuple[Interval | None, float]:
    """Informedness with its two-sided interval, and its one-sided 95% lower bound (-1 where a class is missing).

    The bounds of both shares are combined as Newcombe does (MOVER): J - √((s - low_s)² + (c - low_c)²).
    """
    good = labels == 1.0
    if good.all() or not good.any():
        return None, -1.0
    two, one = [
        [_side(judged, good, clusters, weights, sure), _side(1.0 - judged, ~good, clusters, weights, sure)]
        for sure in (confidence, 2.0 * _SURE - 1.0)
    ]
    values = [each.value for each in two if each is not None]
    value = sum(values) - 1.0
    low = value - math.hypot(*(each.value - each.low for each in two if each is not None))
    high = value + math.hypot(*(each.high - each.value for each in two if each is not None))
    surely = value - math.hypot(*(each.value - each.low for each in one if each is not None))
    return Interval(value, max(-1.0, low), min(1.0, high), len(labels)), surely


def usable_by(informedness: Interval | None, low: float, n: int) -> Usable:
    """Refused when the lower bound is not above 0, the value below .2, or labels are too few; weak below .2 of the bound."""
    if informedness is None or n < FEWEST_LABELS or low <= 0.0 or informedness.value < LEAST_INFORMEDNESS:
        return "refused"
    return "weak" if low <= LEAST_INFORMEDNESS else "usable"


def kappa(
    table: NDArray[Any], *, weights: Literal["none", "linear", "quadratic"] = "none"
) -> tuple[float, float] | None:
    """Cohen's kappa of a square table of counts, and its standard error; None where only one class occurs.

    Args:
        table: shape (k, k): rows one rater, columns the other.
        weights: for ordered classes, how much a near miss counts.

    Source: J. Fleiss, J. Cohen, B. Everitt, Psychological Bulletin 72 (1969). Checked against statsmodels.

    >>> value, error = kappa(np.array([[40, 9], [6, 45]]))
    >>> round(value, 4), round(error, 4)
    (0.6995, 0.0714)
    """
    counts = np.asarray(table, dtype=np.float64)
    n, k = float(counts.sum()), len(counts)
    if counts.shape != (k, k) or k < 2 or n <= 0.0:
        raise DeclarationError(f"A table of shape {counts.shape} has no kappa.", hint="Give a square one with counts.")
    shares = counts / n
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1.0)
    worth = {"none": np.eye(k), "linear": 1.0 - apart, "quadratic": 1.0 - apart**2}[weights]
    chance = float((np.outer(rows, columns) * worth).sum())
    if chance >= 1.0:
        return None
    value = (float((shares * worth).sum()) - chance) / (1.0 - chance)
    of_row, of_column = (worth * columns[None, :]).sum(axis=1), (worth * rows[:, None]).sum(axis=0)
    inner = worth - (of_row[:, None] + of_column[None, :]) * (1.0 - value)
    variance = float((shares * inner**2).sum()) - (value - chance * (1.0 - value)) ** 2
    return value, math.sqrt(max(0.0, variance) / n) / (1.0 - chance)


def gwet_ac1(table: NDArray[Any]) -> float | None:
    """Gwet's AC1 of a square table: agreement beyond chance, where chance is of the classes that are hard to tell.

    >>> round(gwet_ac1(np.array([[118, 5], [2, 0]])), 3)
    0.941
    """
    counts = np.asarray(table, dtype=np.float64)
    n = float(counts.sum())
    if n <= 0.0:
        return None
    share = (counts.sum(axis=0) + counts.sum(axis=1)) / (2.0 * n)
    chance = float((share * (1.0 - share)).sum()) / (len(counts) - 1)
    return (float(np.trace(counts)) / n - chance) / (1.0 - chance)


def _table(labels: Floats, judged: Floats, weights: Floats | None) -> NDArray[np.float64]:
    """Labels by verdicts without ties; weights are put to a mean of 1, so that it still counts cases."""
    decided = judged != 0.5
    cells = 2 * (labels[decided] > 0.5).astype(np.int64) + (judged[decided] > 0.5).astype(np.int64)
    scaled = None if weights is None or not decided.any() else weights[decided] / weights[decided].mean()
    return np.bincount(cells, weights=scaled, minlength=4).reshape(2, 2).astype(np.float64)


def _kappa_interval(
    of: tuple[Floats, Floats, Ints | None, Floats | None], table: NDArray[np.float64], confidence: float
) -> Interval | None:
    """By its own formula; with clusters or weights by the jackknife over them."""
    labels, judged, clusters, weights = of
    found = kappa(table) if table.sum() else None
    if found is None:
        return None
    value, error = found
    quantile = normal_quantile(0.5 + confidence / 2.0)
    if clusters is not None or weights is not None:
        member = np.arange(len(labels)) if clusters is None else clusters
        without = [_without(labels, judged, weights, member != each) for each in np.unique(member)]
        known = np.array([each for each in without if each is not None])
        if len(known) < 2:
            return None
        error = math.sqrt((len(known) - 1) / len(known) * float(np.square(known - value).sum()))
        quantile = t_quantile(0.5 + confidence / 2.0, max(1, math.floor(units_of(len(labels), clusters, weights)) - 1))
    low, high = max(-1.0, value - quantile * error), min(1.0, value + quantile * error)
    return Interval(value, low, high, round(float(table.sum())))


def _without(labels: Floats, judged: Floats, weights: Floats | None, kept: NDArray[np.bool_]) -> float | None:
    table = _table(labels[kept], judged[kept], None if weights is None else weights[kept])
    found = kappa(table) if table.sum() else None
    return None if found is None else found[0]


def _picked(
    chosen: NDArray[np.bool_], clusters: Ints | None, weights: Floats | None
) -> tuple[Ints | None, Floats | None]:
    return None if clusters is None else clusters[chosen], None if weights is None else weights[chosen]


def _side(
    hits: Floats, chosen: NDArray[np.bool_], clusters: Ints | None, weights: Floats | None, confidence: float
) -> Interval | None:
    if not chosen.any():
        return None
    picked = hits[chosen]
    if clusters is not None or weights is not None:
        of_class, weighing = _picked(chosen, clusters, weights)
        return clustered_share(picked, of_class, weights=weighing, confidence=confidence)
    share, n = float(picked.mean()), len(picked)
    return Interval(share, *wilson_bounds(share, n, quantile=normal_quantile(0.5 + confidence / 2.0)), n)


def _check(labels: Floats, judged: Floats, weights: Floats | None) -> None:
    if len(labels) == 0:
        raise TooFewRows("No agreement without a label.", hint="Let people label some cases.", n=0, n_needed=1)
    if np.shape(labels) != np.shape(judged):
        raise DeclarationError(f"{len(labels)} labels and {len(judged)} verdicts do not pair.", hint="Give one each.")
    if not np.isin(labels, (0.0, 1.0)).all():
        raise DeclarationError("Labels are 0 or 1 here.", hint="Correct a mean (`kind='mean'`) for graded labels.")
    if not ((judged >= 0.0) & (judged <= 1.0)).all():
        raise DeclarationError("Verdicts lie within 0 and 1.", hint="Leave out what was not parsed, and count it.")
    if weights is not None and (np.shape(weights) != np.shape(labels) or not (np.asarray(weights) > 0.0).all()):
        raise DeclarationError("Each label weighs more than 0.", hint="Give one over the probability of each case.")


def _told(
    usable: Usable, informs: Usable, figures: tuple[Interval, Interval | None], lacks: tuple[_Lacks, int | None]
) -> str:
    (accuracy, informedness), (seen, n_more) = figures, lacks
    label = f": label about {n_more:,} more{_of_class(seen)}" if n_more else ""
    if seen.n < FEWEST_LABELS:
        return f"{seen.n} labels are too few to trust this judge{label}. Until then its figures are not used."
    if informedness is None:
        return (
            f"People called all {seen.n} cases the same, so nobody knows what this judge can tell: label about "
            f"{FEWEST_OF_A_CLASS} of the other sort. Until then its figures are not used."
        )
    value, low, high = ((each + 1.0) / 2.0 for each in (informedness.value, informedness.low, informedness.high))
    balanced = f"balanced accuracy {value:.0%} ({low:.0%} to {high:.0%}), on {seen.n} labels"
    if informs == "refused":
        return f"This judge tells good from bad hardly better than a coin ({balanced}): its figures are not used."
    agrees = f"agrees with people on {accuracy.value:.0%} ({accuracy.low:.0%} to {accuracy.high:.0%})"
    if usable == "refused":
        return f"This judge {agrees}, but {_few(seen)} are too few to trust it{label}. Until then its figures are not used."
    more = f"label about {n_more:,} more" if n_more else "label more"
    return f"This judge {agrees}; {balanced}{'' if usable == 'usable' else f': weak, {more}'}."


def _few(seen: _Lacks) -> str:
    """Of what there is too little."""
    worth = "" if seen.all_units > seen.n - 0.5 else f", worth {seen.all_units:.0f} independent ones,"
    return f"{seen.n} labels{worth}"


def _of_class(seen: _Lacks) -> str:
    """How many of them must be of the class of which there are too few."""
    lacking = math.ceil(FEWEST_OF_A_CLASS - min(seen.good, seen.bad))
    return f", at least {lacking} of them of cases that people call {seen.rarer}" if lacking > 0 else ""
