"""How well a judge agrees with people, and whether it carries any information at all.

Called when a judge is calibrated, and by `corrected` before any figure of it is used. Four figures are told together,
since each alone misleads: with 95% good answers a judge that always says "good" is 95% accurate. Kappa sees that but
falls with the share, AC1 does not, informedness (sensitivity + specificity - 1) is what a correction divides by.

What surprised us: asking the lower bound of informedness to be .2 refuses a fair judge (.40) 54% of the time at 50
labels; refusing at a bound of 0 or a value below .2 refuses it 8%, and a worthless one (.06) 87%.
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
from perdure.core.stats.shares import clustered_share, wilson_bounds

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Usable = Literal["usable", "weak", "refused"]

LEAST_INFORMEDNESS = 0.2
"""Below, a judge is refused; where only its lower bound is below, it is weak. Ours."""
FEWEST_LABELS = 10
"""Labels below which nothing is said of a judge."""
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
    text: str


def agreement(labels: Floats, judged: Floats, clusters: Ints | None = None, *, confidence: float = 0.95) -> Agreement:
    """A judge's verdicts beside people's labels of the same cases.

    Args:
        labels: shape (n,), 0 or 1.
        judged: shape (n,), 0 to 1; ½ is a tie (both orders disagree) and counts half.
        clusters: shape (n,), a number each; None: each case is one of its own.
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
    _check(labels, judged)
    n, good = len(labels), labels == 1.0
    accuracy = clustered_share(1.0 - np.abs(labels - judged), clusters, confidence=confidence)
    sensitivity = _side(judged, good, clusters, confidence)
    specificity = _side(1.0 - judged, ~good, clusters, confidence)
    informedness, low = informedness_interval(labels, judged, clusters, confidence=confidence)
    usable = usable_by(informedness, low, n)
    decided = judged != 0.5
    table = _table(labels[decided], (judged[decided] > 0.5).astype(np.float64))
    found = _kappa_interval(table, labels, judged, clusters, confidence)
    told = _told(usable, accuracy, informedness, n)
    ac1 = gwet_ac1(table)
    return Agreement(n, accuracy, found, ac1, sensitivity, specificity, informedness, low, usable, told)


def informedness_interval(
    labels: Floats, judged: Floats, clusters: Ints | None = None, *, confidence: float = 0.95
) -> tuple[Interval | None, float]:
    """Informedness with its two-sided interval, and its one-sided 95% lower bound (-1 where a class is missing).

    The bounds of both shares are combined as Newcombe does (MOVER): J - √((s - low_s)² + (c - low_c)²).
    """
    good = labels == 1.0
    if good.all() or not good.any():
        return None, -1.0
    two, one = [
        [_side(judged, good, clusters, sure), _side(1.0 - judged, ~good, clusters, sure)]
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


def _table(labels: Floats, judged: Floats) -> NDArray[np.float64]:
    cells = 2 * (labels > 0.5).astype(np.int64) + (judged > 0.5).astype(np.int64)
    return np.bincount(cells, minlength=4).reshape(2, 2).astype(np.float64)


def _kappa_interval(
    table: NDArray[np.float64], labels: Floats, judged: Floats, clusters: Ints | None, confidence: float
) -> Interval | None:
    found = kappa(table) if table.sum() else None
    if found is None:
        return None
    value, error = found
    quantile = normal_quantile(0.5 + confidence / 2.0)
    if clusters is not None:
        value_without = [_without(labels, judged, clusters != each) for each in np.unique(clusters)]
        known = np.array([each for each in value_without if each is not None])
        if len(known) < 2:
            return None
        error = math.sqrt((len(known) - 1) / len(known) * float(np.square(known - value).sum()))
        quantile = t_quantile(0.5 + confidence / 2.0, len(known) - 1)
    low, high = max(-1.0, value - quantile * error), min(1.0, value + quantile * error)
    return Interval(value, low, high, int(table.sum()))


def _without(labels: Floats, judged: Floats, kept: NDArray[np.bool_]) -> float | None:
    kept = kept & (judged != 0.5)
    found = kappa(_table(labels[kept], judged[kept])) if kept.any() else None
    return None if found is None else found[0]


def _side(hits: Floats, chosen: NDArray[np.bool_], clusters: Ints | None, confidence: float) -> Interval | None:
    if not chosen.any():
        return None
    picked = hits[chosen]
    if clusters is not None:
        return clustered_share(picked, clusters[chosen], confidence=confidence)
    share, n = float(picked.mean()), len(picked)
    return Interval(share, *wilson_bounds(share, n, quantile=normal_quantile(0.5 + confidence / 2.0)), n)


def _check(labels: Floats, judged: Floats) -> None:
    if len(labels) == 0:
        raise TooFewRows("No agreement without a label.", hint="Let people label some cases.", n=0, n_needed=1)
    if np.shape(labels) != np.shape(judged):
        raise DeclarationError(f"{len(labels)} labels and {len(judged)} verdicts do not pair.", hint="Give one each.")
    if not np.isin(labels, (0.0, 1.0)).all():
        raise DeclarationError("Labels are 0 or 1 here.", hint="Correct a mean (`kind='mean'`) for graded labels.")
    if not ((judged >= 0.0) & (judged <= 1.0)).all():
        raise DeclarationError("Verdicts lie within 0 and 1.", hint="Leave out what was not parsed, and count it.")


def _told(usable: Usable, accuracy: Interval, informedness: Interval | None, n: int) -> str:
    if n < FEWEST_LABELS:
        return f"{n} labels are too few to trust this judge: its figures are not used."
    if informedness is None:
        return (
            f"People called all {n} cases the same, so nobody knows what this judge can tell: its figures are not used."
        )
    value, low, high = ((each + 1.0) / 2.0 for each in (informedness.value, informedness.low, informedness.high))
    balanced = f"balanced accuracy {value:.0%} ({low:.0%} to {high:.0%}), on {n} labels"
    if usable == "refused":
        return f"This judge tells good from bad hardly better than a coin ({balanced}): its figures are not used."
    agrees = f"agrees with people on {accuracy.value:.0%} ({accuracy.low:.0%} to {accuracy.high:.0%})"
    return f"This judge {agrees}; {balanced}{'' if usable == 'usable' else ': weak, label more'}."
