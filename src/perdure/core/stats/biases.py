"""What a judge prefers that people do not: the first answer shown, the longer one, its own; and whether it repeats itself.

Called when a judge is calibrated. Each bias is measured beside people's labels of the same cases: people like longer
answers too, so a judge is biased only in what it adds. Verdicts that did not parse are a class of their own, not dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats.clustered import clustered_interval, mcnemar
from perdure.core.stats.components import components
from perdure.core.stats.distributions import t_quantile
from perdure.core.stats.intervals import Interval, proportion_interval
from perdure.core.stats.shares import clustered_share

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How a pairwise judge takes the order of answers."""

    flips: Interval | None
    """Share of pairs whose verdict changes with the order; None where no pair parsed in both."""
    n_first: int
    """Pairs of which it took whichever was shown first, both times."""
    n_second: int
    p: float
    """Exact binomial p-value that both are as frequent."""
    n_unparsed: int


@dataclass(frozen=True, slots=True)
class Consistency:
    """How a judge repeats itself on the same answers."""

    modal: Interval
    """Share of judgings that say what most say of the same answer."""
    judging_share: float | None
    """Share of the variance of one verdict that is the judge's own noise; None where all verdicts are equal."""


def position_bias(given: Ints, swapped: Ints) -> PositionBias:
    """Verdicts on pairs shown in both orders.

    Args:
        given: shape (n,), 1 or 2: the answer preferred; 0 did not parse.
        swapped: shape (n,), the same with the answers shown in the other order, still named in the given one.

    Raises:
        DeclarationError: lengths differ.

    >>> found = position_bias(np.array([1, 1, 2, 1]), np.array([1, 2, 2, 2]))
    >>> found.flips.value, found.n_first, found.n_second
    (0.5, 2, 0)
    """
    if np.shape(given) != np.shape(swapped):
        raise DeclarationError(f"{len(given)} and {len(swapped)} verdicts do not pair.", hint="Give one an order.")
    parsed = np.isin(given, (1, 2)) & np.isin(swapped, (1, 2))
    n_first = int((parsed & (given == 1) & (swapped == 2)).sum())
    n_second = int((parsed & (given == 2) & (swapped == 1)).sum())
    n_parsed = int(parsed.sum())
    flips = proportion_interval(n_first + n_second, n_parsed) if n_parsed else None
    return PositionBias(flips, n_first, n_second, mcnemar(n_first, n_second), len(given) - n_parsed)


def pair_bias(judge_picks: Floats, people_pick: Floats, clusters: Ints | None = None) -> Interval:
    """How much more often a judge picks the longer answer (or its own) of a pair than people do.

    Args:
        judge_picks: shape (n,), 1 where it picks that one, 0 where not, ½ a tie.
        people_pick: shape (n,), the same by people.
        clusters: shape (n,), a number each.

    Raises:
        TooFewRows: fewer than 2 pairs or clusters.

    >>> pair_bias(np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])).value
    0.25
    """
    return clustered_interval(judge_picks - people_pick, clusters, within=(-1.0, 1.0))


def slope(trait: Floats, excess: Floats, clusters: Ints | None = None, *, confidence: float = 0.95) -> Interval:
    """How much a judge's excess over people's labels grows with a trait of the answer, with its CR3 interval.

    Give `np.log(length)` for length bias (the slope is score an e-fold of length), or 0 and 1 for "written by the
    judge's own model" (the slope is the difference of both means).

    Args:
        trait: shape (n,).
        excess: shape (n,), judged less labelled.
        clusters: shape (n,), a number each; None: each case is one of its own.
        confidence: 0 to 1, exclusive.

    Raises:
        TooFewRows: fewer than 3 clusters, or a trait without spread.

    Source: R. M. Bell, D. F. McCaffrey (2002), the jackknife over clusters. Value checked against statsmodels' OLS.

    >>> found = slope(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.1, 0.2, 0.3]))
    >>> round(found.value, 6), round(found.high - found.low, 6)
    (0.1, 0.0)
    """
    x, y = np.asarray(trait, dtype=np.float64), np.asarray(excess, dtype=np.float64)
    _, member = np.unique(np.arange(len(x)) if clusters is None else clusters, return_inverse=True)
    x = x - x.mean() if len(x) else x
    sums = np.array([np.bincount(member, weights=each) for each in (np.ones(len(x)), x, y, x * x, x * y)])
    n_clusters = sums.shape[1]
    if n_clusters < 3 or float(np.square(x).sum()) <= 1e-12:
        raise TooFewRows("No slope without 3 clusters of differing trait.", hint="Give more.", n=n_clusters, n_needed=3)
    value = float(_slope(sums.sum(axis=1)[:, None])[0])
    without = _slope(sums.sum(axis=1)[:, None] - sums)
    known = without[np.isfinite(without)]
    error = math.sqrt((len(known) - 1) / len(known) * float(np.square(known - value).sum()))
    half = t_quantile(0.5 + confidence / 2.0, max(1, n_clusters - 2)) * error
    return Interval(value, value - half, value + half, len(x))


def _slope(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    n, x, y, xx, xy = sums
    spread = n * xx - x * x
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-12, (n * xy - x * y) / spread, np.nan)


def self_consistency(verdicts: Floats) -> Consistency:
    """How far a judge says the same of the same answer.

    Args:
        verdicts: shape (n, J), J >= 2 judgings of each answer, finite.

    Raises:
        TooFewRows: fewer than 2 answers or judgings.

    >>> found = self_consistency(np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))
    >>> round(found.modal.value, 3)
    0.833
    """
    if verdicts.ndim != 2 or min(verdicts.shape) < 2:
        raise TooFewRows(
            "Consistency needs two answers, each judged twice.", hint="Judge them again.", n=len(verdicts), n_needed=2
        )
    modal = np.array([np.unique(row, return_counts=True)[1].max() / len(row) for row in verdicts])
    found = components(verdicts[:, None, :])
    n_judgings = verdicts.shape[1]
    noise = found.judging or 0.0
    case = max(0.0, found.mean_variance * found.n_cases - noise / n_judgings)
    share = noise / (noise + case) if noise + case > 0.0 else None
    return Consistency(clustered_share(modal, np.arange(len(modal))), share)
