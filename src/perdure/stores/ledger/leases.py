"""Leases in the ledger's own file, so that a transaction can be fenced in the very same commit.

Expiry is on the machine's clock. If that clock jumps, a lease may end early or late, but never does
a worker that lost it write: fencing compares the epoch, not the time.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from perdure.core.clock import Clock, to_us
from perdure.core.errors import DeclarationError, LostLease
from perdure.stores.ledger.database import SqliteFile
from perdure.stores.ledger.protocols import Lease
from perdure.stores.ledger.schema import leases

_ROW = select(leases).where(leases.c.project == bindparam("project"), leases.c.name == bindparam("name"))
_MOVE = leases.update().where(leases.c.project == bindparam("of_project"), leases.c.name == bindparam("of_name"))
_FREE = ""


class SqliteLeases:
    """Leases of one project. Opened by `SqliteLedger.leases`."""

    def __init__(self, file: SqliteFile, project: str, clock: Clock) -> None:
        self._file = file
        self._project = project
        self._clock = clock

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        """The lease, if it is free, expired or already the owner's. Waiting for it costs readers' time only."""
        if owner == _FREE or ttl_s <= 0.0:
            raise DeclarationError(f"A lease needs an owner and a time to live, but got {owner!r} and {ttl_s!r} s.")
        with self._file.reading() as connection:
            if not self._may_take(self._find(connection, name), owner):
                return None
        with self._file.writing() as connection:
            row = self._find(connection, name)
            if not self._may_take(row, owner):
                return None
            if row is None:
                epoch = 1
                key = {"project": self._project, "name": name}
                connection.execute(leases.insert(), {**key, **self._held(owner, epoch, ttl_s)})
            else:
                epoch = row.epoch if row.owner == owner else row.epoch + 1
                self._move(connection, name, self._held(owner, epoch, ttl_s))
            return Lease(name, owner, epoch)

    def renew(self, lease: Lease, ttl_s: float) -> bool:
        """Push the expiry; False when the lease is somebody else's."""
        with self._file.writing() as connection:
            if not _is_current(self._find(connection, lease.name), lease):
                return False
            self._move(connection, lease.name, self._held(lease.owner, lease.epoch, ttl_s))
            return True

    def release(self, lease: Lease) -> None:
        """Give it back; nothing happens when it is no longer ours."""
        with self._file.writing() as connection:
            if _is_current(self._find(connection, lease.name), lease):
                self._move(connection, lease.name, self._held(_FREE, lease.epoch, 0.0))

    def holder(self, name: str) -> str | None:
        """The present holder, or None when free or expired."""
        with self._file.reading() as connection:
            row = self._find(connection, name)
        return None if row is None or self._is_free(row) else str(row.owner)

    def fence(self, connection: Connection, lease: Lease) -> None:
        """Check inside a write transaction that the lease is still the newest of its name.

        One that expired but that nobody took still counts: nobody else can have written under it.

        Raises:
            LostLease: it was released, or somebody took it.
        """
        row = self._find(connection, lease.name)
        if not _is_current(row, lease):
            now_at = "nobody" if row is None or row.owner == _FREE else f"{row.owner!r} at epoch {row.epoch}"
            raise LostLease(
                f"The lease {lease.name!r} of {lease.owner!r} at epoch {lease.epoch} is lost: {now_at} holds it now.",
                hint="Stop this work: whoever holds the lease goes on with it.",
                lease=lease.name,
                epoch=lease.epoch,
            )

    def _find(self, connection: Connection, name: str) -> Row[Any] | None:
        return connection.execute(_ROW, {"project": self._project, "name": name}).one_or_none()

    def _may_take(self, row: Row[Any] | None, owner: str) -> bool:
        return row is None or row.owner == owner or self._is_free(row)

    def _is_free(self, row: Row[Any]) -> bool:
        return bool(row.owner == _FREE or row.expires_us <= to_us(self._clock.now()))

    def _held(self, owner: str, epoch: int, ttl_s: float) -> dict[str, Any]:
        return {"owner": owner, "epoch": epoch, "expires_us": to_us(self._clock.now()) + int(ttl_s * 1_000_000)}

    def _move(self, connection: Connection, name: str, values: dict[str, Any]) -> None:
        connection.execute(_MOVE, {**values, "of_project": self._project, "of_name": name})


def _is_current(row: Row[Any] | None, lease: Lease) -> bool:
    return row is not None and (row.owner, row.epoch) == (lease.owner, lease.epoch)
