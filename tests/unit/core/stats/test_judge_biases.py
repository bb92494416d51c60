"""Biases of a judge, its consistency, which cases to label, and where the spread of scores comes from."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats.biases import pair_bias, position_bias, self_consistency, slope
from perdure.core.stats.choosing import chosen_mean, drawn, inclusion, uncertainty
from perdure.core.stats.components import components
from perdure.core.stats.multiple import attempt_alpha, holm
from perdure.core.stats.power import clusters_to_equal, round_up, variance_guess, variance_planned
from perdure.core.stats.sequential import bounds, shuffled, watched_interval


def test_a_judge_that_takes_the_first_answer_is_seen_and_its_unparsed_verdicts_are_counted() -> None:
    given, swapped = np.array([1] * 20 + [2, 0]), np.array([2] * 18 + [1, 1, 2, 1])

    found = position_bias(given, swapped)

    assert (found.n_first, found.n_second, found.n_unparsed) == (18, 0, 1)
    assert found.p < 1e-4
    assert found.flips is not None
    assert found.flips.n == 21


def test_a_judge_without_a_flip_still_has_a_bound() -> None:
    found = position_bias(np.ones(30, dtype=int), np.ones(30, dtype=int))

    assert found.flips is not None
    assert (found.flips.value, found.p) == (0.0, 1.0)
    assert found.flips.high > 0.05
    assert position_bias(np.zeros(3, dtype=int), np.zeros(3, dtype=int)).flips is None


def test_liking_longer_answers_is_a_bias_only_beyond_what_people_like() -> None:
    rng = np.random.default_rng(0)
    people = (rng.random(300) < 0.7).astype(float)
    same = np.where(rng.random(300) < 0.9, people, 1.0 - people)
    longer = np.maximum(people, rng.random(300) < 0.5)

    assert pair_bias(same, people).low < 0.05
    assert pair_bias(longer, people).low > 0.05


def test_the_slope_on_length_finds_what_was_planted_and_needs_spread() -> None:
    rng = np.random.default_rng(1)
    length = np.log(rng.integers(20, 2000, 400))
    excess = 0.05 * length + rng.normal(0.0, 0.2, 400)

    found = slope(length, excess, np.arange(400) // 4)

    assert found.low < 0.05 < found.high
    assert found.low > 0.0
    with pytest.raises(TooFewRows):
        slope(np.ones(10), np.ones(10))


def test_a_judge_s_noise_is_told_apart_from_the_answers() -> None:
    rng = np.random.default_rng(2)
    steady = np.repeat(rng.integers(0, 2, 40), 5).reshape(40, 5).astype(float)
    noisy = rng.integers(0, 2, (40, 5)).astype(float)

    assert self_consistency(steady).judging_share == 0.0
    assert self_consistency(steady).modal.value == 1.0
    assert (self_consistency(noisy).judging_share or 0.0) > 0.8
    with pytest.raises(TooFewRows):
        self_consistency(np.ones((4, 1)))


def test_the_split_of_variance_finds_what_was_planted() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 0.3, (800, 1, 1)) + rng.normal(0, 0.2, (800, 3, 1)) + rng.normal(0, 0.1, (800, 3, 2))

    found = components(scores)

    assert (found.case, found.sample, found.judging) == pytest.approx((0.09, 0.04, 0.01), rel=0.15)
    assert found.mean_variance == pytest.approx(scores.mean(axis=(1, 2)).var(ddof=1) / 800)


def test_what_was_done_once_has_an_unknown_spread_and_never_none() -> None:
    once = components(np.array([[0.1], [0.5], [0.9]]))

    assert (once.case, once.sample, once.judging) == (None, None, None)
    assert once.best_repeats() is None


def test_a_variance_below_nothing_is_told_as_none_and_kept_raw() -> None:
    found = components(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))

    assert found.case == 0.0
    assert found.raw[0] is not None
    assert found.raw[0] < 0.0


def test_cases_with_a_missing_score_are_left_out_and_counted() -> None:
    scores = np.array([[0.1, 0.2], [0.5, np.nan], [0.9, 0.7], [0.2, 0.3]])

    assert (components(scores).n_cases, components(scores).n_dropped) == (3, 1)
    with pytest.raises(TooFewRows):
        components(scores[:2])


def test_uncertain_cases_are_asked_more_often_but_each_has_a_chance() -> None:
    score = np.array([0.0] * 50 + [1.0] * 50)

    odds = inclusion(score, 20)

    assert odds.sum() == pytest.approx(20.0)
    assert odds.min() == pytest.approx(0.2 * 20 / 100)
    assert odds[-1] > 5 * odds[0]


def test_no_probability_is_above_1_and_what_is_capped_goes_to_the_others() -> None:
    odds = inclusion(np.array([100.0] + [1.0] * 9), 4)

    assert odds.max() == 1.0
    assert odds.sum() == pytest.approx(4.0)
    assert inclusion(np.ones(3), 7).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(DeclarationError):
        inclusion(np.ones(3), 2, chance=0.1)


def test_without_a_label_all_cases_are_equally_uncertain() -> None:
    assert uncertainty(np.zeros(0), np.zeros(0), np.zeros(0, int), np.array([0, 3])).tolist() == [1.0, 1.0]


def test_labels_chosen_unequally_give_the_truth_on_average_and_cover_it() -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random(3000) < 0.7).astype(float)
    judged = np.where(rng.random(3000) < 0.85, truth, 1.0 - truth)
    odds = inclusion(1.5 - judged, 150)
    found = [chosen_mean(judged, truth, drawn(odds, seed), odds) for seed in range(200)]

    assert np.mean([each.value for each in found]) == pytest.approx(truth.mean(), abs=0.01)
    assert np.mean([each.low <= truth.mean() <= each.high for each in found]) > 0.9
    with pytest.raises(DeclarationError):
        chosen_mean(judged, truth, odds > 1.0, odds)


def test_an_endless_watch_rarely_errs_at_any_time() -> None:
    rng = np.random.default_rng(5)
    n_wrong = 0
    for _ in range(150):
        values = rng.normal(0.0, 1.0, 400)
        n_wrong += any(abs(each.value) > each.high - each.value for each in map(watched_interval, _prefixes(values)))

    assert n_wrong <= 15
    with pytest.raises(TooFewRows):
        watched_interval(np.ones(29))


def _prefixes(values: np.ndarray) -> list[np.ndarray]:
    return [values[:k] for k in range(30, len(values), 10)]


def test_the_order_of_clusters_is_no_order_of_their_names() -> None:
    names = [f"c{k:02d}" for k in range(40)]

    assert shuffled(names, "a") != names
    assert shuffled(names, "a") != shuffled(names, "b")
    assert sorted(shuffled(names, "a")) == names


def test_looks_that_do_not_rise_are_refused() -> None:
    with pytest.raises(DeclarationError):
        bounds((0.5, 0.5), (0.01, 0.02))
    with pytest.raises(DeclarationError):
        bounds((), ())


def test_a_pilot_s_variance_is_planned_with_caution_and_a_guess_needs_no_data() -> None:
    assert variance_planned(1.0, 4) > variance_planned(1.0, 19) > variance_planned(1.0, 200) > 1.0
    assert variance_guess(0.8, 0.03, correlation=0.9) < variance_guess(0.8, 0.03, correlation=0.5)
    assert round_up(101) == 110
    assert clusters_to_equal(0.5, 0.0) == 2
    with pytest.raises(DeclarationError):
        clusters_to_equal(0.0, 0.1)


def test_attempts_together_spend_no_more_than_their_error() -> None:
    assert sum(attempt_alpha(k) for k in range(1, 100_000)) == pytest.approx(0.05, abs=1e-6)
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
