"""A judge has a say once there is evidence enough, and labels that were drawn unequally weigh what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.errors import DeclarationError
from perdure.core.stats.agreement import FEWEST_OF_A_CLASS, FEWEST_TRUSTED, agreement
from perdure.core.stats.choosing import inclusion
from perdure.core.stats.corrected import correct, correct_drawn
from perdure.core.stats.elsewhere import kept_errors, rogan_gladen, shift_p
from perdure.core.stats.shares import clustered_share, units_of


def of(n_good: int, n_bad: int) -> np.ndarray:
    """Labels."""
    return np.repeat([1.0, 0.0], [n_good, n_bad])


@pytest.mark.parametrize(
    ("n_good", "n_bad", "n_more", "told"),
    [
        (5, 5, 20, "label about 20 more, at least 5 of them of cases that people call bad"),
        (10, 10, 10, "20 labels are too few to trust it: label about 10 more. Until then"),
        (3, 57, 7, "60 labels are too few to trust it: label about 7 more, at least 7 of them of cases that people call good"),
        (4, 4, 22, "8 labels are too few to trust this judge: label about 22 more"),
        (40, 0, 10, "label about 10 of the other sort"),
    ],
)  # fmt: skip
def test_a_few_labels_that_all_agree_make_no_judge_usable(n_good: int, n_bad: int, n_more: int, told: str) -> None:
    found = agreement(of(n_good, n_bad), of(n_good, n_bad))

    assert (found.usable, found.n_more) == ("refused", n_more)
    assert told in found.text
    assert found.text.endswith("its figures are not used.")


def test_from_thirty_labels_of_both_sorts_on_a_judge_that_agrees_is_usable() -> None:
    labels = of(FEWEST_TRUSTED - FEWEST_OF_A_CLASS, FEWEST_OF_A_CLASS)

    assert (agreement(labels, labels).usable, agreement(labels, labels).n_more) == ("usable", 0)
    assert agreement(labels[1:], labels[1:]).usable == "refused"


def test_labels_of_a_few_clusters_are_as_many_as_the_clusters() -> None:
    labels = np.tile([1.0, 0.0], 30)
    found = agreement(labels, labels, np.arange(60) // 5)

    assert found.usable == "refused"
    assert "60 labels, worth 12 independent ones, are too few" in found.text
    assert found.n_more == 90


def test_as_many_labels_as_a_weak_judge_is_told_to_lack_make_it_usable() -> None:
    labels = np.tile([1.0, 0.0], 15)
    judged = np.where(np.arange(30) % 10 < 7, labels, 1.0 - labels)
    weak = agreement(labels, judged)
    assert weak.usable == "weak"
    assert weak.n_more
    assert f"weak, label about {weak.n_more} more" in weak.text

    n = 30 + weak.n_more
    labels = np.arange(n) % 2.0
    assert agreement(labels, np.where(np.arange(n) % 10 < 7, labels, 1.0 - labels)).usable == "usable"
    assert agreement(labels[:40], np.where(np.arange(40) % 10 < 7, labels[:40], 1.0 - labels[:40])).usable == "weak"


def test_no_number_of_labels_is_named_where_none_would_do() -> None:
    labels = np.tile([1.0, 0.0], 60)
    judged = np.where(np.arange(120) % 20 < 11, labels, 1.0 - labels)

    found = agreement(labels, judged)

    assert (found.usable, found.n_more) == ("refused", None)


@pytest.mark.parametrize(("n", "right"), [(10, 0.9), (20, 0.95), (30, 0.95)])
def test_errors_that_a_few_labels_did_not_see_are_counted(n: int, right: float) -> None:
    """Without them the interval at 10 labels held the truth 7 times of 10."""
    rng, held, told = np.random.default_rng(0), 0, 0
    for _ in range(300):
        truth = (rng.random(n + 1_000) < 0.8).astype(float)
        judged = np.where(rng.random(n + 1_000) < right, truth, 1.0 - truth)
        found = correct(truth[:n], judged[:n], judged[n:]).corrected
        if found is not None:
            told, held = told + 1, held + (found.low <= 0.8 <= found.high)

    assert held / told > 0.93


class Drawn:
    """A population in which the judge errs on hard cases, and labels drawn rather there."""

    def __init__(self, seed: int, *, share: float = 0.5, n: int = 1_000, n_labels: float = 100.0) -> None:
        rng = np.random.default_rng(seed)
        self.truth = (rng.random(n) < share).astype(float)
        hard = rng.random(n) < 0.25
        self.judged = np.where(rng.random(n) < np.where(hard, 0.6, 0.95), self.truth, 1.0 - self.truth)
        chance = inclusion(np.where(hard, 0.24, 0.05) + 0.05 * (self.judged == 0.0), n_labels)
        self.at = np.flatnonzero(rng.random(n) < chance)
        self.weights = 1.0 / chance[self.at]
        self.labels, self.own = self.truth[self.at], self.judged[self.at]


RIGHT = 0.75 * 0.95 + 0.25 * 0.6
"""Of the judge, on all of the population and on each class."""


def test_what_was_drawn_unequally_covers_the_population_and_by_its_plain_count_does_not() -> None:
    held = dict.fromkeys(("accuracy", "sensitivity", "informedness", "corrected", "elsewhere", "plain"), 0)
    for seed in range(250):
        one = Drawn(seed)
        found, plain = agreement(one.labels, one.own, weights=one.weights), agreement(one.labels, one.own)
        same = np.concatenate([one.at, np.arange(1_000)])
        figure = correct_drawn(one.labels, one.own, one.judged, one.weights, clusters=same).corrected
        other = Drawn(seed + 10_000, share=0.2)
        elsewhere = rogan_gladen(other.judged, one.labels, one.own, weights=one.weights)
        for name, interval, truth in (
            ("accuracy", found.accuracy, RIGHT),
            ("sensitivity", found.sensitivity, RIGHT),
            ("informedness", found.informedness, 2 * RIGHT - 1),
            ("corrected", figure, 0.5),
            ("elsewhere", elsewhere, 0.2),
            ("plain", plain.accuracy, RIGHT),
        ):
            held[name] += interval is not None and interval.low <= truth <= interval.high

    assert all(count >= 0.91 * 250 for name, count in held.items() if name != "plain"), held
    assert held["plain"] < 0.6 * 250


def test_equal_weights_are_none() -> None:
    one = Drawn(1)

    assert (
        agreement(one.labels, one.own, weights=np.full(len(one.at), 7.0)).accuracy
        == agreement(one.labels, one.own).accuracy
    )
    assert clustered_share(one.own, weights=np.full(len(one.at), 7.0)) == clustered_share(one.own)


def test_a_share_of_all_or_none_is_as_sure_as_its_labels_are_worth() -> None:
    weights = np.array([1.0] * 20 + [10.0] * 2)
    worth = units_of(22, weights=weights)

    assert worth == pytest.approx(40**2 / 220)
    assert clustered_share(np.ones(22), weights=weights).low < clustered_share(np.ones(22)).low


def test_a_judge_s_shift_is_not_seen_in_how_its_cases_were_drawn() -> None:
    """Cases called bad are drawn more often: their plain share is another than the traffic's."""
    seen = [Drawn(seed) for seed in range(60)]
    others = [Drawn(seed + 500) for seed in range(60)]

    plain = [shift_p(one.own, other.judged) < 0.05 for one, other in zip(seen, others, strict=True)]
    weighted = [shift_p(one.own, other.judged, one.weights) < 0.05 for one, other in zip(seen, others, strict=True)]

    assert sum(weighted) <= 8
    assert sum(plain) > 3 * sum(weighted)


def test_a_judge_that_errs_as_ever_is_seen_to_by_weights_only() -> None:
    fair = Drawn(3, n=400, n_labels=399.9)
    drawn = [Drawn(seed, n_labels=120.0) for seed in range(100, 140)]

    weighted = [
        kept_errors(fair.labels, fair.own, one.labels, one.own, weights=fair.weights, fresh_weights=one.weights) < 0.05
        for one in drawn
    ]
    plain = [kept_errors(fair.labels, fair.own, one.labels, one.own) < 0.05 for one in drawn]

    assert sum(weighted) <= 6 < sum(plain)


def test_a_weight_is_above_0_and_each_label_has_one() -> None:
    labels = of(10, 10)
    for weights in (np.zeros(20), np.ones(19)):
        with pytest.raises(DeclarationError, match="weighs more than 0"):
            agreement(labels, labels, weights=weights)
        with pytest.raises(DeclarationError, match="weighs more than 0"):
            correct_drawn(labels, labels, labels, weights)
