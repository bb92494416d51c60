"""Readings in SQLite: projects, formats, other writers."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from perdure.core.errors import Corrupt, StoreError
from perdure.stores.telemetry.sqlite import SqliteReadings
from perdure.testing.conformance.readings import a_reading


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stores" / "telemetry.sqlite"


def test_readings_survive_closing(path):
    first = SqliteReadings(path)
    first.put([a_reading()])
    first.close()
    second = SqliteReadings(path)
    assert second.list() == [a_reading()]
    second.close()


def test_two_processes_worth_of_connections_see_each_other(path):
    writer, reader = SqliteReadings(path), SqliteReadings(path)
    writer.put([a_reading()])
    assert reader.latest("air_time") == [a_reading()]
    writer.close()
    reader.close()


def test_projects_share_a_file_and_nothing_else(path):
    flights, fares = SqliteReadings(path, project="flights", actor="ana"), SqliteReadings(path, project="fares")
    flights.put([a_reading()])
    fares.put([a_reading(value=1.0)])
    assert flights.list() == flights.latest("air_time") == [a_reading()]
    flights.close()
    fares.close()
    with closing(sqlite3.connect(path)) as by_hand:
        rows = by_hand.execute("SELECT project, actor FROM readings ORDER BY project").fetchall()
    assert rows == [("fares", "local"), ("flights", "ana")]


def test_its_log_is_written_ahead_and_not_synced_each_time(path):
    readings = SqliteReadings(path)
    assert readings._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert readings._connection.execute("PRAGMA synchronous").fetchone() == (1,)
    readings.close()


def test_a_value_that_is_no_number_is_kept_as_missing(path):
    readings = SqliteReadings(path)
    readings.put([a_reading(value=float("nan"))])
    assert readings.list()[0].value is None
    readings.close()


def test_another_format_is_refused_and_left_alone(path):
    SqliteReadings(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as by_hand:
        by_hand.execute("PRAGMA user_version=99")
    with pytest.raises(StoreError, match="format 99"):
        SqliteReadings(path)
    with closing(sqlite3.connect(path)) as by_hand:
        assert by_hand.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_file_that_is_no_database_is_refused(path):
    path.parent.mkdir()
    path.write_bytes(b"no database " * 500)
    with pytest.raises(Corrupt):
        SqliteReadings(path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="folder"):
        SqliteReadings(tmp_path / "file" / "telemetry.sqlite")


def test_the_newest_are_found_by_an_index(path):
    readings = SqliteReadings(path)
    plan = readings._connection.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM readings WHERE project = 'p' AND asset = 'a' AND at_us >= 5"
    ).fetchall()
    assert "readings_by_at" in plan[0][-1]
    readings.close()
