"""What the roles share: the connection of one snapshot or transaction, the project, and who writes.

`Scope.save` is the only way a record gets into the ledger: it appends the audit entry with the
records' digests and writes the records, so that neither can be without the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Delete, Table, Update, bindparam

from perdure.core.canonical import plain
from perdure.core.errors import Refused
from perdure.stores.ledger import chain
from perdure.stores.ledger.protocols import AuditEntry


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, when (domain and machine time) and why."""

    actor: str
    at: datetime
    recorded_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """What an audit entry says of itself."""

    action: str
    subject: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """One row to insert, or to put in the place of the row with the same primary key.

    `save` adds the column `sequence`.
    """

    table: Table
    row: Mapping[str, Any]
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """One row to delete, by its primary key."""

    table: Table
    key: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """One snapshot (`author` is None) or one transaction."""

    connection: Connection
    project: str
    author: Author | None

    def writing(self) -> Author:
        """Who writes.

        Raises:
            Refused: this is a snapshot.
        """
        if self.author is None:
            raise Refused("This is a snapshot of the ledger: it cannot be written.", hint="Use `ledger.transaction`.")
        return self.author

    def save(self, change: Change, writes: Sequence[Write | Removal] = ()) -> AuditEntry:
        """Append the entry and do the writes; all of them carry its sequence number.

        Raises:
            Refused: this is a snapshot.
        """
        author = self.writing()
        newest, previous = chain.head(self.connection)
        numbered = [_numbered(write, newest + 1) for write in writes]
        facts = plain(change.facts)
        if numbered:
            facts[chain.RECORDS] = [_digest_of(write) for write in numbered]
        entry = AuditEntry(
            sequence=newest + 1,
            at=author.at,
            recorded_at=author.recorded_at,
            project=self.project,
            actor=author.actor,
            action=change.action,
            subject=change.subject,
            reason=author.reason,
            facts=facts,
            previous=previous,
            hash="",
        )
        entry = replace(entry, hash=chain.entry_hash(entry))
        chain.append(self.connection, entry)
        for write in numbered:
            _execute(self.connection, write)
        return entry


def _numbered(write: Write | Removal, sequence: int) -> Write | Removal:
    if isinstance(write, Removal):
        return write
    return replace(write, row={**write.row, "sequence": sequence})


def _digest_of(write: Write | Removal) -> dict[str, Any]:
    if isinstance(write, Removal):
        return {"table": write.table.name, "key": chain.row_key(write.table, write.key), "digest": None}
    return {
        "table": write.table.name,
        "key": chain.row_key(write.table, write.row),
        "digest": chain.row_digest(write.table.name, write.row),
    }


def _execute(connection: Connection, write: Write | Removal) -> None:
    if isinstance(write, Removal):
        connection.execute(_delete(write.table), _key_params(write.table, write.key))
    elif write.replaces:
        connection.execute(_update(write.table), {**write.row, **_key_params(write.table, write.row)})
    else:
        connection.execute(write.table.insert(), write.row)


def _key_params(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"key_{column.name}": row[column.name] for column in table.primary_key.columns}


@cache
def _update(table: Table) -> Update:
    return table.update().where(*(column == bindparam(f"key_{column.name}") for column in table.primary_key.columns))


@cache
def _delete(table: Table) -> Delete:
    return table.delete().where(*(column == bindparam(f"key_{column.name}") for column in table.primary_key.columns))
