"""Recomputing the chain: the first entry that was altered, is missing or was slipped in.

Then every record is compared with the digest in the newest entry that wrote it, so a row changed,
removed or added behind the ledger's back is found as well. Reads everything once, in order, inside
the caller's snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from perdure.stores.ledger import chain
from perdure.stores.ledger.protocols import AuditEntry, ChainReport
from perdure.stores.ledger.schema import CHAINED, audit, audit_head, audit_subjects

_BATCH = 1000
"""Rows fetched at a time: the whole ledger is never held in memory."""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Break:
    sequence: int
    text: str


@dataclass(slots=True)
class _Walk:
    """What walking the chain has found so far."""

    n_entries: int = 0
    n_subjects: int = 0
    """Names in the entries' subjects."""
    previous: str = chain.GENESIS
    records: dict[Key, tuple[int, str | None]] = field(default_factory=dict)
    """Newest digest of each record (None: removed) and the entry that says so."""


def verify(connection: Connection, progress: Callable[[int], None] | None = None) -> ChainReport:
    """The outcome of recomputing all entries and comparing all records. O(entries + records).

    Args:
        connection: of one snapshot.
        progress: told how many entries are recomputed, every thousand.
    """
    walk = _Walk()
    broken = (
        _walk_entries(connection, walk, progress or _nobody)
        or _check_head(connection, walk)
        or _check_records(connection, walk)
        or _check_subjects(connection, walk)
    )
    n_entries = connection.execute(select(func.count()).select_from(audit)).scalar_one()
    if broken is None:
        return ChainReport(n_entries, None, f"{n_entries} entries; every link and every record fits.", walk.previous)
    return ChainReport(n_entries, broken.sequence, broken.text)


def _nobody(n_entries: int) -> None:
    """Nobody is told."""


def _walk_entries(connection: Connection, walk: _Walk, progress: Callable[[int], None]) -> _Break | None:
    for row in connection.execute(select(audit).order_by(audit.c.sequence).execution_options(yield_per=_BATCH)):
        expected = walk.n_entries + 1
        if row.sequence > expected:
            return _Break(expected, f"Entry {expected} is missing.")
        if row.sequence < expected:
            return _Break(row.sequence, f"Entry {row.sequence} was slipped in.")
        entry = _sound_entry(row)
        if entry is None:
            return _Break(expected, f"Entry {expected} was altered: its hash does not fit its fields.")
        if entry.previous != walk.previous:
            return _Break(expected, f"Entry {expected} does not follow from entry {expected - 1}.")
        walk.n_entries, walk.previous = expected, entry.hash
        if not expected % _BATCH:
            progress(expected)
        walk.n_subjects += len(chain.subject_rows(entry.project, entry.subject, expected))
        for record in entry.facts.get(chain.RECORDS, ()):
            walk.records[record["table"], *record["key"]] = (expected, record["digest"])
    return None


def _sound_entry(row: Row[Any]) -> AuditEntry | None:
    """The entry, or None when a column was altered, its type or the spelling of its JSON included."""
    try:
        entry = chain.to_entry(row)
        sound = chain.entry_hash(entry) == entry.hash and chain.entry_values(entry) == row._asdict()
        sound = sound and not _has_bytes(row._asdict())
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None
    return entry if sound else None


def _check_head(connection: Connection, walk: _Walk) -> _Break | None:
    head = connection.execute(select(audit_head)).all()
    if [tuple(row) for row in head] == [(1, walk.n_entries, walk.previous)]:
        return None
    if len(head) == 1 and isinstance(head[0].sequence, int) and head[0].sequence > walk.n_entries:
        return _Break(walk.n_entries + 1, f"Entry {walk.n_entries + 1} is missing: the chain was cut off.")
    return _Break(max(walk.n_entries, 1), f"The newest link does not fit entry {walk.n_entries}.")


def _check_records(connection: Connection, walk: _Walk) -> _Break | None:
    found = list(_wrong_rows(connection, walk))
    found += [
        _Break(sequence, f"The row of {key[0]} that entry {sequence} wrote is missing: {_named(key)}.")
        for key, (sequence, digest) in walk.records.items()
        if digest is not None
    ]
    return min(found, key=lambda each: each.sequence, default=None)


def _check_subjects(connection: Connection, walk: _Walk) -> _Break | None:
    """By `audit_subjects` an asset's entries are found: a row taken out of it would hide one from every story."""
    n_rows = connection.execute(select(func.count()).select_from(audit_subjects)).scalar_one()
    named = func.instr("," + audit.c.subject + ",", "," + audit_subjects.c.subject + ",") > 0
    sound = select(func.count()).join(
        audit,
        (audit.c.sequence == audit_subjects.c.sequence) & (audit.c.project == audit_subjects.c.project) & named,
    )
    if n_rows == walk.n_subjects == connection.execute(sound.select_from(audit_subjects)).scalar_one():
        return None
    kept = {tuple(row) for row in connection.execute(select(audit_subjects))}
    meant = {
        tuple(each.values())
        for row in connection.execute(select(audit.c.project, audit.c.subject, audit.c.sequence))
        for each in chain.subject_rows(row.project, row.subject, row.sequence)
    }
    sequence = min(sequence for _, _, sequence in kept ^ meant)
    return _Break(max(sequence, 1), f"What entry {sequence} is about cannot be found by name: its rows were changed.")


def _wrong_rows(connection: Connection, walk: _Walk) -> Iterator[_Break]:
    """Rows that differ from their digest or have none; those that fit are struck from `walk.records`."""
    for table in CHAINED:
        for row in connection.execute(select(table).execution_options(yield_per=_BATCH)):
            values = row._asdict()
            key = (table.name, *chain.row_key(table, values))
            sequence, digest = walk.records.pop(key, (walk.n_entries, None))
            if digest is None:
                yield _Break(max(sequence, 1), f"A row of {table.name} was slipped in: {_named(key)}.")
            elif _digest(table, values) != digest:
                yield _Break(
                    sequence, f"The row of {table.name} that entry {sequence} wrote was altered: {_named(key)}."
                )


def _digest(table: Table, values: dict[str, Any]) -> str | None:
    try:
        return None if _has_bytes(values) else chain.row_digest(table.name, values)
    except ValueError:
        return None


def _has_bytes(values: dict[str, Any]) -> bool:
    """True for a column that was given bytes: none of ours holds any, and canonically they equal their hex text."""
    return any(isinstance(value, bytes) for value in values.values())


def _named(key: Key) -> str:
    return " ".join(str(part) for part in key[1:])
