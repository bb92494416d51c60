"""Drift is found where features moved, keeps silent where they did not, and says how sure it is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.engines.drift import FeatureDrift, alarming, drift_by_feature
from perdure.engines.profile import Profile, build_profile

N_FEATURES = 50
NAMES = [f"f{i:02}" for i in range(N_FEATURES)]


@pytest.fixture(scope="module")
def healthy() -> Profile:
    rows = np.random.default_rng(0).normal(size=(20_000, N_FEATURES)).astype(np.float32)
    return build_profile(rows, NAMES)


def drifts(healthy: Profile, rng: np.random.Generator, n: int, shift: float = 0.0) -> list[FeatureDrift]:
    rows = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
    rows[:, 0] += np.float32(shift)
    return drift_by_feature(healthy, build_profile(rows, NAMES, reference=healthy))


@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_with_no_drift_fewer_than_one_window_in_a_hundred_alarms(healthy: Profile, n: int) -> None:
    rng = np.random.default_rng(n)
    alarms = {"psi": 0, "ks": 0, "js": 0}
    for _ in range(30):
        found = drifts(healthy, rng, n)
        for measure, bound in (("psi", 0.1), ("ks", 0.05), ("js", 0.1)):
            alarms[measure] += bool(alarming(found, bound=bound, measure=measure))

    assert alarms == {"psi": 0, "ks": 0, "js": 0}


def test_the_false_discovery_rate_alone_alarms_in_about_one_window_of_twenty(healthy: Profile) -> None:
    rng = np.random.default_rng(5)

    alarms = sum(any(drift.adjusted_p <= 0.05 for drift in drifts(healthy, rng, 1000)) for _ in range(60))

    assert alarms <= 9


def test_a_shift_of_a_third_of_a_deviation_is_found_in_a_thousand_rows(healthy: Profile) -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(20):
        moved = alarming(drifts(healthy, rng, 1000, shift=0.3), bound=0.05, measure="ks")
        found += [drift.feature for drift in moved] == ["f00"]

    assert found >= 18


def test_a_harmless_move_in_many_rows_is_significant_and_yet_no_alarm(healthy: Profile) -> None:
    found = drifts(healthy, np.random.default_rng(2), 60_000, shift=0.05)

    moved = next(drift for drift in found if drift.feature == "f00")
    assert moved.adjusted_p < 0.05
    assert alarming(found, bound=0.05, measure="ks") == []
    assert alarming(found, bound=0.1) == []


def test_small_windows_are_not_biased_upward(healthy: Profile) -> None:
    rng = np.random.default_rng(3)
    rest = [drift for _ in range(10) for drift in drifts(healthy, rng, 200)]

    # Without the correction PSI would be .045 on average, and JS .07.
    assert np.mean([drift.psi for drift in rest]) < 0.012
    assert np.mean([drift.js for drift in rest]) < 0.03


def test_the_bounds_of_psi_and_js_hold_the_large_sample_s_value(healthy: Profile) -> None:
    rng = np.random.default_rng(4)
    [truth] = [drift for drift in drifts(healthy, rng, 400_00, shift=0.5) if drift.feature == "f00"]
    held = {"psi": 0, "js": 0, "ks": 0}
    for _ in range(60):
        [drift] = [drift for drift in drifts(healthy, rng, 500, shift=0.5) if drift.feature == "f00"]
        for measure in held:
            interval = drift.interval(measure)
            held[measure] += interval.low <= truth.interval(measure).value <= interval.high

    assert min(held.values()) >= 53


@pytest.mark.parametrize("measure", ["psi", "js", "ks", "w1"])
def test_features_are_sorted_by_the_measure_asked_for(measure: str) -> None:
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(4000, 3)) * [1.0, 1.0, 1e6]
    reference = build_profile(rows.astype(np.float32), ["still", "moved", "wide"])
    moved = (rng.normal(size=(2000, 3)) * [1.0, 1.0, 1e6] + [0.0, 2.0, 1e5]).astype(np.float32)

    found = drift_by_feature(
        reference, build_profile(moved, ["still", "moved", "wide"], reference=reference), measure=measure
    )

    assert [drift.feature for drift in found] == ["moved", "wide", "still"]


def test_w1_is_in_the_feature_s_unit_and_in_its_deviations() -> None:
    rows = np.random.default_rng(7).normal(100.0, 20.0, size=(50_000, 1)).astype(np.float32)
    reference = build_profile(rows, ["wind"])

    [drift] = drift_by_feature(reference, build_profile(rows + 10, ["wind"], reference=reference))

    assert drift.w1 == pytest.approx(10.0, rel=0.01)
    assert drift.w1_sd == pytest.approx(0.5, rel=0.02)


def test_missing_values_are_drift_of_their_own() -> None:
    rows = np.random.default_rng(8).normal(size=(5000, 1)).astype(np.float32)
    reference = build_profile(rows, ["pressure"])
    holed = rows.copy()
    holed[::4] = np.nan

    [drift] = drift_by_feature(reference, build_profile(holed, ["pressure"], reference=reference))

    assert (drift.null_ratio_reference, drift.null_ratio_current) == (0.0, 0.25)
    assert drift.psi > 0.5
    assert drift.ks < 0.02
    assert (drift.n_reference, drift.n_current) == (5000, 5000)


def test_a_column_that_went_missing_altogether_has_a_psi_and_no_distance() -> None:
    rows = np.random.default_rng(9).normal(size=(500, 1)).astype(np.float32)
    reference = build_profile(rows, ["pressure"])

    [drift] = drift_by_feature(reference, build_profile(np.full_like(rows, np.nan), ["pressure"], reference=reference))

    assert drift.psi > 5.0
    assert (drift.ks, drift.w1) == (0.0, 0.0)
    assert drift.adjusted_p < 1e-50


def test_a_change_of_unit_shows_off_the_grid() -> None:
    temp = np.random.default_rng(10).integers(20, 90, size=(5000, 1)).astype(np.float32)
    reference = build_profile(temp, ["temp"])

    [drift] = drift_by_feature(reference, build_profile(temp + np.float32(0.5), ["temp"], reference=reference))

    assert drift.off_grid_ratio == 1.0
    assert drift.psi < 0.05


def test_categories_have_psi_and_no_order() -> None:
    rng = np.random.default_rng(11)
    reference = build_profile(pl.DataFrame({"origin": rng.choice(["EWR", "JFK", "LGA"], 5000)}))
    moved = pl.DataFrame({"origin": rng.choice(["EWR", "JFK", "HPN"], 1000, p=[0.6, 0.3, 0.1])})

    [drift] = drift_by_feature(reference, build_profile(moved, reference=reference), measure="ks")

    assert drift.psi > 0.25
    assert (drift.ks, drift.ks_low, drift.w1, drift.w1_sd) == (None, None, None, None)
    assert drift.interval("ks").value == 0.0
    assert drift.off_grid_ratio == pytest.approx(0.1, abs=0.03)


def test_many_rare_categories_do_not_alarm_by_their_number() -> None:
    rng = np.random.default_rng(12)
    reference = build_profile(pl.DataFrame({"tail": rng.integers(0, 900, 20_000).astype(str)}))
    alarms = 0
    for _ in range(100):
        same = pl.DataFrame({"tail": rng.integers(0, 900, 500).astype(str)})
        alarms += drift_by_feature(reference, build_profile(same, reference=reference))[0].p_value < 0.05

    assert alarms <= 12


def test_a_constant_column_that_stays_constant_does_not_drift() -> None:
    ones = np.ones((300, 1), dtype=np.float32)
    reference = build_profile(ones, ["flag"])

    [same] = drift_by_feature(reference, build_profile(ones[:50], ["flag"], reference=reference))
    [other] = drift_by_feature(reference, build_profile(2 * ones[:50], ["flag"], reference=reference))

    assert (same.psi, same.js, same.ks, same.p_value, same.w1_sd) == (0.0, 0.0, 0.0, 1.0, None)
    assert (other.ks, other.off_grid_ratio) == (1.0, 1.0)
    assert other.w1 == pytest.approx(1.0)


def test_a_window_without_rows_is_refused(healthy: Profile) -> None:
    empty = build_profile(np.empty((0, N_FEATURES), dtype=np.float32), NAMES, reference=healthy)

    with pytest.raises(TooFewRows, match="not 20000 and 0"):
        drift_by_feature(healthy, empty)


def test_an_unknown_measure_is_told_with_the_nearest(healthy: Profile) -> None:
    with pytest.raises(DeclarationError, match="'pssi'") as refused:
        drift_by_feature(healthy, healthy, measure="pssi")

    assert "'psi'" in refused.value.hint


def test_profiles_on_different_grids_are_refused() -> None:
    one = build_profile(np.array([[1.0], [2.0]], dtype=np.float32), ["a"])
    other = build_profile(np.array([[1.0], [3.0]], dtype=np.float32), ["a"])
    renamed = build_profile(np.array([[1.0], [2.0]], dtype=np.float32), ["b"])

    with pytest.raises(DeclarationError, match="different grids"):
        drift_by_feature(one, other)
    with pytest.raises(DeclarationError, match="lacks the feature 'a'"):
        drift_by_feature(one, renamed)
