"""Intervals hold the truth as often as they say, and refuse when they cannot know."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats import (
    clustered_mean_interval,
    mean_interval,
    paired_mean_interval,
    proportion_interval,
    quantile_interval,
)

N_SIMULATIONS = 4000
# Three standard errors of a coverage of .95 over as many simulations.
CHANCE = 3 * math.sqrt(0.95 * 0.05 / N_SIMULATIONS)


def coverage(draw, truth: float) -> float:
    intervals = [mean_interval(draw()) for _ in range(N_SIMULATIONS)]
    return sum(each.low <= truth <= each.high for each in intervals) / N_SIMULATIONS


@pytest.mark.parametrize("n", [30, 300])
def test_a_mean_s_interval_covers_at_its_confidence_for_normal_values(n: int) -> None:
    rng = np.random.default_rng(1)

    assert coverage(lambda: rng.normal(size=n), 0.0) == pytest.approx(0.95, abs=CHANCE)


@pytest.mark.parametrize(("n", "least"), [(30, 0.935), (100, 0.94), (300, 0.94)])
def test_a_mean_s_interval_covers_skewed_errors_nearly_as_well(n: int, least: float) -> None:
    rng = np.random.default_rng(2)

    assert least - 0.005 < coverage(lambda: rng.exponential(size=n), 1.0) < 0.96


def test_a_mean_s_interval_reaches_further_towards_the_long_tail() -> None:
    interval = mean_interval(np.random.default_rng(3).exponential(size=40))

    assert interval.high - interval.value > 1.2 * (interval.value - interval.low)


def test_the_closed_form_is_what_the_drawn_bootstrap_converges_to() -> None:
    values = np.random.default_rng(4).exponential(9.0, size=400)

    closed, drawn = mean_interval(values), mean_interval(values, n_resamples=20_000, seed=1)

    assert closed.value == drawn.value
    assert closed.low == pytest.approx(drawn.low, abs=0.05)
    assert closed.high == pytest.approx(drawn.high, abs=0.05)


def test_a_drawn_interval_depends_on_its_seed_and_on_nothing_else() -> None:
    values = np.random.default_rng(5).exponential(size=50)

    first, again, other = (mean_interval(values, n_resamples=200, seed=seed) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_more_confidence_makes_a_wider_interval() -> None:
    values = np.random.default_rng(6).normal(size=100)

    sure, surer = mean_interval(values, confidence=0.8), mean_interval(values, confidence=0.99)

    assert surer.low < sure.low < sure.high < surer.high


def test_equal_values_leave_no_doubt() -> None:
    interval = mean_interval(np.full(50, 3.0))

    assert (interval.low, interval.value, interval.high) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_a_mean_of_fewer_than_two_values_is_refused_with_what_is_needed(values: list[float]) -> None:
    with pytest.raises(TooFewRows) as refused:
        mean_interval(np.array(values))

    assert refused.value.facts == {"n": len(values), "n_needed": 2}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    values = np.array([1.0, 2.0, bad])

    for interval in (
        lambda: mean_interval(values),
        lambda: clustered_mean_interval(values, np.arange(3)),
        lambda: paired_mean_interval(values, np.zeros(3)),
        lambda: quantile_interval(np.repeat(values, 100), 0.5),
    ):
        with pytest.raises(DeclarationError, match="NaN or infinities"):
            interval()


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_that_means_nothing_is_refused(confidence: float) -> None:
    with pytest.raises(DeclarationError, match="confidence"):
        mean_interval(np.array([1.0, 2.0]), confidence=confidence)


@pytest.mark.parametrize(("n_clusters", "least"), [(7, 0.92), (30, 0.935)])
def test_clustered_intervals_cover_where_rows_of_a_day_move_together(n_clusters: int, least: float) -> None:
    rng = np.random.default_rng(7)
    day = np.repeat(np.arange(n_clusters), 40)
    held = naive = 0
    for _ in range(1000):
        values = rng.normal(size=n_clusters)[day] + rng.normal(size=len(day))
        clustered, plain = clustered_mean_interval(values, day), mean_interval(values)
        held += clustered.low <= 0.0 <= clustered.high
        naive += plain.low <= 0.0 <= plain.high

    assert held / 1000 > least
    assert naive / 1000 < 0.6


def test_clusters_of_one_row_give_the_interval_of_the_rows() -> None:
    values = np.random.default_rng(8).exponential(size=80)

    clustered, plain = clustered_mean_interval(values, np.arange(80)), mean_interval(values)

    assert clustered.low == pytest.approx(plain.low)
    assert clustered.high == pytest.approx(plain.high)


def test_clusters_may_have_names_and_one_alone_is_refused() -> None:
    values = np.array([1.0, 2.0, 3.0])

    assert clustered_mean_interval(values, np.array(["mon", "mon", "tue"])).value == 2.0
    with pytest.raises(TooFewRows, match="1 clusters"):
        clustered_mean_interval(values, np.array(["mon", "mon", "mon"]))
    with pytest.raises(DeclarationError, match="3 values have 2"):
        clustered_mean_interval(values, np.array([1, 2]))


def test_pairing_sees_a_difference_that_two_intervals_hide() -> None:
    rng = np.random.default_rng(9)
    champion = rng.exponential(9.0, size=300)
    challenger = champion - 0.3 + rng.normal(scale=0.5, size=300)

    apart = mean_interval(challenger).high > mean_interval(champion).low
    paired = paired_mean_interval(challenger, champion)

    assert apart
    assert paired.high < 0.0
    assert paired.value == pytest.approx(-0.3, abs=0.1)


def test_pairs_can_be_clustered_and_must_be_of_equal_length() -> None:
    rng = np.random.default_rng(10)
    day = np.repeat(np.arange(10), 30)
    first = rng.normal(size=10)[day] + rng.normal(size=300)

    clustered = paired_mean_interval(first, np.zeros(300), clusters=day)
    plain = paired_mean_interval(first, np.zeros(300))

    assert clustered.high - clustered.low > 1.5 * (plain.high - plain.low)
    with pytest.raises(DeclarationError, match="equal lengths"):
        paired_mean_interval(first, np.zeros(299))


def test_a_share_of_none_or_all_still_has_room_for_doubt() -> None:
    none, everything = proportion_interval(0, 10), proportion_interval(10, 10)

    assert none.low == 0.0
    assert 0.2 < none.high < 0.35
    assert everything.high == 1.0
    assert everything.low == pytest.approx(1.0 - none.high)


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(TooFewRows):
        proportion_interval(0, 0)
    with pytest.raises(DeclarationError, match="3 hits of 2"):
        proportion_interval(3, 2)


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_a_quantile_s_interval_covers_at_least_at_its_confidence(quantile: float) -> None:
    rng = np.random.default_rng(11)
    truth = -math.log(1.0 - quantile)

    intervals = [quantile_interval(rng.exponential(size=200), quantile) for _ in range(2000)]

    assert 0.94 < sum(each.low <= truth <= each.high for each in intervals) / 2000 < 0.98


def test_a_quantile_that_its_rows_cannot_bound_is_refused_with_the_rows_it_needs() -> None:
    values = np.arange(1000.0)

    assert quantile_interval(values[:368], 0.99).high == 367.0
    with pytest.raises(TooFewRows) as refused:
        quantile_interval(values[:367], 0.99)

    assert refused.value.facts["n_needed"] == 368


def test_a_quantile_outside_0_to_1_is_refused() -> None:
    with pytest.raises(DeclarationError, match="quantile of 99"):
        quantile_interval(np.arange(10.0), 99)
