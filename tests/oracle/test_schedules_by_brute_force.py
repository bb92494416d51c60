"""The cheapest schedule costs what the best of all schedules costs, tried one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import DeclarationError
from perdure.engines.backtest import cheapest_schedule, daily_cost, price_of


def spent(losses, made_at, price, serving):
    """What a schedule costs; infinite when a candidate answers before it was made."""
    total, before = 0.0, 0
    for step, number in enumerate(serving):
        if made_at[number] > step:
            return np.inf
        total += losses[step, number] + (price if number not in (before, 0) else 0.0)
        before = number
    return total


@st.composite
def cases(draw):
    n_steps, n_candidates = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    losses = draw(st.lists(st.integers(0, 20), min_size=n_steps * n_candidates, max_size=n_steps * n_candidates))
    later = draw(st.lists(st.integers(0, n_steps), min_size=n_candidates - 1, max_size=n_candidates - 1))
    shaped = np.array(losses, dtype=np.float64).reshape(n_steps, n_candidates)
    return shaped, np.array([0, *later]), float(draw(st.integers(0, 12)))


@given(cases())
def test_no_schedule_is_cheaper(case):
    losses, made_at, price = case
    found = cheapest_schedule(losses, made_at, price)
    every = product(range(losses.shape[1]), repeat=losses.shape[0])
    assert found.cost == min(spent(losses, made_at, price, serving) for serving in every)


@given(cases())
def test_the_schedule_that_is_given_costs_what_is_said(case):
    losses, made_at, price = case
    found = cheapest_schedule(losses, made_at, price)
    assert found.cost == spent(losses, made_at, price, found.serving)
    changes = [now for before, now in zip((0, *found.serving), found.serving, strict=False) if now not in (before, 0)]
    assert found.n_retrains == len(changes)


@given(cases())
def test_a_dearer_retrain_never_makes_more_of_them_worth_it(case):
    losses, made_at, price = case
    assert cheapest_schedule(losses, made_at, price + 5.0).cost >= cheapest_schedule(losses, made_at, price).cost


def test_a_retrain_is_priced_in_days_of_the_frozen_error():
    assert daily_cost(8.0, 2, price_of(3.0, 10.0, 60.0)) == pytest.approx(8.0 + 2 * 3.0 * 10.0 / 60.0)


@pytest.mark.parametrize(
    ("losses", "made_at", "said"),
    [(np.ones((2, 2)), np.array([0]), "1 candidates"), (np.ones((2, 1)), np.array([1]), "first step")],
)
def test_what_fits_no_schedule_is_refused(losses, made_at, said):
    with pytest.raises(DeclarationError, match=said):
        cheapest_schedule(losses, made_at, 1.0)
