"""Measures of rankings: how much of what should be found is among the first k, and how early. One value a query, in an array.

Values of queries are averaged by `measured`, with an interval over clusters of queries that move together, and two rankings of the same
queries are compared by `compared`, query by query. Called by the scorers of evals, by golden questions of indexes and by benchmarks.

What is relevant is a grade an id, 0 for what is not. An id that is found twice counts where it stands first, so a ranking gains nothing
by repeating itself. A query for which nothing is relevant has no value by any of these: it is refused, not scored 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError
from perdure.core.stats.clustered import clustered_mean
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import effective_share
from perdure.core.stats.verdicts import Compared, Ints, Plan, compare

Values = NDArray[np.float64]
Ranking = Sequence[Hashable]
"""Ids, best first."""
Grades = Mapping[Hashable, float]
"""Id → how relevant it is, above 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Rankings with what is relevant, as grades by place. Made by `judged`."""

    gains: Values
    """Grade of what stands at each place, shape (n, k); 0: it is not relevant, stood before, or nothing stands there."""
    ideal: Values
    """The same of the best possible ranking."""
    n_relevant: NDArray[np.int64]
    """Of all, shape (n,)."""

    @property
    def k(self) -> int:
        """Places that are looked at."""
        return int(self.gains.shape[1])


def judged(rankings: Sequence[Ranking], relevant: Sequence[Grades], k: int) -> Judged:
    """The first k of each ranking, held against what is relevant for its query.

    Raises:
        DeclarationError: k is below 1, the lengths differ, a grade is negative or not finite, or nothing is relevant for a query.

    Cost: 5 µs a query and k = 10.

    >>> judged([["a", "b", "a"]], [{"b": 1.0, "c": 2.0}], 3).gains.tolist()
    [[0.0, 1.0, 0.0]]
    """
    if k < 1 or len(rankings) != len(relevant):
        raise DeclarationError(
            f"{len(rankings)} rankings, what is relevant for {len(relevant)} queries, and the first {k}, measure nothing.",
            hint="Give one of each a query, and k of 1 at least.",
        )
    gains, ideal = np.zeros((len(rankings), k)), np.zeros((len(rankings), k))
    n_relevant = np.zeros(len(rankings), dtype=np.int64)
    for i, (ranking, grades) in enumerate(zip(rankings, relevant, strict=True)):
        given = list(grades.values())
        if not all(math.isfinite(each) and each >= 0.0 for each in given) or not any(given):
            raise DeclarationError(
                f"Query {i} has the grades {given[:5]!r}.",
                hint="Grades are finite and 0 at least; leave out a query for which nothing is relevant.",
            )
        first = dict.fromkeys(ranking[:k])
        places = {each: place for place, each in reversed(list(enumerate(ranking[:k])))}
        for each in first:
            gains[i, places[each]] = grades.get(each, 0.0)
        best = sorted(given, reverse=True)[:k]
        ideal[i, : len(best)] = best
        n_relevant[i] = sum(each > 0.0 for each in given)
    return Judged(gains, ideal, n_relevant)


def recall(of: Judged) -> Values:
    """Share of what is relevant that is among the first k."""
    found: Values = (of.gains > 0.0).sum(axis=1) / of.n_relevant
    return found


def precision(of: Judged) -> Values:
    """Share of the first k places at which something relevant stands; a shorter ranking wastes places."""
    found: Values = (of.gains > 0.0).sum(axis=1) / of.k
    return found


def hit(of: Judged) -> Values:
    """1 where something relevant is among the first k, else 0."""
    found: Values = (of.gains > 0.0).max(axis=1).astype(np.float64)
    return found


def reciprocal_rank(of: Judged) -> Values:
    """1 over the place of the first relevant one, 0 where none is among the first k; its mean is MRR.

    >>> reciprocal_rank(judged([["x", "a"], ["b"]], [{"a": 1}, {"b": 1}], 5)).tolist()
    [0.5, 1.0]
    """
    found = of.gains > 0.0
    return np.where(found.any(axis=1), 1.0 / (found.argmax(axis=1) + 1.0), 0.0)


def ndcg(of: Judged) -> Values:
    """Discounted cumulative gain over that of the best ranking: Σ grade / log2(place + 1), over the first k of each.

    Gains are the grades themselves; for 2^grade - 1 give grades so transformed.

    Source: Järvelin and Kekäläinen 2002, with Burges' discount. Checked against scikit-learn.

    >>> ndcg(judged([["b", "a"]], [{"a": 3.0, "b": 1.0}], 2)).round(4).tolist()
    [0.7967]
    """
    discounts = 1.0 / np.log2(np.arange(2.0, of.k + 2.0))
    found: Values = (of.gains * discounts).sum(axis=1) / (of.ideal * discounts).sum(axis=1)
    return found


def average_precisions(of: Judged) -> Values:
    """Mean over all that is relevant of the precision where it stands, 0 for what is not among the first k; of at most k.

    Checked against: scikit-learn.
    """
    found = of.gains > 0.0
    so_far = np.cumsum(found, axis=1) / np.arange(1.0, of.k + 1.0)
    each: Values = (so_far * found).sum(axis=1) / np.minimum(of.n_relevant, of.k)
    return each


def average_precision(relevant: Sequence[bool]) -> float:
    """Of one ranking, mean over its relevant places k of the share of relevant ones among the first k; 0 where none is.

    Source: Es et al. 2023 (RAGAS): divided by the relevant ones that were retrieved. Checked against: scikit-learn.

    >>> average_precision([True, False, True])
    0.8333333333333333
    """
    places = [i for i, each in enumerate(relevant) if each]
    if not places:
        return 0.0
    of = judged([range(len(relevant))], [dict.fromkeys(places, 1.0)], len(relevant))
    return float(average_precisions(of)[0])


def measured(values: Values, clusters: Ints | None = None, *, confidence: float = 0.95) -> Interval:
    """The mean of a measure with its interval, over clusters of queries; exact bounds where all queries score alike.

    Args:
        values: of queries, 0 to 1, shape (n,).
        clusters: a number each, such as of the document that the query was made from; None: each query is one of its own.
        confidence: 0 to 1, exclusive.

    Raises:
        TooFewRows: fewer than 2 clusters.

    >>> found = measured(np.array([1.0] * 18 + [0.0] * 2))
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (0.9, 0.68, 0.97)
    >>> round(measured(np.ones(20)).low, 2)
    0.83
    """
    mean = clustered_mean(values, clusters)
    return effective_share(mean.value, mean.se**2, mean.n_clusters, mean.df, confidence=confidence)


def compared(candidate: Values, incumbent: Values, plan: Plan, clusters: Ints | None = None) -> Compared:
    """The verdict on a ranking against another one, from a measure of the same queries: see `verdicts.compare`.

    Raises:
        DeclarationError: the queries are not the same ones, or a value is not finite.

    >>> compared(np.full(200, 0.8), np.full(200, 0.7), Plan(0.02, 0.03, 200, n_looks=1)).comparison
    <Comparison.BETTER: 'better'>
    """
    if candidate.shape != incumbent.shape:
        raise DeclarationError(
            f"{len(candidate)} queries against {len(incumbent)} cannot be paired.", hint="Ask both the same queries."
        )
    own = np.arange(len(candidate)) if clusters is None else clusters
    return compare(candidate - incumbent, own, plan, look=plan.n_looks)
