"""Verdicts of paired comparisons: four words, in every case of bad luck too."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.errors import DeclarationError
from perdure.core.stats.verdicts import Compared, Plan, compare
from perdure.core.verdict import Comparison


def plan(planned: int, margin: float = 0.02, n_looks: int = 4) -> Plan:
    return Plan(margin, 0.03, planned, n_looks)


def noise(n: int, mean: float, spread: float, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0.0, spread, n)
    return np.asarray(drawn - drawn.mean() + mean)


def judged(mean: float, spread: float = 0.2, n: int = 200, margin: float = 0.02) -> Compared:
    return compare(noise(n, mean, spread), np.arange(n), plan(n, margin))


def test_a_gain_beyond_doubt_is_better_a_loss_worse() -> None:
    assert judged(0.1).comparison is Comparison.BETTER
    assert judged(-0.1).comparison is Comparison.WORSE


def test_what_is_within_the_margin_for_sure_is_equivalent_and_what_is_only_not_significant_is_not() -> None:
    assert judged(0.001, spread=0.05).comparison is Comparison.EQUIVALENT
    assert judged(0.001, spread=0.5).comparison is Comparison.NOT_ENOUGH_EVIDENCE


def test_words_tell_the_difference_in_points_and_what_it_rests_on() -> None:
    clusters = np.arange(120) // 2

    found = compare(noise(120, 0.041, 0.1), clusters, plan(60))

    assert found.text.startswith("better: +4.1 points (95% ")
    assert found.text.endswith(" on 120 cases in 60 clusters")


def test_too_little_says_about_how_many_cases_more_would_tell() -> None:
    found = judged(0.01, spread=0.3)

    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert found.n_more is not None
    assert 500 <= found.n_more <= 700
    assert f"about {found.n_more} more cases for a 3-point difference" in found.text


def test_where_the_difference_would_have_shown_it_asks_for_the_cases_that_prove_equivalence() -> None:
    found = judged(0.001, spread=0.05, margin=0.005)

    assert "more cases to call them equivalent within 0.5 points" in found.text


def test_more_than_a_suite_can_hold_is_no_number() -> None:
    found = compare(np.tile([1.0, -1.0], 50), np.arange(100), Plan(0.001, 0.001, 100))

    assert found.n_more is None
    assert "more cases than a suite can hold" in found.text


def test_one_cluster_and_no_case_say_so_in_words_without_a_bound() -> None:
    one = compare(np.ones(5), np.zeros(5, dtype=int), plan(1))
    none = compare(np.zeros(0), np.zeros(0, dtype=int), plan(0))

    assert one.comparison is none.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert "5 cases of one cluster say nothing of others" in one.text
    assert "no case was answered" in none.text
    assert (one.difference.low, one.difference.high) == (-1.0, 1.0)


@pytest.mark.parametrize(("n", "expected"), [(148, Comparison.NOT_ENOUGH_EVIDENCE), (149, Comparison.EQUIVALENT)])
def test_all_equal_is_equivalent_only_when_enough_clusters_agree(n: int, expected: Comparison) -> None:
    """1 - .05^(1/n) is at most 2 points from 149 clusters on; a zero-width interval would be sure of anything."""
    found = compare(np.zeros(n), np.arange(n), plan(n))

    assert found.comparison is expected
    assert found.difference.high > 0.0


def test_a_few_cases_that_differ_are_no_gain_whatever_their_t_says() -> None:
    """Five wins of a thousand, no loss: exact p .0625."""
    few, more = np.zeros(1000), np.zeros(1000)
    few[:5], more[:12] = 1.0, 1.0

    assert compare(few, np.arange(1000), plan(1000)).comparison is not Comparison.BETTER
    assert compare(more, np.arange(1000), plan(1000)).comparison is Comparison.BETTER


def test_an_early_look_needs_more_than_the_last_one() -> None:
    gains = noise(50, 0.06, 0.15)

    early = compare(gains, np.arange(50), plan(200), look=1)
    last = compare(gains, np.arange(50), plan(200), look=4)

    assert (early.comparison, last.comparison) == (Comparison.NOT_ENOUGH_EVIDENCE, Comparison.BETTER)
    assert early.difference.low < 0.0 < last.difference.low


def test_a_run_stopped_early_says_so() -> None:
    found = compare(noise(50, 0.3, 0.2), np.arange(50), plan(200), look=1)

    assert found.comparison is Comparison.BETTER
    assert found.text.endswith("stopped early at look 1 of 4")


def test_before_ten_clusters_nothing_is_concluded_unless_there_are_no_more() -> None:
    gains = noise(8, 0.5, 0.01)

    assert compare(gains, np.arange(8), plan(100)).comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert compare(gains, np.arange(8), plan(8)).comparison is Comparison.BETTER


def test_equivalence_waits_for_the_last_look() -> None:
    same = noise(400, 0.0, 0.02)

    assert compare(same, np.arange(400), plan(800), look=2).comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert compare(same, np.arange(400), plan(800), look=4).comparison is Comparison.EQUIVALENT


def test_a_partial_run_tells_its_figures_and_concludes_nothing() -> None:
    found = compare(noise(200, 0.3, 0.1), np.arange(200), plan(200), partial=True)

    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert found.partial
    assert "+30.0 points" in found.text
    assert found.text.endswith("partial: the run ended before its plan")


def test_not_worse_by_the_margin_is_told_apart_from_equivalent() -> None:
    """A guarded suite may gain, but must not lose the margin."""
    gained = judged(0.015, spread=0.2)

    assert gained.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert gained.not_worse
    assert not judged(-0.015, spread=0.2).not_worse
    assert not compare(noise(200, 0.3, 0.1), np.arange(200), plan(200), partial=True).not_worse


def test_weights_count_cases_as_often_as_they_say() -> None:
    values, clusters = noise(60, 0.1, 0.3), np.arange(60) // 3
    weights = np.where(clusters == 0, 2.0, 1.0)
    twice = np.concatenate([values, values[:3]])

    by_weight = compare(values, clusters, plan(20), weights=weights)
    by_copy = compare(twice, np.concatenate([clusters, clusters[:3]]), plan(20))

    assert by_weight.difference.low == pytest.approx(by_copy.difference.low)
    assert by_weight.difference.value == pytest.approx(by_copy.difference.value)


@pytest.mark.parametrize("bad", [{"margin": 0.0}, {"smallest": -0.1}, {"planned": -1}, {"n_looks": 0}, {"alpha": 0.7}])
def test_a_plan_that_plans_nothing_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(DeclarationError):
        Plan(**({"margin": 0.02, "smallest": 0.03, "planned": 10} | bad))  # type: ignore[arg-type]


def test_values_that_are_not_finite_and_weights_of_nothing_are_refused() -> None:
    with pytest.raises(DeclarationError, match="not finite"):
        compare(np.array([0.1, np.nan]), np.arange(2), plan(2))
    with pytest.raises(DeclarationError, match="Weights"):
        compare(np.array([0.1, 0.2]), np.arange(2), plan(2), weights=np.zeros(2))
    with pytest.raises(DeclarationError, match="cluster numbers"):
        compare(np.array([0.1, 0.2]), np.arange(3), plan(2))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_clusters_that_agree_proves_nothing_however_alike_they_are(n: int) -> None:
    """Student's t of +30, +31 and +32 points is sure of everything; all signs alike happen by chance."""
    found = compare(0.3 + 0.01 * np.arange(n), np.arange(n), plan(n))

    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert found.difference.low < 0.0 < found.difference.high


