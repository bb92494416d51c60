"""Every error of the driver becomes the leaf that says what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from perdure.core.errors import Conflict, Corrupt, StoreError, StoreFull
from perdure.stores.sqlite_errors import translate, translated

PATH = Path("readings.sqlite")


def driver_error(code, name):
    error = sqlite3.OperationalError("as the driver says it")
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("code", "leaf"),
    [
        (sqlite3.SQLITE_BUSY, Conflict),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Conflict),
        (sqlite3.SQLITE_LOCKED, Conflict),
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_CORRUPT, Corrupt),
        (sqlite3.SQLITE_NOTADB, Corrupt),
        (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, Corrupt),
        (sqlite3.SQLITE_CANTOPEN, StoreError),
        (sqlite3.SQLITE_READONLY, StoreError),
        (sqlite3.SQLITE_IOERR, StoreError),
    ],
)
def test_a_result_code_has_its_leaf(code, leaf):
    error = translate(driver_error(code, "SQLITE_X"), PATH)
    assert type(error) is leaf
    assert "as the driver says it" in error.message
    assert error.facts == {"path": "readings.sqlite", "sqlite": "SQLITE_X"}
    assert error.hint


def test_an_error_of_the_driver_itself_has_no_code():
    assert type(translate(sqlite3.ProgrammingError("closed"), PATH)) is StoreError


def test_the_block_translates_and_keeps_the_cause(tmp_path):
    missing = f"file:{tmp_path}/none.sqlite?mode=ro"
    with pytest.raises(StoreError) as caught, translated(PATH), closing(sqlite3.connect(missing, uri=True)):
        pytest.fail("A missing file was opened.")
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_other_errors_pass():
    with pytest.raises(KeyError), translated(PATH):
        raise KeyError("ours")
