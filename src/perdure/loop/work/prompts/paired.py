"""Candidate and incumbent on the same cases: rows of a run become one difference a case, and a verdict of `core.stats`.

Gates call it. Means over samples come first; a case that one side failed to answer scores 0 there and stays in; a case
that one side was never asked (a run that ended early) does not count, and neither does its half of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.assets.suite import Suite
from perdure.assets.suite_cases import improves
from perdure.core.errors import TooFewRows
from perdure.core.stats import Interval
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.verdicts import Compared, Plan, compare
from perdure.stores.results.protocols import RunRow

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CaseScore:
    """What one version's answers to one case are worth."""

    case_id: str
    cluster: str
    weight: float
    score: float
    """Mean over samples; 0 for those that failed."""
    n_failed: int
    cost_pusd: float | None
    """Mean of an answer; None: the price of one of them is not known."""


Scores = Mapping[str, CaseScore]
"""By the case's digest."""


def held_out(rows: Iterable[RunRow], suite: Suite) -> list[RunRow]:
    """Rows that gates judge by: those of clusters that no improvement may learn from."""
    return [row for row in rows if not improves(row.cluster, suite.improve_share)]


def scores_of(rows: Iterable[RunRow], subject: str) -> Scores:
    """The scores of one version by case; cases to which no scorer applies are left out."""
    by_case: dict[str, list[RunRow]] = {}
    for row in rows:
        if row.subject == subject and (row.error or row.score is not None):
            by_case.setdefault(row.case, []).append(row)
    return {case: _case_score(found) for case, found in by_case.items()}


def _case_score(rows: Sequence[RunRow]) -> CaseScore:
    scores = [0.0 if row.error or row.score is None else row.score for row in rows]
    costs = [row.cost_pusd for row in rows]
    known = [cost for cost in costs if cost is not None]
    first = rows[0]
    return CaseScore(
        first.case_id,
        first.cluster or first.case,
        first.weight,
        sum(scores) / len(scores),
        sum(bool(row.error) for row in rows),
        sum(known) / len(known) if len(known) == len(costs) else None,
    )


def compared(first: Scores, second: Scores, suite: Suite, *, alpha: float, partial: bool) -> Compared:
    """The verdict on `first` against `second`, two-sided error `alpha`, by the margins that the suite declares."""
    both = [case for case in first if case in second]
    planned = len({each.cluster for each in (*first.values(), *second.values())})
    plan = Plan(suite.margin, suite.smallest, planned, n_looks=1, alpha=alpha)
    differences = np.array([first[case].score - second[case].score for case in both], dtype=np.float64)
    weights = np.array([first[case].weight for case in both], dtype=np.float64)
    if both and not weights.any():
        weights = np.ones(len(both))
    return compare(differences, _numbered(first, both), plan, partial=partial, weights=weights)


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
            values, _numbered(scores, cases), weights=weights, confidence=confidence, within=(0.0, 1.0)
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
        return clustered_interval(values, _numbered(first, both), confidence=confidence)
    except TooFewRows:
        return None


def mean_cost(scores: Scores) -> float | None:
    """Picodollars an answer; None where one is not known."""
    costs = [each.cost_pusd for each in scores.values()]
    known = [cost for cost in costs if cost is not None]
    return sum(known) / len(known) if known and len(known) == len(costs) else None


def _numbered(scores: Scores, cases: Sequence[str]) -> NDArray[np.int64]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(scores[case].cluster, len(numbers)) for case in cases], dtype=np.int64)
