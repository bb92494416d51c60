"""The file of results: its format, who may read it, what two processes see."""

from __future__ import annotations

import sqlite3

import pytest

from perdure.core.errors import Corrupt, StoreError
from perdure.stores.results.sqlite import SqliteResults
from perdure.testing.conformance.results import a_row


def test_a_file_of_another_format_is_not_touched(tmp_path):
    """It was written by another version."""
    path = tmp_path / "results.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(StoreError, match="format 9"):
        SqliteResults(path)


def test_a_file_that_is_no_database_is_told(tmp_path):
    """As damaged."""
    path = tmp_path / "results.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Corrupt):
        SqliteResults(path)


def test_only_its_owner_may_read_the_file(tmp_path):
    """Answers lie in it."""
    SqliteResults(tmp_path / "results.db").close()
    assert (tmp_path / "results.db").stat().st_mode & 0o077 == 0


def test_what_one_put_another_finds_and_projects_see_their_own_runs(tmp_path):
    """Two processes share the file; answers go by content."""
    mine, other = SqliteResults(tmp_path / "results.db"), SqliteResults(tmp_path / "results.db", project="other")
    mine.put_answers([("a", b"1")])
    mine.put_run("run", [a_row()])
    assert other.find_answers(["a"]) == {"a": b"1"}
    assert list(other.list_run("run")) == []
    mine.close()
    other.close()


def test_rows_that_cannot_be_read_are_told(tmp_path):
    """As damaged, with the run."""
    results = SqliteResults(tmp_path / "results.db")
    results.put_run("run", [a_row()])
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute("UPDATE batches SET rows = x'c1'")
    connection.close()
    with pytest.raises(Corrupt, match="'run'"):
        list(results.list_run("run"))
    results.close()
