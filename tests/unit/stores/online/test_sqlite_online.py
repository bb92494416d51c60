"""The online store on SQLite: locked, damaged and missing files; readers beside a writer."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading

import pytest

from perdure.core.errors import Conflict, StoreError
from perdure.stores.online import sqlite as module
from perdure.stores.online.sqlite import SqliteOnline
from perdure.testing.conformance.online import row


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "online.db"


def test_a_damaged_file_is_a_store_error_for_both_sides(path):
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreError, match="failed"):
        SqliteOnline(path).count("v")
    with pytest.raises(StoreError, match="failed"):
        SqliteOnline(path, read_only=True).get("v", ["a"])


def test_a_damaged_row_is_a_store_error_and_the_store_works_on(path):
    store, reader = SqliteOnline(path), SqliteOnline(path, read_only=True)
    store.put("v", [row("a", 1), row("b", 1)])
    with sqlite3.connect(path) as driver:
        driver.execute("UPDATE online SET data = x'c1' WHERE key = 'a'")
    driver.close()
    with pytest.raises(StoreError, match="failed"):
        reader.get("v", ["a"])
    assert reader.get("v", ["b"]) == {"b": row("b", 1)}
    store.close()
    reader.close()


def test_a_reader_never_waits_for_a_writer(path):
    """Not in the middle of a transaction, however long it takes."""
    store, reader = SqliteOnline(path), SqliteOnline(path, read_only=True)
    store.put("v", [row("a", 1)])
    driver = sqlite3.connect(path, isolation_level=None)
    driver.execute("BEGIN IMMEDIATE")
    driver.execute("DELETE FROM online")
    assert reader.get("v", ["a"]) == {"a": row("a", 1)}
    driver.rollback()
    driver.close()
    store.close()
    reader.close()


def test_a_store_that_another_process_locked_is_a_conflict(path, monkeypatch):
    monkeypatch.setattr(module, "_WRITE_WAIT_S", 0.01)
    store = SqliteOnline(path)
    driver = sqlite3.connect(path, isolation_level=None)
    driver.execute("BEGIN IMMEDIATE")
    with pytest.raises(Conflict, match="locked"):
        store.put("v", [row("a", 1)])
    driver.rollback()
    driver.close()
    assert store.put("v", [row("a", 1)]) == 1
    store.close()


def test_a_file_that_cannot_be_opened_is_a_store_error(path):
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="failed"):
        SqliteOnline(path)
    with pytest.raises(StoreError, match="failed"):
        SqliteOnline(path, read_only=True).views()


def test_threads_share_a_store(path):
    store = SqliteOnline(path)
    failed = []

    def work(view):
        try:
            for number in range(100):
                store.put(view, [row("a", number)])
                assert store.get(view, ["a"]) == {"a": row("a", number)}
        except AssertionError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"v{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    store.close()


_KILLED = """
import os, signal, sys
from pathlib import Path
from perdure.stores.online.sqlite import SqliteOnline
from perdure.testing.conformance.online import row
store = SqliteOnline(Path(sys.argv[1]))
store.put("v", [row(f"k{number}", number) for number in range(1_000)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_put_survives_a_kill(path):
    subprocess.run([sys.executable, "-c", _KILLED, path], check=False)
    reader = SqliteOnline(path, read_only=True)
    assert reader.get("v", ["k0", "k999"]) == {"k0": row("k0", 0), "k999": row("k999", 999)}
    assert reader.count("v") == 1_000
    reader.close()
