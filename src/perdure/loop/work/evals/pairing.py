"""Two versions on the same cases: rows of a run become a score a case, one difference a case, and a verdict of `core.stats`.

Gates and comparisons call it. Means over samples come first; what a version failed to answer, and what no judge could judge,
scores 0 and stays in, so that no version gains by answers that nobody can judge. A case that neither side answered says nothing
of a difference. What surprised us: the incumbent's time-outs make anything look better. So a gain must also hold without the
cases that it lost so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.verdicts import Compared, Plan, compare
from perdure.core.verdict import Comparison
from perdure.stores.results.protocols import RunRow

_NOT_ITS_OWN = ("upstream", "http.5", "http.429", "not_ready", "limit_reached", "store", "cancelled", "budget")
"""How errors begin that say something of who answers, not of what is asked."""


@dataclass(frozen=True, slots=True)
class CaseScore:
    """What one version's answers to one case are worth."""

    case_id: str
    cluster: str
    weight: float
    score: float
    """Mean over samples; 0 for those that failed, or that no judge could judge."""
    n_failed: int
    cost_pusd: float | None
    """Mean of an answer; None: the price of one of them is not known."""
    judged: float | None
    """The mean without those that no judge could judge; None: there is no other."""
    sure: float | None
    """That without those that failed by no fault of the version's, such as time-outs, too."""
    n_lost: int
    """Samples that count in `score` and not in `sure`."""
    n_said: int
    """Samples that were answered and judged."""


Scores = Mapping[str, CaseScore]
"""By the case's digest."""


def scores_of(rows: Iterable[RunRow], subject: str) -> Scores:
    """The scores of one version by case; cases to which no scorer applies are left out."""
    by_case: dict[str, list[RunRow]] = {}
    for row in rows:
        if row.subject == subject and (row.error or row.score is not None or _unjudged(row)):
            by_case.setdefault(row.case, []).append(row)
    return {case: _case_score(found) for case, found in by_case.items()}


def judged_only(scores: Scores) -> Scores:
    """The scores as they are told of one version alone: of what no judge could judge nothing is known."""
    return {case: replace(each, score=each.judged) for case, each in scores.items() if each.judged is not None}


def _unjudged(row: RunRow) -> bool:
    """Whether a scorer that applies could not say anything, so that there is no score."""
    return not row.error and row.score is None and any(each[2] == "failed" for each in row.scores)


def _case_score(rows: Sequence[RunRow]) -> CaseScore:
    judged = [row for row in rows if not _unjudged(row)]
    sure = [row for row in judged if not row.error.startswith(_NOT_ITS_OWN)]
    costs = [row.cost_pusd for row in rows]
    known = [cost for cost in costs if cost is not None]
    first = rows[0]
    return CaseScore(
        case_id=first.case_id,
        cluster=first.cluster or first.case,
        weight=first.weight,
        score=_mean(rows) or 0.0,
        n_failed=sum(bool(row.error) for row in rows),
        cost_pusd=sum(known) / len(known) if known and len(known) == len(costs) else None,
        judged=_mean(judged),
        sure=_mean(sure),
        n_lost=len(rows) - len(sure),
        n_said=sum(not row.error for row in judged),
    )


def _mean(rows: Sequence[RunRow]) -> float | None:
    scores = [0.0 if row.error or row.score is None else row.score for row in rows]
    return sum(scores) / len(scores) if scores else None


def verdict_on(first: Scores, second: Scores, plan: Plan, *, look: int = 1, partial: bool = False) -> Compared:
    """The verdict on `first` (the candidate) against `second`, both asked the same cases.

    Cases that one side was never asked do not count, nor those that neither side answered or had judged. Better is only
    what is so without the cases, too, that the second side lost by no fault of its own.
    """
    both = [case for case in first if case in second and first[case].n_said + second[case].n_said > 0]
    found = _compared(first, {case: second[case].score for case in both}, plan, look, partial)
    if found.comparison is not Comparison.BETTER or not any(second[case].n_lost for case in both):
        return found
    kept = {case: sure for case in both if (sure := second[case].sure) is not None}
    without = _compared(first, kept, plan, look, partial)
    if without.comparison is Comparison.BETTER:
        return found
    n_lost = sum(bool(second[case].n_lost) for case in both)
    text = (
        f"{Comparison.NOT_ENOUGH_EVIDENCE}: the gain rests on {n_lost:,} cases in which the version that it is compared with "
        f"was not answered or not judged; without them: {without.text}"
    )
    return replace(without, comparison=Comparison.NOT_ENOUGH_EVIDENCE, text=text, not_worse=False)


def _compared(first: Scores, second: Mapping[str, float], plan: Plan, look: int, partial: bool) -> Compared:
    cases = list(second)
    differences = np.array([first[case].score - second[case] for case in cases], dtype=np.float64)
    weights = np.array([first[case].weight for case in cases], dtype=np.float64)
    if cases and not weights.any():
        weights = np.ones(len(cases))
    return compare(differences, numbered(first, cases), plan, look=look, partial=partial, weights=weights)


def numbered(scores: Scores, cases: Sequence[str]) -> NDArray[np.int64]:
    """A number for the cluster of each case."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(scores[case].cluster, len(numbers)) for case in cases], dtype=np.int64)
