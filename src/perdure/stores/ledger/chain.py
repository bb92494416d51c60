"""The hash chain: how an entry and the records it writes are bound together.

An entry's hash is `content_hash` of its other fields, the hash of the entry before it included.
Its facts hold, under `records`, the digest of every row written in the same transaction. So a
changed entry breaks the chain, and a changed row no longer has its digest in it.

Called by the roles through `scope`, and by `verify`, which recomputes everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, Table, select, update

from perdure.core.canonical import canonical_json, content_hash
from perdure.core.clock import from_us, to_us
from perdure.core.errors import Corrupt
from perdure.core.ids import Digest
from perdure.stores.ledger.protocols import AuditEntry
from perdure.stores.ledger.schema import audit, audit_head, audit_subjects

GENESIS = "0" * 64
"""What the first entry has as `previous`."""

RECORDS = "records"
"""The key of an entry's facts that holds the digests of what it wrote."""

_HEAD = select(audit_head.c.sequence, audit_head.c.hash).where(audit_head.c.id == 1)
_MOVE_HEAD = update(audit_head).where(audit_head.c.id == 1)
_ADD = audit.insert()
_ADD_SUBJECTS = audit_subjects.insert()
_HASHED = tuple(field.name for field in fields(AuditEntry) if field.name != "hash")


def json_text(value: Any) -> str:
    """Canonical JSON as text, the only form in which JSON is stored."""
    return canonical_json(value).decode()


def row_digest(table: str, row: Mapping[str, Any]) -> Digest:
    """Digest of one stored row: the table's name and every column that is not empty."""
    return content_hash([table, {name: value for name, value in row.items() if value is not None}])


def row_key(table: Table, row: Mapping[str, Any]) -> list[Any]:
    """Values of the row's primary key, in the order of the table."""
    return [row[column.name] for column in table.primary_key.columns]


def entry_hash(entry: AuditEntry) -> Digest:
    """The hash that an entry must carry."""
    return content_hash({name: getattr(entry, name) for name in _HASHED})


def head(connection: Connection) -> tuple[int, str]:
    """Sequence number and hash of the newest entry; 0 and `GENESIS` in an empty ledger.

    Raises:
        Corrupt: the ledger lacks the row that holds them.
    """
    row = connection.execute(_HEAD).one_or_none()
    if row is None:
        raise Corrupt("The ledger's newest link is missing.", hint="Restore the ledger from a backup.")
    return row.sequence, row.hash


def append(connection: Connection, entry: AuditEntry) -> None:
    """Write an entry that was made on top of `head`, and move the head to it."""
    connection.execute(_ADD, entry_values(entry))
    connection.execute(_ADD_SUBJECTS, subject_rows(entry.project, entry.subject, entry.sequence))
    connection.execute(_MOVE_HEAD, {"sequence": entry.sequence, "hash": entry.hash})


def subject_rows(project: str, subject: str, sequence: int) -> list[dict[str, Any]]:
    """The rows of `audit_subjects` that an entry has: one a name in its subject.

    >>> [row["subject"] for row in subject_rows("p", "air_time,fares", 7)]
    ['air_time', 'fares']
    """
    return [{"project": project, "subject": each, "sequence": sequence} for each in dict.fromkeys(subject.split(","))]


def entry_values(entry: AuditEntry) -> dict[str, Any]:
    """The columns of an entry's row."""
    return {
        "sequence": entry.sequence,
        "at_us": to_us(entry.at),
        "recorded_us": to_us(entry.recorded_at),
        "project": entry.project,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "reason": entry.reason,
        "facts": json_text(entry.facts),
        "previous": entry.previous,
        "hash": entry.hash,
    }


def to_entry(row: Row[Any]) -> AuditEntry:
    """The entry of a row of `audit`.

    Raises:
        ValueError, TypeError, OverflowError: a column does not hold what we write there.
    """
    return AuditEntry(
        sequence=row.sequence,
        at=from_us(row.at_us),
        recorded_at=from_us(row.recorded_us),
        project=row.project,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        reason=row.reason,
        facts=json.loads(row.facts),
        previous=row.previous,
        hash=row.hash,
    )
