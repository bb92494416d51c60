"""What must hold of every measure of drift, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perdure.engines.drift import chi2_p_value, js_distance, js_from_counts, ks, psi, psi_from_counts, w1

SAMPLE = arrays(np.float32, st.integers(50, 300), elements=st.floats(-1e3, 1e3, width=32) | st.just(np.nan))
COUNTS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, 500)).filter(lambda c: c.sum() > 0)] * 2)
)


@given(SAMPLE, st.booleans())
def test_a_sample_does_not_drift_from_itself(sample, corrected) -> None:
    assert psi(sample, sample, corrected=corrected) == 0.0
    assert js_distance(sample, sample, corrected=corrected) == 0.0
    assert ks(sample, sample) == 0.0
    assert w1(sample, sample) == 0.0


@given(SAMPLE, SAMPLE)
def test_measures_stay_within_their_ranges(one, other) -> None:
    assert psi(one, other) >= 0.0
    assert 0.0 <= js_distance(one, other) <= 1.0
    assert 0.0 <= ks(one, other) <= 1.0
    assert w1(one, other) >= 0.0


@given(COUNTS)
def test_divergences_of_counts_are_symmetric(counts) -> None:
    one, other = counts

    assert psi_from_counts(one, other).value == pytest.approx(psi_from_counts(other, one).value, abs=1e-9)
    assert js_from_counts(one, other).value == pytest.approx(js_from_counts(other, one).value, abs=1e-6)
    assert chi2_p_value(one, other) == pytest.approx(chi2_p_value(other, one), abs=1e-9)


@given(COUNTS)
def test_a_value_lies_within_its_bounds(counts) -> None:
    for interval in (psi_from_counts(*counts), js_from_counts(*counts)):
        assert 0.0 <= interval.low <= interval.value <= interval.high


@given(SAMPLE, SAMPLE)
def test_another_unit_scales_w1_and_changes_nothing_else(one, other) -> None:
    wide, wider = one * np.float32(4), other * np.float32(4)

    assert psi(wide, wider) == pytest.approx(psi(one, other), abs=1e-12)
    assert ks(wide, wider) == ks(one, other)
    assert w1(wide, wider) == pytest.approx(4.0 * w1(one, other), rel=1e-4, abs=1e-30)
