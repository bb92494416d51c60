"""Metrics come with intervals, by slice, and not at all from too few rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perdure.core.errors import DeclarationError, NotFound
from perdure.engines.performance import MIN_ROWS, Metric, get_metric, list_metrics, measure, register
from perdure.engines.performance import metrics as registry


@pytest.fixture
def flights() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    minutes = rng.uniform(60, 300, size=900)
    return minutes, minutes + rng.normal(2.0, 9.0, size=900)


def test_without_slices_there_is_one_estimate_of_all_rows(flights) -> None:
    [estimate] = measure("mae", *flights)

    assert (estimate.slice, estimate.n) == ("", 900)
    assert estimate.interval.low < estimate.interval.value < estimate.interval.high


def test_slices_come_apart_in_the_order_of_their_labels(flights) -> None:
    y, prediction = flights
    origin = np.array(["LGA", "EWR", "JFK"])[np.arange(900) % 3]

    estimates = measure("bias", y, prediction, slices=origin)

    assert [(estimate.slice, estimate.n) for estimate in estimates] == [("EWR", 300), ("JFK", 300), ("LGA", 300)]
    expected = float(np.mean((prediction - y)[origin == "JFK"]))
    assert estimates[1].interval.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("slices", "labels"),
    [
        (np.array([2, 10] * 50), ["2", "10"]),
        (np.array([True, False] * 50), ["False", "True"]),
        (np.array(["b", None] * 50, dtype=object), ["b", "null"]),
        (np.array([1.5, math.nan] * 50), ["1.5", "null"]),
    ],
)
def test_slices_may_be_of_any_type_that_has_a_text(slices: np.ndarray, labels: list[str]) -> None:
    estimates = measure("mae", np.zeros(100), np.ones(100), slices=slices)

    assert [estimate.slice for estimate in estimates] == labels
    assert [estimate.n for estimate in estimates] == [50, 50]


def test_pairs_without_a_label_or_a_prediction_are_left_out(flights) -> None:
    y, prediction = (array.copy() for array in flights)
    y[:100] = np.nan
    prediction[100:150] = np.nan

    [estimate] = measure("mae", y, prediction)

    assert estimate.n == 750
    assert estimate.interval.value == pytest.approx(np.abs(prediction - y)[150:].mean())


def test_a_slice_whose_labels_have_not_come_is_told_with_no_rows(flights) -> None:
    y, prediction = flights
    origin = np.array(["EWR", "JFK"])[np.arange(900) % 2]

    late, there = measure("mae", np.where(origin == "EWR", np.nan, y), prediction, slices=origin)

    assert (late.slice, late.n, late.interval) == ("EWR", 0, None)
    assert there.n == 450


def test_below_the_least_number_of_rows_there_is_no_value(flights) -> None:
    y, prediction = flights

    [enough], [too_few] = (measure("mae", y[:n], prediction[:n]) for n in (MIN_ROWS, MIN_ROWS - 1))

    assert enough.interval is not None
    assert (too_few.n, too_few.interval) == (MIN_ROWS - 1, None)


def test_rows_of_one_day_that_err_together_make_wider_bounds() -> None:
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(14), 50)
    error = rng.normal(scale=5.0, size=14)[day] + rng.normal(size=700)

    [naive] = measure("bias", np.zeros(700), error)
    [clustered] = measure("bias", np.zeros(700), error, clusters=day)

    assert clustered.interval.value == pytest.approx(naive.interval.value)
    assert clustered.interval.high - clustered.interval.low > 3 * (naive.interval.high - naive.interval.low)


def test_clusters_are_kept_apart_by_slice_and_one_cluster_says_nothing() -> None:
    slices = np.repeat(["a", "b"], 100)
    clusters = np.concatenate([np.arange(100), np.zeros(100, dtype=np.int64)])

    many, one = measure("mae", np.zeros(200), np.arange(200.0), slices=slices, clusters=clusters)

    assert many.interval is not None
    assert (one.n, one.interval) == (100, None)


def test_rmse_and_its_bounds_are_in_the_label_s_unit(flights) -> None:
    y, prediction = flights

    [estimate] = measure("rmse", y, prediction)
    [tenfold] = measure("rmse", y * 10, prediction * 10)

    assert estimate.interval.low < 9.2 < estimate.interval.high
    assert tenfold.interval.high == pytest.approx(10 * estimate.interval.high)


def test_accuracy_of_a_perfect_model_still_leaves_doubt() -> None:
    [estimate] = measure("accuracy", np.ones(50), np.ones(50))

    assert (estimate.interval.value, estimate.interval.high) == (1.0, 1.0)
    assert 0.9 < estimate.interval.low < 0.95


def test_more_confidence_makes_wider_bounds(flights) -> None:
    [sure] = measure("mae", *flights, confidence=0.8)
    [surer] = measure("mae", *flights, confidence=0.99)

    assert surer.interval.low < sure.interval.low


def test_an_unknown_metric_is_told_with_the_nearest(flights) -> None:
    with pytest.raises(NotFound, match="Did you mean 'accuracy'"):
        measure("acuracy", *flights)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(DeclarationError, match="3 labels came with 2 prediction"):
        measure("mae", np.zeros(3), np.zeros(2))
    with pytest.raises(DeclarationError, match="3 labels came with 1 slices"):
        measure("mae", np.zeros(3), np.zeros(3), slices=np.array(["a"]))


def test_a_metric_of_one_s_own_is_measured_like_the_others(flights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    y, prediction = flights

    register(Metric("within_10", lambda y, p: (np.abs(p - y) <= 10).astype(np.float64), "ratio", share=True))
    [estimate] = measure("within_10", y, prediction)

    assert estimate.interval.value == pytest.approx(np.mean(np.abs(prediction - y) <= 10))
    assert "within_10" in [metric.name for metric in list_metrics()]


def test_a_metric_s_name_is_taken_once() -> None:
    register(get_metric("mae"))
    with pytest.raises(DeclarationError, match="'mae' exists already"):
        register(Metric("mae", lambda y, p: p - y, "label"))
