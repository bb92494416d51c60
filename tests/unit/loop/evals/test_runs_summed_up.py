"""A run summed up: intervals over clusters, where the spread comes from, what it cost."""

from __future__ import annotations

import pytest

from perdure.loop.work.evals.summaries import hallucination_of, summary_of
from perdure.testing.conformance.results import a_row


def rows(scores, **changes):
    return [
        a_row(f"c{i}", cluster=f"g{i}", weight=1.0, score=score, scores=[("exact", score, "scored", "")], **changes)
        for i, score in enumerate(scores)
    ]


def test_a_version_s_score_has_an_interval_over_clusters():
    """Cases of one cluster are no evidence of their own."""
    apart = summary_of(rows([1.0, 0.0] * 20), "support@000000000001")
    assert apart.score.value == pytest.approx(0.5)
    joined = [a_row(f"d{i}{j}", cluster=f"g{i}", weight=1.0, score=float(i % 2)) for i in range(8) for j in range(5)]
    together = summary_of(joined, "support@000000000001")
    assert together.score.high - together.score.low > apart.score.high - apart.score.low
    assert (together.n_cases, together.n_clusters) == (40, 8)


def test_what_is_too_little_for_an_interval_has_none():
    """One cluster, no answers, no spread: a mean at most."""
    one = summary_of([a_row("a", cluster="g"), a_row("b", cluster="g")], "support@000000000001")
    assert (one.score, one.mean) == (None, 1.0)
    assert summary_of([], "x").mean is None
    assert summary_of(rows([1.0] * 30), "support@000000000001").score is None


def test_scorers_are_told_apart_with_what_they_could_not_say():
    """Failed and not applicable answers are counted, and not as zeros."""
    found = summary_of(
        [
            a_row("a", cluster="a", scores=[("exact", 1.0, "scored", ""), ("judge", None, "failed", "no")]),
            a_row("b", cluster="b", scores=[("exact", 0.0, "scored", ""), ("judge", None, "not_applicable", "")]),
        ],
        "support@000000000001",
    )
    exact, judge = found.scorers
    assert (exact.label, exact.n, exact.score.value) == ("exact", 2, 0.5)
    assert (judge.n, judge.n_failed, judge.n_na, judge.score) == (0, 1, 1, None)


def test_money_time_and_what_was_known_are_summed():
    """Answers of unknown price are counted as such."""
    found = summary_of(
        [
            a_row("a", latency_us=1_000_000),
            a_row("b", cost_pusd=None, spent_pusd=0, cached=True, latency_us=3_000_000),
            a_row("c", error="blocked", score=0.0, latency_us=9_000_000),
        ],
        "support@000000000001",
    )
    assert (found.n_answers, found.n_failed, found.n_cached, found.n_unpriced) == (3, 1, 1, 1)
    assert (found.cost_pusd, found.spent_pusd, found.p50_ms) == (3_000_000, 3_000_000, 2000.0)
    assert found.cached_share == pytest.approx(1 / 3)


def test_the_spread_is_split_between_cases_and_samples():
    """Samples that differ tell of the model's own dice."""
    dice = [a_row(f"c{i}", sample, score=float((i + sample) % 2)) for i in range(10) for sample in range(2)]
    cases = [a_row(f"c{i}", sample, score=float(i % 2)) for i in range(10) for sample in range(2)]
    of_dice, of_cases = (summary_of(each, "support@000000000001").split for each in (dice, cases))
    assert of_dice.sample > 0.0 == of_dice.case
    assert of_cases.sample == 0.0 < of_cases.case
    once = summary_of(rows([1.0, 0.0, 1.0]), "support@000000000001").split
    assert once.sample is None


def test_hallucinations_are_a_share_of_claims_not_of_answers():
    """An answer weighs as many claims as it makes; one without a claim counts neither way."""
    told = [a_row(name, cluster=name, answer=name) for name in "abc"]
    found = hallucination_of(told, {"a": (1, 4), "b": (3, 4), "c": (0, 0)})
    assert found.value == pytest.approx(0.5)
    assert hallucination_of(told, {}) is None
