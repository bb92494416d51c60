"""Profiles count what is there, on the reference's grid, from frames and arrays alike."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from perdure.core.errors import DeclarationError
from perdure.engines.profile import CategoryColumn, NumericColumn, build_profile, merge


def floats(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def numeric(profile, name: str) -> NumericColumn:
    column = profile.columns[name]
    assert isinstance(column, NumericColumn)
    return column


def category(profile, name: str) -> CategoryColumn:
    column = profile.columns[name]
    assert isinstance(column, CategoryColumn)
    return column


def test_a_numeric_column_keeps_its_size_sums_and_range() -> None:
    column = numeric(build_profile(floats((1.0,), (4.0,), (math.nan,), (-2.0,)), ["a"]), "a")

    assert (column.n, column.n_null) == (3, 1)
    assert (column.total, column.squares) == (3.0, 21.0)
    assert (column.lowest, column.highest, column.mean) == (-2.0, 4.0, 1.0)
    assert column.deviation == pytest.approx(np.std([1.0, 4.0, -2.0]))


def test_infinities_are_missing_so_that_sums_stay_finite() -> None:
    column = numeric(build_profile(floats((1.0,), (math.inf,), (-math.inf,), (math.nan,)), ["a"]), "a")

    assert (column.n, column.n_null, column.total) == (1, 3, 1.0)
    assert column.counts.sum() == 1


def test_building_leaves_the_rows_as_they_are() -> None:
    rows = floats((3.0, 1.0), (1.0, 2.0), (2.0, 3.0))
    before = rows.copy()

    build_profile(rows, ["a", "b"], reference=build_profile(rows, ["a", "b"]))

    assert np.array_equal(rows, before)


def test_a_window_is_counted_on_the_reference_s_grid_with_what_lies_beyond_it() -> None:
    reference = build_profile(np.arange(1000, dtype=np.float32)[:, None], ["a"])
    window = numeric(build_profile(floats((-5.0,), (-7.0,), (500.0,), (2000.0,)), ["a"], reference=reference), "a")

    assert (window.counts[0], window.counts[-1], window.counts.sum()) == (2, 1, 4)
    assert (window.below_total, window.above_total) == (-12.0, 2000.0)


def test_a_long_array_gives_the_counts_of_its_frame() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(150_000, 3)).astype(np.float32)
    rows[rng.uniform(size=rows.shape) < 0.01] = np.nan
    names = ["a", "b", "c"]
    reference = build_profile(rows[:5000], names)

    in_blocks = build_profile(rows, names, reference=reference)
    whole = build_profile(pl.DataFrame(rows, schema=names), reference=reference)

    for name in names:
        ours, theirs = numeric(in_blocks, name), numeric(whole, name)
        assert np.array_equal(ours.counts, theirs.counts)
        assert (ours.n, ours.n_null, ours.lowest, ours.highest) == (
            theirs.n,
            theirs.n_null,
            theirs.lowest,
            theirs.highest,
        )
        assert ours.total == pytest.approx(theirs.total)
        assert ours.squares == pytest.approx(theirs.squares)


def test_columns_are_found_by_name_and_what_the_reference_lacks_is_left_out() -> None:
    reference = build_profile(floats((1.0, 10.0), (2.0, 20.0)), ["a", "b"])

    window = build_profile(floats((30.0, 0.0, 3.0)), ["b", "new", "a"], reference=reference)

    assert {name: column.mean for name, column in window.columns.items()} == {"a": 3.0, "b": 30.0}


def test_a_column_of_the_reference_that_is_missing_is_named_with_the_nearest() -> None:
    reference = build_profile(floats((1.0,)), ["wind_gust"])

    with pytest.raises(DeclarationError, match="'wind_gust', which the rows lack") as refused:
        build_profile(floats((1.0,)), ["wind_gusts"], reference=reference)

    assert "wind_gusts" in refused.value.hint


def test_an_array_needs_a_name_a_column() -> None:
    with pytest.raises(DeclarationError, match="needs a name for each column"):
        build_profile(floats((1.0, 2.0)), ["a"])
    with pytest.raises(DeclarationError, match="needs a name for each column"):
        build_profile(floats((1.0, 2.0)))


def test_values_off_the_grid_show_a_change_of_unit() -> None:
    fahrenheit = np.random.default_rng(0).integers(20, 90, size=3000).astype(np.float32)
    reference = build_profile(fahrenheit[:, None], ["temp"])

    same = build_profile(fahrenheit[:500, None], ["temp"], reference=reference)
    celsius = build_profile((fahrenheit[:500, None] - 32) / np.float32(1.8), ["temp"], reference=reference)

    assert numeric(same, "temp").off_grid_ratio == 0.0
    assert numeric(celsius, "temp").off_grid_ratio > 0.8


def test_a_continuous_column_has_no_values_to_be_off() -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)

    assert numeric(build_profile(rows, ["a"]), "a").off_grid_ratio is None


def test_text_is_counted_by_value_most_frequent_first() -> None:
    frame = pl.DataFrame({"origin": ["JFK", "LGA", None, "LGA"]})

    column = category(build_profile(frame), "origin")

    assert column.labels == ("LGA", "JFK")
    assert column.counts.tolist() == [2, 1, 0]
    assert (column.n, column.n_null) == (3, 1)


def test_a_label_that_the_reference_never_had_is_off_its_grid() -> None:
    reference = build_profile(pl.DataFrame({"origin": ["JFK", "LGA"]}))

    column = category(
        build_profile(pl.DataFrame({"origin": ["JFK", "HPN", "HPN", "SWF"]}), reference=reference), "origin"
    )

    assert column.counts.tolist() == [1, 0, 3]
    assert column.off_grid_ratio == 0.75


def test_only_the_most_frequent_labels_are_kept_and_then_none_is_called_new() -> None:
    frame = pl.DataFrame({"id": [f"{i:04}" for i in range(1500)] + ["0000"]})

    column = category(build_profile(frame), "id")

    assert len(column.labels) == 1000
    assert column.labels[0] == "0000"
    assert column.counts[-1] == 500
    assert column.off_grid_ratio is None


def test_codes_are_counted_by_their_labels_and_the_reference_remembers_them() -> None:
    origins = {"origin": ["EWR", "JFK", "LGA"]}
    reference = build_profile(floats((0.0,), (2.0,), (2.0,), (math.nan,)), ["origin"], categories=origins)

    window = category(
        build_profile(floats((1.0,), (0.0,), (7.0,), (0.5,), (-1.0,)), ["origin"], reference=reference), "origin"
    )

    assert category(reference, "origin").labels == ("LGA", "EWR")
    assert category(reference, "origin").n_null == 1
    assert window.counts.tolist() == [0, 1, 4]


def test_every_type_of_column_is_profiled_or_left_out_as_documented() -> None:
    now = datetime(2013, 3, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "flag": [True, None],
            "count": [1, 2],
            "level": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
            "group": pl.Series(["a", "b"], dtype=pl.Categorical),
            "empty": pl.Series([None, None], dtype=pl.Null),
            "at": [now, now],
            "lag": [timedelta(1), None],
            "tags": [["x"], []],
        }
    )

    profile = build_profile(frame)

    kinds = {name: type(column).__name__ for name, column in profile.columns.items()}
    assert kinds == {
        "flag": "NumericColumn",
        "count": "NumericColumn",
        "level": "CategoryColumn",
        "group": "CategoryColumn",
        "empty": "NumericColumn",
    }


def test_a_feed_that_turns_to_text_shows_as_missing() -> None:
    reference = build_profile(pl.DataFrame({"wind": [1.0, 2.0]}))

    column = numeric(build_profile(pl.DataFrame({"wind": ["3.5", "calm"]}), reference=reference), "wind")

    assert (column.n, column.n_null, column.total) == (1, 1, 3.5)


def test_a_window_without_rows_is_an_empty_profile_that_merges() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    reference = build_profile(rows, ["a", "b"])

    empty = build_profile(rows[:0], ["a", "b"], reference=reference)
    both = empty + reference

    assert empty.n_rows == 0
    assert numeric(empty, "a").mean is None
    assert np.array_equal(numeric(both, "a").counts, numeric(reference, "a").counts)
    assert numeric(both, "a").lowest == numeric(reference, "a").lowest


def test_an_empty_reference_counts_everything_in_one_cell() -> None:
    reference = build_profile(np.full((5, 1), np.nan, dtype=np.float32), ["a"])

    column = numeric(build_profile(floats((1.0,), (2.0,)), ["a"], reference=reference), "a")

    assert column.counts.tolist() == [2]


def test_profiles_on_different_grids_do_not_merge() -> None:
    one, other = build_profile(floats((1.0,), (2.0,)), ["a"]), build_profile(floats((1.0,), (3.0,)), ["a"])
    text, longer = build_profile(pl.DataFrame({"a": ["x"]})), build_profile(pl.DataFrame({"a": ["x"], "b": ["y"]}))

    with pytest.raises(DeclarationError, match="'a' were counted on different grids"):
        merge(one, other)
    with pytest.raises(DeclarationError, match="different grids"):
        merge(one, text)
    with pytest.raises(DeclarationError, match="only one has b"):
        merge(text, longer)
