"""PSI, Jensen–Shannon and the coarse bins, on small counts worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perdure.core.errors import TooFewRows
from perdure.engines.drift import chi2_p_value, js_distance, js_from_counts, ks, psi, psi_from_counts, w1


def test_psi_of_a_table_worked_by_hand() -> None:
    """(.35 - .4) ln(.35/.4) + (.25 - .3) ln(.25/.3) + (.4 - .3) ln(.4/.3) = .0067 + .0091 + .0288."""
    low, middle, high = 0.00668, 0.00912, 0.02877

    found = psi_from_counts(np.array([40, 30, 30]), np.array([35, 25, 40]), corrected=False)

    assert found.value == pytest.approx(low + middle + high, abs=2e-5)
    assert found.n == 100


def test_the_correction_is_what_no_drift_would_show_on_average() -> None:
    rng = np.random.default_rng(0)
    reference = rng.multinomial(5000, [0.1] * 10, size=500)
    current = rng.multinomial(400, [0.1] * 10, size=500)
    pairs = list(zip(reference, current, strict=True))

    raw = np.mean([psi_from_counts(p, q, corrected=False).value for p, q in pairs])
    squared = np.mean([js_from_counts(p, q, corrected=False).value ** 2 for p, q in pairs])

    noise = 1 / 5000 + 1 / 400
    assert raw == pytest.approx(9 * noise, rel=0.06)
    assert squared == pytest.approx(9 / (8 * math.log(2)) * noise, rel=0.06)


def test_the_correction_never_goes_below_zero() -> None:
    counts = np.array([10, 10])

    assert psi_from_counts(counts, counts).value == 0.0
    assert js_from_counts(counts, counts).value == 0.0
    assert psi_from_counts(counts, counts).high > 0.0


def test_an_empty_cell_counts_half_a_row() -> None:
    with_half = psi_from_counts(np.array([50.0, 50.0]), np.array([99.5, 0.5]), corrected=False).value

    found = psi_from_counts(np.array([50, 50]), np.array([99, 0]), corrected=False).value

    assert found == pytest.approx(with_half, abs=0.02)
    assert math.isfinite(found)


def test_cells_that_are_empty_on_both_sides_change_nothing() -> None:
    few, many = (np.array([40, 60]), np.array([50, 50])), (np.array([40, 0, 60, 0]), np.array([50, 0, 50, 0]))

    assert psi_from_counts(*few) == psi_from_counts(*many)
    assert js_from_counts(*few) == js_from_counts(*many)
    assert chi2_p_value(*few) == chi2_p_value(*many)


def test_nothing_in_common_is_a_distance_of_1() -> None:
    apart = js_from_counts(np.array([1000, 0]), np.array([0, 1000]))

    assert apart.value == pytest.approx(1.0, abs=1e-3)
    assert apart.high <= 1.0


def test_one_cell_alone_cannot_drift() -> None:
    assert chi2_p_value(np.array([5]), np.array([9])) == 1.0
    assert psi_from_counts(np.array([5]), np.array([9])).value == 0.0


def test_a_side_without_rows_is_refused() -> None:
    with pytest.raises(TooFewRows):
        psi_from_counts(np.array([1, 2]), np.array([0, 0]))


def test_samples_too_small_for_their_bins_are_refused() -> None:
    healthy = np.arange(100.0)

    with pytest.raises(TooFewRows) as refused:
        psi(healthy, healthy[:49])
    with pytest.raises(TooFewRows):
        ks(healthy, healthy[:0])

    assert refused.value.facts["n_needed"] == 50
    assert psi(healthy, healthy[:25], n_bins=5) > 1.0


def test_missing_values_of_a_sample_are_a_bin() -> None:
    healthy = np.random.default_rng(1).normal(size=1000)
    holed = np.where(np.arange(1000) % 5 == 0, np.nan, healthy)

    assert psi(healthy, holed) > 0.3
    assert psi(holed, holed) == 0.0


def test_a_heavy_value_keeps_a_bin_of_its_own() -> None:
    """Rain falls on 30% of hours, then on 50%: deciles alone would hide zeros among small values."""
    rng = np.random.default_rng(2)
    healthy = np.where(rng.uniform(size=5000) < 0.7, 0.0, rng.exponential(size=5000))
    wetter = np.where(rng.uniform(size=5000) < 0.5, 0.0, rng.exponential(size=5000))
    expected = psi_from_counts(np.array([3500, 1500]), np.array([2500, 2500]), corrected=False).value

    assert psi(healthy, wetter) == pytest.approx(expected, rel=0.15)


def test_binary_columns_are_compared_value_by_value() -> None:
    healthy, moved = np.repeat([0.0, 1.0], [700, 300]), np.repeat([0.0, 1.0], [500, 500])
    expected = psi_from_counts(np.array([700, 300]), np.array([500, 500])).value

    assert psi(healthy, moved) == pytest.approx(expected)
    assert ks(healthy, moved) == pytest.approx(0.2)
    assert w1(healthy, moved) == pytest.approx(0.2)
    assert js_distance(healthy, moved) > 0.1
