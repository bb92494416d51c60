"""Opens the files that adapters keep on plain SQLite, and their transactions: in WAL, of one format, made where they are missing.

A file of another format is refused before anything of it is read. The ledger is not among them: it has migrations.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perdure.core.errors import StoreError


@dataclass(frozen=True, slots=True)
class SqliteFormat:
    """What a file of one adapter is.

    Args:
        holds: what it holds, for messages, such as `readings`.
        number: of the format, kept in the file as `user_version`.
        schema: statements that make its tables.
        busy_s: longest wait for another writer.
        private: for its owner alone.
        page_bytes: of a new file; rows of some kB waste up to half of SQLite's usual 4,096.
        otherwise: what to do about a file of another format.
    """

    holds: str
    number: int
    schema: Sequence[str]
    busy_s: float = 10.0
    private: bool = False
    page_bytes: int = 4096
    otherwise: str = "They were written by another version of perdure: install it, or set the file aside."


def open_file(path: Path, form: SqliteFormat) -> sqlite3.Connection:
    """A connection in autocommit, for several threads; with `synchronous=NORMAL` a crash of the machine may lose the last second.

    Raises:
        StoreError: the file cannot be made, or is of another format.
        sqlite3.Error: it cannot be opened; `sqlite_errors.translated` makes ours of it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if form.private:
            path.touch(mode=0o600)
    except OSError as error:
        raise StoreError(f"The file {path} cannot be made: {error.strerror}.", path=str(path)) from error
    connection = sqlite3.connect(path, timeout=form.busy_s, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path, form)
    except (sqlite3.Error, StoreError):
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The one writer's transaction; rolled back where its body raises, whole where it does not."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _prepare(connection: sqlite3.Connection, path: Path, form: SqliteFormat) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, form.number):
        raise StoreError(
            f"The {form.holds} in {path} have format {found}, but {form.number} was expected.",
            hint=form.otherwise,
        )
    connection.execute("PRAGMA synchronous=NORMAL")
    if found == form.number:
        return
    connection.execute(f"PRAGMA page_size={form.page_bytes}")
    connection.execute("PRAGMA journal_mode=WAL")
    with transaction(connection):
        for statement in form.schema:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={form.number}")
