"""Candidate and incumbent on the same cases, by the margins that a suite declares: verdicts, means and costs. Gates call it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from perdure.assets.suite import Suite
from perdure.assets.suite_cases import improves
from perdure.core.errors import TooFewRows
from perdure.core.stats import Interval
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.verdicts import Compared, Plan
from perdure.loop.work.evals.pairing import Scores, numbered, scores_of, verdict_on
from perdure.stores.results.protocols import RunRow

__all__ = ["compared", "cost_difference", "held_out", "mean_cost", "mean_score", "no_worse", "scores_of"]


def held_out(rows: Iterable[RunRow], suite: Suite) -> list[RunRow]:
    """Rows that gates judge by: those of clusters that no improvement may learn from."""
    return [row for row in rows if not improves(row.cluster, suite.improve_share)]


def compared(first: Scores, second: Scores, suite: Suite, *, alpha: float, partial: bool) -> Compared:
    """The verdict on `first` against `second`, two-sided error `alpha`, by the margins that the suite declares."""
    planned = len({each.cluster for each in (*first.values(), *second.values())})
    plan = Plan(suite.margin, suite.smallest, planned, n_looks=1, alpha=alpha)
    return verdict_on(first, second, plan, partial=partial)


def no_worse(first: Scores, second: Scores, suite: Suite, *, alpha: float) -> bool:
    """Whether `first` is proven to be worse by less than the margin: the lower bound at one-sided `alpha` lies above it."""
    verdict = compared(first, second, suite, alpha=2.0 * alpha, partial=False)
    return verdict.difference.low > -suite.margin


def mean_score(scores: Scores, confidence: float) -> Interval | None:
    """The clustered mean with its interval, weights as declared; None with fewer than two clusters."""
    cases = list(scores)
    values = np.array([scores[case].score for case in cases], dtype=np.float64)
    weights = np.array([scores[case].weight for case in cases], dtype=np.float64)
    try:
        return clustered_interval(
            values, numbered(scores, cases), weights=weights, confidence=confidence, within=(0.0, 1.0)
        )
    except TooFewRows:
        return None


def cost_difference(first: Scores, second: Scores, confidence: float) -> Interval | None:
    """Picodollars an answer of `first` less those of `second`; None where prices are not known or clusters too few."""
    both = [case for case in first if case in second]
    pairs = [(first[case].cost_pusd, second[case].cost_pusd) for case in both]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not both or len(known) != len(both):
        return None
    values = np.array([one - other for one, other in known], dtype=np.float64)
    try:
        return clustered_interval(values, numbered(first, both), confidence=confidence)
    except TooFewRows:
        return None


def mean_cost(scores: Scores) -> float | None:
    """Picodollars an answer; None where one is not known."""
    costs = [each.cost_pusd for each in scores.values()]
    known = [cost for cost in costs if cost is not None]
    return sum(known) / len(known) if known and len(known) == len(costs) else None
