"""Delta tables: cost that stays flat, races between writers, failures."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import polars as pl
import pytest
from deltalake import DeltaTable

from perdure.core.errors import Conflict, Corrupt, StoreError
from perdure.stores.lake import delta as module
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.lake.protocols import AppTransaction, Span
from perdure.testing.conformance.lake import rows


def test_checkpoints_keep_the_log_that_a_handle_replays_short(tmp_path):
    """Cost of an append grows with the commits since the handle was loaded: it is loaded anew."""
    lake = DeltaLake(tmp_path)
    loaded = set()
    for number in range(60):
        lake.append("t", rows(number), transaction=AppTransaction("drain", number))
        loaded.add(lake._handles["t"].loaded_at)
        assert lake.version("t") - lake._handles["t"].loaded_at <= 25
    assert len(loaded) >= 3
    assert len(list((tmp_path / "t" / "_delta_log").glob("*.checkpoint.parquet"))) == 2
    assert DeltaLake(tmp_path).last_transaction("t", "drain") == 59
    assert DeltaLake(tmp_path).read("t", version=3).height == 3


def test_maintenance_leaves_one_small_file_and_every_older_version(tmp_path):
    lake = DeltaLake(tmp_path)
    for number in range(30):
        lake.append("t", rows(number))
    lake.maintain("t")
    assert len(DeltaTable(tmp_path / "t").file_uris()) == 1
    version = lake.version("t")
    lake.maintain("t")
    assert lake.version("t") == version
    for number in range(0, 30, 7):
        assert sorted(lake.read("t", version=number)["n"]) == list(range(number))


def test_two_compactions_at_once_double_no_row(tmp_path):
    """delta-rs would let both commit; appends beside them go through."""
    lakes = [DeltaLake(tmp_path) for _ in range(3)]
    for number in range(20):
        lakes[0].append("t", rows(number))
    gate = threading.Barrier(len(lakes), timeout=20.0)

    def maintain(lake):
        gate.wait()
        with suppress(Conflict):
            lake.maintain("t")

    def append(lake):
        gate.wait()
        for number in range(20, 26):
            lake.append("t", rows(number))

    with ThreadPoolExecutor(len(lakes)) as pool:
        list(pool.map(lambda work, lake: work(lake), (maintain, maintain, append), lakes))
    for lake in lakes:
        lake.maintain("t")
        assert sorted(lake.read("t")["n"]) == list(range(26))


def test_a_table_that_another_process_compacts_is_a_conflict(tmp_path):
    lake = DeltaLake(tmp_path)
    lake.append("t", rows(1))
    with module._compacting("t", tmp_path / "t"), pytest.raises(Conflict, match="compacting"):
        lake.maintain("t")
    lake.append("t", rows(2))
    lake.maintain("t")
    assert sorted(lake.read("t")["n"]) == [1, 2]


def test_files_outside_the_span_are_not_opened(tmp_path):
    lake = DeltaLake(tmp_path)
    lake.append("t", rows(*range(10)))
    [early] = (tmp_path / "t").glob("*.parquet")
    lake.append("t", rows(*range(100, 110)))
    early.unlink()
    late = rows(100)["at"][0]
    assert sorted(lake.read("t", span=Span("at", late))["n"]) == list(range(100, 110))
    with pytest.raises(StoreError, match="cannot be read"):
        lake.read("t")


def test_of_many_writers_with_one_number_one_appends(tmp_path):
    """As a paused drainer and its successor would, each with a handle of its own."""
    lakes = [DeltaLake(tmp_path) for _ in range(3)]
    lakes[0].append("t", rows(0), transaction=AppTransaction("drain", 0))
    gate = threading.Barrier(len(lakes), timeout=20.0)

    def work(lake):
        for number in range(1, 9):
            gate.wait()
            lake.append("t", rows(number), transaction=AppTransaction("drain", number))

    with ThreadPoolExecutor(len(lakes)) as pool:
        list(pool.map(work, lakes))
    assert sorted(lakes[0].read("t")["n"]) == list(range(9))


@pytest.mark.parametrize("round_", range(4))
def test_the_first_append_of_a_new_table_is_taken_once_from_two_writers(tmp_path, round_):
    """A stalled drain wakes while its successor writes the same batch to a table that neither has seen."""
    lakes = [DeltaLake(tmp_path) for _ in range(2)]
    gate = threading.Barrier(2, timeout=20.0)

    def work(lake):
        gate.wait()
        lake.append("t", rows(round_), transaction=AppTransaction("drain", 1))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, lakes))
    assert lakes[0].read("t")["n"].to_list() == [round_]


def test_many_writers_of_a_new_table_all_append(tmp_path):
    lakes = [DeltaLake(tmp_path) for _ in range(3)]
    gate = threading.Barrier(len(lakes), timeout=20.0)

    def work(number):
        gate.wait()
        lakes[number].append("t", rows(number))

    with ThreadPoolExecutor(len(lakes)) as pool:
        list(pool.map(work, range(3)))
    assert sorted(lakes[0].read("t")["n"]) == [0, 1, 2]


def test_threads_share_a_lake(tmp_path):
    lake = DeltaLake(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: lake.append("t", rows(number)), range(20)))
        heights = list(pool.map(lambda version: lake.read("t", version=version).height, range(20)))
    assert heights == list(range(20))


def test_a_table_whose_folder_went_away_is_a_store_error(tmp_path):
    lake = DeltaLake(tmp_path)
    lake.append("t", rows(1))
    for file in (tmp_path / "t" / "_delta_log").iterdir():
        file.write_bytes(b"{")
    with pytest.raises(StoreError, match="'t'"):
        DeltaLake(tmp_path).append("t", rows(2))
    shutil.rmtree(tmp_path / "t")
    (tmp_path / "t").write_bytes(b"")
    with pytest.raises(StoreError, match="'t'"):
        DeltaLake(tmp_path).append("t", rows(2))


def test_wide_tables_are_filtered_also_by_columns_without_statistics(tmp_path):
    """Delta keeps statistics of the first 32 columns only."""
    lake = DeltaLake(tmp_path)
    wide = pl.DataFrame({f"c{number}": [1.0] for number in range(40)})
    for number in (1, 2):
        lake.append("t", pl.concat([wide, rows(number)], how="horizontal"))
    assert lake.read("t", columns=["n"], span=Span("at", rows(2)["at"][0]))["n"].to_list() == [2]


def test_a_file_of_rows_that_was_cut_short_is_damaged_and_ends_nobodys_thread(tmp_path):
    lake = DeltaLake(tmp_path)
    lake.append("rows", pl.DataFrame({"n": range(1000)}))
    next(tmp_path.rglob("*.parquet")).write_bytes(b"cut" * 20)
    with pytest.raises(Corrupt, match="'rows' cannot be read: a file of it is damaged"):
        lake.read("rows")
