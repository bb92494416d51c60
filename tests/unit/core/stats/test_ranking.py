"""Measures of rankings by hand, their intervals and their comparison."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats.ranking import (
    average_precision,
    average_precisions,
    compared,
    hit,
    judged,
    measured,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from perdure.core.stats.verdicts import Plan
from perdure.core.verdict import Comparison

OF = judged(
    [["x", "a", "y", "b"], ["x", "y"], ["c"]], [{"a": 1, "b": 1, "z": 1}, {"a": 1}, {"c": 2, "d": 1, "e": 0}], 4
)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (recall, [2 / 3, 0.0, 0.5]),
        (precision, [0.5, 0.0, 0.25]),
        (hit, [1.0, 0.0, 1.0]),
        (reciprocal_rank, [0.5, 0.0, 1.0]),
        (average_precisions, [(1 / 2 + 2 / 4) / 3, 0.0, 0.5]),
        (ndcg, [(1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3) + 0.5), 0.0, 2 / (2 + 1 / np.log2(3))]),
    ],
)
def test_each_measure_by_hand(measure, expected) -> None:
    """Of three queries: found late, not at all, and at once but not all."""
    np.testing.assert_allclose(measure(OF), expected)


def test_what_is_found_twice_counts_once_where_it_stood_first() -> None:
    """A ranking that repeats itself gains nothing."""
    once, twice = judged([["x", "a"]], [{"a": 1}], 4), judged([["x", "a", "a", "a"]], [{"a": 1}], 4)
    for measure in (recall, precision, hit, reciprocal_rank, ndcg, average_precisions):
        assert measure(once) == measure(twice)
        assert measure(twice)[0] <= 1.0


def test_more_relevant_ones_than_places_can_be_found_perfectly() -> None:
    """The first k of a perfect ranking are perfect."""
    of = judged([list(range(10))], [dict.fromkeys(range(10), 1)], 3)
    assert ndcg(of) == average_precisions(of) == precision(of) == 1.0
    assert recall(of) == pytest.approx(0.3)


def test_one_ranking_s_average_precision_is_divided_by_what_it_found() -> None:
    """And is 0 where it found nothing."""
    assert average_precision([False, True, False, True]) == 0.5
    assert average_precision([]) == average_precision([False]) == 0.0


@pytest.mark.parametrize(
    ("rankings", "relevant", "k"),
    [
        ([["a"]], [{}], 3),
        ([["a"]], [{"a": 0}], 3),
        ([["a"]], [{"a": -1, "b": 1}], 3),
        ([["a"]], [{"a": float("nan")}], 3),
        ([["a"]], [], 3),
        ([["a"]], [{"a": 1}], 0),
    ],
)
def test_what_cannot_be_measured_is_refused(rankings, relevant, k) -> None:
    """No grades, none above 0, negative ones, other lengths, no place."""
    with pytest.raises(DeclarationError):
        judged(rankings, relevant, k)


def test_queries_of_one_document_count_as_one() -> None:
    """The interval over clusters is wider than that of as many independent queries."""
    values, clusters = np.repeat(np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0]), 20), np.repeat(np.arange(6), 20)
    alone, together = measured(values), measured(values, clusters)
    assert alone.value == together.value == pytest.approx(2 / 3)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_perfect_score_is_not_certain() -> None:
    """Of 20 queries at 1.0 the true mean may be 0.83; of one cluster nothing is known."""
    assert measured(np.ones(20)).low == pytest.approx(0.8316, abs=1e-3)
    with pytest.raises(TooFewRows):
        measured(np.ones(20), np.zeros(20, dtype=int))


def test_two_rankings_are_compared_query_by_query() -> None:
    """A small steady gain is found where means with intervals would overlap; lengths must agree."""
    rng = np.random.default_rng(2)
    incumbent = rng.uniform(0.0, 0.9, 300)
    plan = Plan(margin=0.02, smallest=0.03, planned=300, n_looks=1)
    assert compared(incumbent + rng.uniform(0, 0.1, 300), incumbent, plan).comparison is Comparison.BETTER
    assert compared(incumbent, incumbent + rng.uniform(0, 0.1, 300), plan).comparison is Comparison.WORSE
    assert compared(incumbent, incumbent, plan).comparison is Comparison.EQUIVALENT
    with pytest.raises(DeclarationError):
        compared(incumbent, incumbent[1:], plan)
