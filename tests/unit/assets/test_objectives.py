"""Objectives: written as comparisons, told apart by window, slice and confidence, judged by intervals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from perdure.assets.health import Reading, State
from perdure.assets.objective import Objective, accuracy, drift, latency_ms, mae
from perdure.core.errors import BadObjective
from perdure.core.units import days, minutes

NOW = datetime(2025, 1, 8, tzinfo=UTC)


def _reading(low: float | None, high: float | None, **changed: object) -> Reading:
    value = None if low is None or high is None else (low + high) / 2
    return replace(Reading("m", "mae", NOW, NOW - days(7), NOW, value, low, high, 100, "min"), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(7.0, 8.9, State.HEALTHY), (8.0, 10.0, State.UNSURE), (9.1, 11.0, State.BROKEN), (None, None, State.UNSURE)],
)
def test_only_an_interval_wholly_past_the_bound_breaks_an_objective(
    low: float | None, high: float | None, state: State
) -> None:
    assert (mae(over=days(7)) <= 9.0).judge(_reading(low, high)).state is state


@pytest.mark.parametrize(("low", "high", "state"), [(0.9, 0.95, State.HEALTHY), (0.5, 0.7, State.BROKEN)])
def test_a_lower_bound_is_judged_from_the_other_side(low: float, high: float, state: State) -> None:
    assert (accuracy(over=days(7)) >= 0.8).judge(_reading(low, high)).state is state


def test_drift_without_harm_is_healthy_and_with_harm_broken() -> None:
    objective = drift(over=days(7)).unharmful()
    assert objective.judge(_reading(3.0, 4.0)).state is State.HEALTHY
    assert objective.judge(_reading(3.0, 4.0, facts={"harm_low": -0.5})).state is State.HEALTHY
    assert objective.judge(_reading(3.0, 4.0, facts={"harm_low": 0.5})).state is State.BROKEN


def test_a_reading_speaks_only_of_the_objective_with_its_window_slice_and_parameters() -> None:
    reading = _reading(1.0, 2.0)
    assert (mae(over=days(7)) <= 9).measured_by(reading)
    assert not (mae(over=days(28)) <= 9).measured_by(reading)
    assert not (mae(over=days(7), by="origin") <= 9).measured_by(reading)
    assert (mae(over=days(7), by="origin") <= 9).measured_by(replace(reading, slice="origin=JFK"))
    assert not (mae(over=days(7)) <= 9).sure(0.99).measured_by(reading)
    assert latency_ms(quantile=0.5, over=days(1)).series != latency_ms(quantile=0.99, over=days(1)).series


def test_a_confidence_is_part_of_what_is_measured() -> None:
    objective: Objective = (mae(over=days(7)) <= 9).sure(0.99)
    assert objective.spec.confidence == objective.confidence == 0.99
    assert objective.text() == "mae over 7d <= 9 at 0.99"
    assert objective.sure(0.9).spec.series == "mae@0.9"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: mae(over=days(0)) <= 9,
        lambda: (mae(over=days(7)) <= 9).sure(95),
        lambda: drift(against="lastweek", over=days(7)),  # type: ignore[arg-type]
        lambda: drift(measure="ks", over=days(7)),  # type: ignore[arg-type]
        lambda: latency_ms(quantile=99, over=minutes(10)),
        lambda: bool(mae(over=days(7))),
    ],
)
def test_what_means_nothing_is_refused_when_it_is_written(wrong: object) -> None:
    with pytest.raises(BadObjective):
        wrong()  # type: ignore[operator]
