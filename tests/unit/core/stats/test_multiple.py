"""Adjusted p-values bound the share of false findings."""

from __future__ import annotations

import numpy as np

from perdure.core.stats import adjusted_p_values


def test_adjusted_p_values_keep_their_order_and_never_exceed_1() -> None:
    adjusted = adjusted_p_values([0.9, 0.001, 0.04, 0.8])

    assert adjusted.tolist() == [0.9, 0.004, 0.08, 0.9]


def test_no_tests_give_no_p_values() -> None:
    assert adjusted_p_values([]).tolist() == []


def test_with_nothing_to_find_few_families_have_a_finding() -> None:
    rng = np.random.default_rng(0)

    alarms = sum(bool((adjusted_p_values(rng.uniform(size=50)) <= 0.05).any()) for _ in range(2000))

    assert 0.035 < alarms / 2000 < 0.065