def test_two_heavy_clusters_among_small_ones_err_no_oftener_than_is_promised() -> None:
    """With a degree of freedom for each small cluster one null comparison in nine was called better."""
    rng, sizes = np.random.default_rng(3), [50, 40] + [1] * 10
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    n_better = 0
    for _ in range(400):
        nothing = rng.normal(0.0, 0.1, len(sizes))[clusters] + rng.normal(0.0, 0.02, len(clusters))
        n_better += compare(nothing, clusters, plan(len(sizes))).comparison is Comparison.BETTER

    assert n_better <= 0.04 * 400


def test_what_most_weighs_counts_as_a_cluster_in_effect_by_weight_too() -> None:
    gains, clusters = noise(12, 0.1, 0.1, seed=1), np.arange(12)
    heavy = compare(gains, clusters, plan(12), weights=np.array([1000.0] + [1.0] * 11))

    assert compare(gains, clusters, plan(12)).comparison is Comparison.BETTER
    assert heavy.comparison is Comparison.NOT_ENOUGH_EVIDENCE


@pytest.mark.parametrize(("alpha", "words"), [(0.05, "(95% "), (0.0303964, "(97% "), (0.00122, "(99.9% ")])
def test_how_sure_an_interval_is_reads_as_a_person_would_say_it(alpha: float, words: str) -> None:
    found = compare(noise(200, 0.3, 0.1), np.arange(200), Plan(0.02, 0.03, 200, 1, alpha))

    assert words in found.text
