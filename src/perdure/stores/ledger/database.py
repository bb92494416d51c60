"""The ledger's SQLite file: its connections, its pragmas, and noticing that it is gone or another.

Used by the ledger and its leases. What surprised us: the driver would begin transactions by itself
and too late, so it is told not to (`isolation_level=None`) and we say BEGIN IMMEDIATE for writing;
and a process goes on reading and writing a deleted file without a word, so the file's identity is
compared before each use (one `stat`, about 2 µs).

Each thread draws its own connection from a pool. Open it anew in a child process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Literal

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import ExceptionContext

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import StoreError
from perdure.stores.sqlite_errors import translate, translated

Mode = Literal["ro", "rw"]

_lenient = partial(str, encoding="utf-8", errors="surrogateescape")
"""Text as stored, broken encodings too: verifying has to name a row that somebody spoiled, not fail at it."""

_WAL_RETRY_S = 0.01


class SqliteFile:
    """Connections to one existing file.

    Args:
        path: the file; making it is `create`'s job.
        mode: `ro` never creates or changes it, `rw` may write.
        busy_s: how long to wait for another writer.
    """

    def __init__(self, path: Path, mode: Mode, busy_s: float) -> None:
        self.path = path
        self._mode: Mode = mode
        self._busy_s = busy_s
        self._identity = self._stat()
        self._engine = self._new_engine()
        self._polling = RLock()
        self._poll: sqlite3.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot: it begins with the first statement."""
        with self._began("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from the start; committed when the block ends well.

        Raises:
            Conflict: another writer held the lock for longer than `busy_s`.
        """
        with self._began("BEGIN IMMEDIATE") as connection:
            yield connection

    def poll(self, sql: str) -> int:
        """One number by a connection kept for this: about 15 µs."""
        with self._polling, translated(self.path):
            self._check_identity()
            if self._poll is None:
                self._poll = self._connect()
            row = self._poll.execute(sql).fetchone()
            return int(row[0] or 0)

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._polling:
            self._engine.dispose()
            if self._poll is not None:
                self._poll.close()
                self._poll = None

    @contextmanager
    def _began(self, begin: str) -> Iterator[Connection]:
        self._check_identity()
        with self._engine.connect() as connection:
            connection.exec_driver_sql(begin)
            yield connection
            connection.commit()

    def _stat(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except OSError as error:
            raise StoreError(
                f"The ledger {self.path} cannot be found: {error.strerror}.",
                hint="Check `stores.root` in perdure.toml, or start the control plane, which makes it.",
                path=str(self.path),
            ) from error
        return found.st_dev, found.st_ino

    def _check_identity(self) -> None:
        present = self._stat()
        if present == self._identity:
            return
        if self._mode == "rw":
            raise StoreError(
                f"The ledger {self.path} was replaced by another file while it was open.",
                hint="Restart this process, so that it works on the new one.",
                path=str(self.path),
            )
        self.close()
        self._identity = present

    def _new_engine(self) -> Engine:
        engine = create_engine("sqlite://", creator=self._connect, poolclass=QueuePool, max_overflow=-1)

        @event.listens_for(engine, "handle_error")
        def _translate(context: ExceptionContext) -> None:
            if isinstance(context.original_exception, sqlite3.Error):
                raise translate(context.original_exception, self.path) from context.original_exception

        return engine

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path, self._mode, self._busy_s)


def connect(path: Path, mode: Literal["ro", "rw", "rwc"], busy_s: float) -> sqlite3.Connection:
    """A driver connection with our pragmas; `rwc` makes the file."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = _lenient
    if mode != "ro":
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def create(path: Path, busy_s: float) -> None:
    """Make the file where it is missing, with a write-ahead log. Several processes may do so at once.

    Raises:
        StoreError: the folder or the file cannot be made, or the file is no database.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {path.parent} cannot be made: {error.strerror}.", path=str(path)) from error
    with translated(path):
        connection = connect(path, "rwc", busy_s)
        try:
            _use_wal(connection, monotonic_s() + busy_s)
        finally:
            connection.close()


def _use_wal(connection: sqlite3.Connection, deadline_s: float) -> None:
    """Switch to the write-ahead log. SQLite does not wait for others here, so we do."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic_s() >= deadline_s:
                raise
            sleep_s(_WAL_RETRY_S)
