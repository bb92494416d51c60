"""Profiles of parts add up to the profile of the whole, in any order and grouping."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engines.profile import NumericColumn, Profile, build_profile, from_bytes, merge, to_bytes

NAMES = ["numbers", "codes"]
LABELS = {"codes": ["a", "b", "c"]}
NUMBER = st.one_of(
    st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf")])
)
ROWS = st.lists(st.tuples(NUMBER, st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")])), max_size=40).map(
    lambda rows: np.array(rows, dtype=np.float32).reshape(-1, 2)
)


def window(rows: np.ndarray, reference: Profile) -> Profile:
    return build_profile(rows, NAMES, reference=reference)


def assert_equal(one: Profile, other: Profile) -> None:
    """Counts to the last row, sums to within rounding."""
    assert one.n_rows == other.n_rows
    for name in NAMES:
        ours, theirs = one.columns[name], other.columns[name]
        assert np.array_equal(ours.counts, theirs.counts)
        assert (ours.n, ours.n_null) == (theirs.n, theirs.n_null)
        if isinstance(ours, NumericColumn):
            assert isinstance(theirs, NumericColumn)
            assert (ours.lowest, ours.highest) == (theirs.lowest, theirs.highest)
            sums = (ours.total, ours.squares, ours.below_total, ours.above_total)
            assert sums == pytest.approx(
                (theirs.total, theirs.squares, theirs.below_total, theirs.above_total), rel=1e-9, abs=1e-6
            )


@given(ROWS, ROWS, ROWS)
def test_the_profile_of_two_windows_is_the_sum_of_theirs(healthy, first, second) -> None:
    reference = build_profile(healthy, NAMES, categories=LABELS)

    together = window(np.concatenate([first, second]), reference)

    assert_equal(merge(window(first, reference), window(second, reference)), together)


@given(ROWS, ROWS, ROWS, ROWS)
def test_merging_is_associative_and_commutative(healthy, a, b, c) -> None:
    reference = build_profile(healthy, NAMES, categories=LABELS)
    first, second, third = (window(rows, reference) for rows in (a, b, c))

    assert_equal(merge(merge(first, second), third), merge(first, merge(second, third)))
    assert_equal(merge(first, second), merge(second, first))


@given(ROWS, ROWS)
def test_every_value_is_counted_once(healthy, rows) -> None:
    column = window(rows, build_profile(healthy, NAMES, categories=LABELS)).columns["numbers"]

    finite = int(np.isfinite(rows[:, 0]).sum())
    assert (column.counts.sum(), column.n, column.n_null) == (finite, finite, len(rows) - finite)


@given(ROWS, ROWS)
def test_bytes_lose_nothing(healthy, rows) -> None:
    profile = window(rows, build_profile(healthy, NAMES, categories=LABELS))

    assert to_bytes(from_bytes(to_bytes(profile))) == to_bytes(profile)
