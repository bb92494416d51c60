"""Loops of calls, and limits in figures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.assets.agent import RunLimits
from perdure.core.usage import PICO
from perdure.engines.agents.limits import Taken, covered_s, first_reached, what_is_left
from perdure.engines.agents.looping import Made, digest_of, find_loop


def made(*told):
    return [Made(tool, arguments, result) for tool, arguments, result in told]


def test_the_same_call_is_a_loop_only_once_it_gave_the_same_more_often_than_allowed():
    for n in range(6):
        assert bool(find_loop(made(*[("a", "x", "r")] * n), "a", "x", 3)) == (n > 3)


def test_new_results_new_arguments_and_other_tools_are_no_loop():
    assert not find_loop(made(*[("a", "x", str(n)) for n in range(9)]), "a", "x", 2)
    assert not find_loop(made(*[("a", str(n), "r") for n in range(9)]), "a", "9", 2)
    assert not find_loop(made(*[("a", "x", "r")] * 9), "b", "x", 2)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_circle_of_different_calls_is_found_as_it_begins_again(length):
    circle = [(f"t{n}", "x", "r") for n in range(length)]
    assert "2 times over" in find_loop(made(*circle, *circle), "t0", "x", 2)
    assert not find_loop(made(*circle, *circle), "t1", "x", 2)
    assert not find_loop(made(*circle), "t0", "x", 2)
    assert not find_loop(made(*circle, *circle[:-1], ("t9", "x", "r")), "t0", "x", 2)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers().map(str)), unique=True, max_size=30)
)
def test_calls_that_give_something_new_each_time_are_never_a_loop(calls):
    told = made(*((tool, arguments, f"{n}{result}") for n, (tool, arguments, result) in enumerate(calls)))
    assert not find_loop(told, "a", "x", 1)


@given(st.integers(1, 4), st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
def test_whoever_only_repeats_himself_is_stopped(same_calls, circle):
    done = []
    for n in range(400):
        tool = circle[n % len(circle)]
        if find_loop(done, tool, "x", same_calls):
            break
        done.append(Made(tool, "x", "r"))
    assert len(done) <= len(circle) * (max(2, same_calls) + 1)


def test_digests_go_by_members_and_take_anything():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})
    assert digest_of({"a": float("nan")}) == digest_of({"a": float("nan")})


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        (Taken(steps=20), "limit.steps"),
        (Taken(tokens=100_000), "limit.tokens"),
        (Taken(pusd=PICO), "limit.usd"),
        (Taken(wall_s=600.0), "limit.wall"),
    ],
)
def test_each_limit_is_told_by_its_code(taken, why):
    reached = first_reached(RunLimits(), taken)
    assert reached is not None
    assert reached[0] == why
    assert first_reached(RunLimits(), Taken(19, 99_999, PICO - 1, 599.9)) is None


def test_a_run_below_has_no_more_than_what_is_left_above():
    above = RunLimits(steps=10, tokens=1000, usd=1.0, wall=timedelta(seconds=60))
    left = what_is_left(above, Taken(4, 300, PICO // 4, 20.0), RunLimits(steps=3))
    assert (left.steps, left.tokens, left.usd, left.wall) == (3, 700, 0.75, timedelta(seconds=40))
    spent = what_is_left(above, Taken(99, 9999, 9 * PICO, 99.0), RunLimits())
    assert first_reached(spent, Taken()) is None
    assert first_reached(spent, Taken(1, 1, 1, 0.1)) is not None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=12))
def test_time_that_stretches_share_counts_once(spans):
    ticks = {tick for began, took in spans for tick in range(began, began + took)}
    assert covered_s(spans) == pytest.approx(len(ticks) / 1e6)
