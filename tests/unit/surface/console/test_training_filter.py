"""What is typed above the list of runs: words, comparisons of a column, an order; and which columns are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.surface.console.training.columns import telling
from perdure.surface.console.training.filtering import Wanted, found

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNS = pl.DataFrame(
    [
        {"id": "run_3", "kind": "recalibrate", "asset": "eta", "status": "done", "version": "eta@c", "started_at": START + timedelta(hours=3), "seconds": 0.2, "metrics.valid_mae": 6.0, "params.lr": None, "params.booster": None, "params.depth": 3},
        {"id": "run_2", "kind": "train", "asset": "eta", "status": "failed", "version": "", "started_at": START + timedelta(hours=2), "seconds": 1.0, "metrics.valid_mae": None, "params.lr": 0.1, "params.booster": "dart", "params.depth": 3},
        {"id": "run_1", "kind": "train", "asset": "fares", "status": "done", "version": "fares@a", "started_at": START, "seconds": 2.0, "metrics.valid_mae": 7.5, "params.lr": 0.05, "params.booster": "gbdt", "params.depth": 3},
    ],
    infer_schema_length=None,
)  # fmt: skip


def ids(**wanted: str) -> list[str]:
    return found(RUNS, Wanted(**wanted)).runs["id"].to_list()


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", ["run_3", "run_2", "run_1"]),
        ("FARES", ["run_1"]),
        ("eta train", ["run_2"]),
        ("valid_mae<7", ["run_3"]),
        ("metrics.valid_mae>=6", ["run_3", "run_1"]),
        ("lr<=0.1 gbdt", []),
        ("booster=GBDT", ["run_1"]),
        ("booster!=gbdt", ["run_3", "run_2"]),
        ("params.lr=0.05", ["run_1"]),
        ("eta@c", ["run_3"]),
        ("se[conds", []),
    ],
)
def test_words_and_comparisons_must_all_hold(q, expected):
    assert ids(q=q) == expected


@pytest.mark.parametrize(
    ("q", "told"),
    [
        ("valid_mea<7", "did you mean 'valid_mae'"),
        ("valid_mae<", "compares with nothing yet"),
        ("valid_mae<low", "'low' is none"),
        ("booster>a", "only = and != compare it"),
        (" ".join("eta" for _ in range(20)), "Only the first 12 words"),
    ],
)
def test_what_means_nothing_yet_is_told_and_left_out(q, told):
    result = found(RUNS, Wanted(q=q))
    assert told in result.notes[0]
    assert result.runs.height >= 2


def test_a_column_sorts_both_ways_and_what_lacks_it_comes_last():
    assert ids(sort="metrics.valid_mae") == ["run_3", "run_1", "run_2"]
    assert ids(sort="-metrics.valid_mae") == ["run_1", "run_3", "run_2"]


@given(st.floats(0, 10), st.sampled_from(["<", "<=", ">", ">="]))
def test_a_comparison_keeps_what_python_would_keep(bound, sign):
    kept = found(RUNS, Wanted(q=f"valid_mae{sign}{bound!r}")).runs["metrics.valid_mae"].to_list()
    said = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}[sign]
    assert kept == [value for value in (6.0, 7.5) if said(value, bound)]


def test_parameters_that_are_equal_in_all_runs_are_not_shown_by_themselves():
    assert telling(RUNS) == ["metrics.valid_mae", "params.booster", "params.lr"]
    assert telling(RUNS.head(0)) == []
