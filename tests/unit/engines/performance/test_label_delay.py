"""Label delay is summarised over the labels that came, and missing ones count as late."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.engines.performance import delay_summary


def test_quantiles_are_of_the_labels_that_came() -> None:
    summary = delay_summary(np.append(np.arange(1.0, 102.0), [np.nan] * 9), watermark_s=50.0)

    assert (summary.n, summary.n_known) == (110, 101)
    assert (summary.p50_s, summary.p90_s, summary.p99_s, summary.max_s) == (51.0, 91.0, 100.0, 101.0)
    low, high = summary.p90_bounds_s
    assert 80.0 < low < 91.0 < high < 98.0


def test_a_label_that_is_missing_counts_as_late() -> None:
    summary = delay_summary(np.array([10.0, 90.0, np.nan, 20.0]), watermark_s=60.0)

    assert summary.late.value == 0.5
    assert summary.late.low < 0.5 < summary.late.high


def test_a_label_at_the_watermark_is_in_time() -> None:
    assert delay_summary(np.array([60.0]), watermark_s=60.0).late.value == 0.0


def test_labels_known_before_their_prediction_are_counted() -> None:
    assert delay_summary(np.array([-5.0, 5.0]), watermark_s=60.0).n_early == 1


@pytest.mark.parametrize(("delays", "late"), [([], None), ([np.nan, np.nan], 1.0)])
def test_without_labels_there_are_no_quantiles(delays: list[float], late: float | None) -> None:
    summary = delay_summary(np.array(delays), watermark_s=60.0)

    assert (summary.p50_s, summary.max_s, summary.p90_bounds_s) == (None, None, None)
    assert (summary.late and summary.late.value) == late
