"""Stored features are read while the store works, and missing while it does not."""

from __future__ import annotations

import sqlite3

from perdure.serve import online_reader
from perdure.serve.metrics import Counters
from perdure.serve.online_reader import OnlineReader
from perdure.stores.online.protocols import OnlineRow
from perdure.stores.online.sqlite import SqliteOnline

VIEW = "weather_now@0123456789ab"
ROW = OnlineRow("JFK", (12.5, True), 1_000, 2_000)


def test_rows_are_read_by_view_and_key(tmp_path):
    path = tmp_path / "online.db"
    SqliteOnline(path).put(VIEW, [ROW])
    reader = OnlineReader(lambda: SqliteOnline(path, read_only=True), Counters())
    assert reader.read({VIEW: ["JFK", "LGA"]}) == {VIEW: {"JFK": ROW}}
    reader.close()


def test_a_damaged_store_gives_no_rows_and_is_counted_and_works_again_when_it_is_whole(tmp_path, monkeypatch):
    path, counters = tmp_path / "online.db", Counters()
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    reader = OnlineReader(lambda: SqliteOnline(path, read_only=True), counters)
    assert reader.read({VIEW: ["JFK"]}) == {}
    assert counters.online_errors == 1
    path.unlink()
    SqliteOnline(path).put(VIEW, [ROW])
    assert reader.read({VIEW: ["JFK"]}) == {}, "a store that failed is left alone for a second"
    monkeypatch.setattr(online_reader, "_RETRY_S", 0.0)
    reader._retry_at_s = 0.0
    assert reader.read({VIEW: ["JFK"]}) == {VIEW: {"JFK": ROW}}
    reader.close()


def test_a_store_that_breaks_while_it_is_open_fails_softly(tmp_path):
    path, counters = tmp_path / "online.db", Counters()
    SqliteOnline(path).put(VIEW, [ROW])
    reader = OnlineReader(lambda: SqliteOnline(path, read_only=True), counters)
    assert reader.read({VIEW: ["JFK"]})
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE online")
    other.close()
    assert reader.read({VIEW: ["JFK"]}) == {}
    assert counters.online_errors == 1
    reader.close()
