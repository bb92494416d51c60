"""How well versions of an index find what golden questions say should be found: every measure with its interval, and two versions paired.

`perdure index score` calls it; signals and gates of the loop have their own bounds and look at two of these measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import TooFewRows
from perdure.core.stats import ranking
from perdure.core.stats.intervals import Interval
from perdure.core.stats.verdicts import Plan
from perdure.core.verdict import Comparison
from perdure.engines.retrieval.golden import Golden, judge_golden
from perdure.loop.work.indexes.asking import Answers, ask, placed
from perdure.loop.work.indexes.gates import MARGIN, K
from perdure.loop.work.indexes.opening import OpenIndex

MEASURES: Mapping[str, Callable[[ranking.Judged], NDArray[np.float64]]] = {
    "recall": ranking.recall,
    "precision": ranking.precision,
    "ndcg": ranking.ndcg,
    "mrr": ranking.reciprocal_rank,
    "hit_rate": ranking.hit,
}
"""Measure → its value a question, 0 to 1."""
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of a version, or the difference of two."""

    value: float
    low: float | None
    """With `high` the 95% interval over clusters of questions; None: fewer than two clusters, so nobody knows."""
    high: float | None


@dataclass(frozen=True, slots=True)
class Against:
    """A version held against another one, question by question, by one measure."""

    before: float
    """Of the other one."""
    difference: Measure
    verdict: str
    """`better`, `worse`, `equivalent` or `not enough evidence`."""
    text: str


@dataclass(frozen=True, slots=True)
class GoldenScore:
    """What golden questions say of a version."""

    index: str
    version: str
    against: str
    """The version that it is held against; empty: none."""
    k: int
    """So many are looked at of what a question finds."""
    n_questions: int
    n_clusters: int
    measures: Mapping[str, Measure]
    compared: Mapping[str, Against]
    missed: Sequence[str]
    """Questions that find nothing of what they should, the first ten."""
    n_missed: int
    troubles: Sequence[str]
    """Lines of the file that were left out."""


def score(golden: Golden, opened: OpenIndex, against: OpenIndex | None = None, k: int = K) -> GoldenScore:
    """Every measure of a version, and where another one is given, verdicts on the difference.

    Args:
        golden: questions with what should be found.
        opened: the version.
        against: another version of the same index.
        k: so many are looked at of what a question finds.

    Cost: as `asking.ask` of each version.

    Raises:
        UpstreamError, NotReady: an embedder does not answer.
        StoreError: a version cannot be read.
    """
    golden = placed(opened, golden)
    answers = ask(opened, golden.queries, k)
    values = _values(golden, answers, k)
    missed = [query for query, hit in zip(golden.queries, values["hit_rate"], strict=True) if not hit]
    return GoldenScore(
        index=opened.index.name,
        version=opened.version,
        against="" if against is None else against.version,
        k=k,
        n_questions=len(golden.questions),
        n_clusters=len(set(golden.clusters.tolist())),
        measures={name: _measured(each, golden.clusters) for name, each in values.items()},
        compared={} if against is None else _compared(golden, answers, ask(against, golden.queries, k), k),
        missed=missed[:_SHOWN],
        n_missed=len(missed),
        troubles=golden.troubles,
    )


def _values(golden: Golden, answers: Answers, k: int) -> dict[str, NDArray[np.float64]]:
    judged = judge_golden(golden, answers.found, k)
    return {name: measure(judged) for name, measure in MEASURES.items()}


def _measured(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> Measure:
    try:
        found = ranking.measured(values, clusters)
    except TooFewRows:
        return Measure(float(values.mean()), None, None)
    return _of(found)


def _compared(golden: Golden, answers: Answers, other: Answers, k: int) -> dict[str, Against]:
    plan = Plan(MARGIN, 2 * MARGIN, len(set(golden.clusters.tolist())), n_looks=1)
    values, before = _values(golden, answers, k), _values(golden, other, k)
    same = answers.found == other.found
    found = {}
    for name in values:
        told = ranking.compared(values[name], before[name], plan, golden.clusters)
        # Few questions prove no equality of what differs; of what is the same there is nothing to prove.
        verdict = Comparison.EQUIVALENT if same else told.comparison
        text = "both find the same for every question" if same else told.text
        found[name] = Against(float(before[name].mean()), _of(told.difference), verdict.value, text)
    return found


def _of(interval: Interval) -> Measure:
    return Measure(interval.value, interval.low, interval.high)
