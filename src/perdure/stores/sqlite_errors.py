"""The one place where SQLite's errors become ours. Every adapter on SQLite uses it.

What surprised us: a full disk, a locked file and a file that is no database are all one class in
the driver; only the numeric result code tells them apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perdure.core.errors import Conflict, Corrupt, StoreError, StoreFull

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT})
_PRIMARY = 0xFF
"""The lower byte of an extended result code is the primary one (SQLite, "Result and Error Codes")."""


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Our leaf for a driver's error on the database at `path`.

    A broken constraint means a damaged file: our adapters check within the same transaction before
    they write, so no lost race can cause it.
    """
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    facts = {"path": str(path), "sqlite": getattr(error, "sqlite_errorname", "")}
    if code in _BUSY:
        return Conflict(f"{path} was locked by another writer for too long: {error}.", hint="Try again.", **facts)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"No room left to write {path}: {error}.", hint="Free some disk space.", **facts)
    if code in _BROKEN:
        hint = "Restore it from a backup; for a ledger, `perdure ledger verify` says what is wrong."
        return Corrupt(f"{path} is damaged or no database of ours: {error}.", hint=hint, **facts)
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"{path} cannot be opened: {error}.", hint="Check that it exists and may be read.", **facts)
    return StoreError(f"{path} failed: {error}.", hint="Check the file and its permissions.", **facts)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate every driver error raised inside.

    Raises:
        Conflict: locked for longer than the time-out.
        StoreFull: no room left on the device.
        Corrupt: the file is damaged, or no database.
        StoreError: anything else that the driver reports.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
