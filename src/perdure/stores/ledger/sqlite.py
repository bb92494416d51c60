"""The ledger on one SQLite file: write-ahead log, FULL sync, one writer at a time, readers never wait.

Opened by compose: `SqliteLedger(path, project=...)` in the control plane, and
`SqliteLedger.open_read_only` in serve, which never writes and fails fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from perdure.core.clock import Clock, MachineClock, to_us
from perdure.core.errors import Refused
from perdure.stores.ledger import migrate
from perdure.stores.ledger.database import SqliteFile, create
from perdure.stores.ledger.leases import SqliteLeases
from perdure.stores.ledger.protocols import ChainReport, Lease
from perdure.stores.ledger.scope import Author, Scope
from perdure.stores.ledger.session import SqlSession
from perdure.stores.ledger.verify import verify

_BUSY_S = 10.0
"""How long a writer waits for another: as long as the slowest transaction may take."""
_READER_BUSY_S = 0.08
"""Serve answers from its last table meanwhile; SQLite's own steps of waiting stay below 100 ms with it."""
_SEQUENCE = "SELECT max(sequence) FROM audit"


class SqliteLedger:
    """The append-only record of who did what, when, why; safe to use from several threads.

    Args:
        path: the file; it and its folders are made where missing, and migrated.
        project: name on every record; roles see the records of this project only.
        clock: machine time, for leases and `recorded_at`.
        busy_s: how long to wait for another writer before `Conflict`.
        read_only: see `open_read_only`.

    Raises:
        StoreError: the file cannot be made or opened, or is of a newer perdure.
        Corrupt: the file is no database.
    """

    def __init__(
        self,
        path: Path,
        *,
        project: str,
        clock: Clock | None = None,
        busy_s: float = _BUSY_S,
        read_only: bool = False,
    ) -> None:
        if not read_only:
            create(path, busy_s)
        self._read_only = read_only
        self._project = project
        self._clock = clock or MachineClock()
        self._file = SqliteFile(path, "ro" if read_only else "rw", busy_s)
        self._leases = SqliteLeases(self._file, project, self._clock)
        if read_only:
            migrate.check_revision(self._file)
        else:
            migrate.migrate(self._file)

    @classmethod
    def open_read_only(cls, path: Path, *, project: str) -> Self:
        """A ledger that reads only: it makes no file and changes none.

        SQLite itself may put its `-wal` and `-shm` companions beside an existing file. Every call
        fails within about 100 ms when the file is gone, locked or no ledger, and works again once
        it is back, also when another file was put in its place.

        Raises:
            StoreError: the file is gone, locked (`Conflict`), no database (`Corrupt`) or of another revision.
        """
        return cls(path, project=project, busy_s=_READER_BUSY_S, read_only=True)

    @property
    def leases(self) -> SqliteLeases:
        """The leases that fence this ledger's transactions."""
        return self._leases

    @contextmanager
    def transaction(
        self, *, actor: str, at: datetime, reason: str = "", lease: Lease | None = None
    ) -> Iterator[SqlSession]:
        """All or nothing, durable when the block has ended. Holds the write lock: keep it short.

        Args:
            actor: who does it.
            at: domain time of what happens.
            reason: why, in words, for the audit.
            lease: write only while this lease is current.

        Raises:
            LostLease: the lease is not current; nothing is written.
            Conflict: another writer held the ledger for longer than `busy_s`.
            Refused: the ledger was opened read-only.
        """
        if self._read_only:
            raise Refused("This ledger was opened for reading only.", hint="Write through the control plane's ledger.")
        to_us(at)  # an instant without a time zone is refused before anything is locked
        with self._file.writing() as connection:
            if lease is not None:
                self._leases.fence(connection, lease)
            author = Author(actor=actor, at=at, recorded_at=self._clock.now(), reason=reason)
            yield SqlSession(Scope(connection, self._project, author))

    @contextmanager
    def read(self) -> Iterator[SqlSession]:
        """A snapshot; writing through it raises `Refused`. Never waits for a writer."""
        with self._file.reading() as connection:
            yield SqlSession(Scope(connection, self._project, None))

    def sequence(self) -> int:
        """Sequence number of the newest audit entry of any project, 0 when none: a few tens of µs."""
        return self._file.poll(_SEQUENCE)

    def verify(self, progress: Callable[[int], None] | None = None) -> ChainReport:
        """Recompute the whole chain, of all projects, and compare it and every record; see `verify.verify`."""
        with self._file.reading() as connection:
            return verify(connection, progress)

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._file.close()
