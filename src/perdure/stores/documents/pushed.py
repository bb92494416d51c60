"""Documents that others push, kept in a SQLite file: serving and the CLI write it, whoever follows the source reads it.

What was pushed is durable when `put` returns. Pushes arrive in any order where several hooks run at once, so each may say when its
document changed: an older one than what is here, or than its deletion, is left out. For that a deletion leaves a tombstone for a while.
What surprised us: SQLite's counter of changes counts those of other connections only, so whoever waits looks through one of its own.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from perdure.core.clock import machine_us
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import DeclarationError, StoreError, TooLarge
from perdure.stores.documents.files import MOST_BYTES, vanished
from perdure.stores.documents.polling import Polled
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import SqliteFormat, open_file, transaction

_FORMAT = SqliteFormat(
    holds="pushed documents",
    number=1,
    private=True,
    schema=(
        """
        CREATE TABLE documents (
            id TEXT PRIMARY KEY, said_us INTEGER NOT NULL, token TEXT NOT NULL, changed_us INTEGER NOT NULL, data BLOB, media_type TEXT NOT NULL,
            metadata TEXT NOT NULL, readers TEXT
        ) WITHOUT ROWID
        """,
        "CREATE INDEX gone ON documents (changed_us) WHERE data IS NULL",
        "CREATE INDEX listed ON documents (id, token, changed_us) WHERE data IS NOT NULL",
    ),
)
_SAME = "UPDATE documents SET said_us = max(said_us, ?) WHERE id = ? AND token = ? AND data IS NOT NULL"
_PUT = """
INSERT INTO documents (id, said_us, token, changed_us, data, media_type, metadata, readers) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET said_us = excluded.said_us, token = excluded.token, changed_us = excluded.changed_us,
    data = excluded.data, media_type = excluded.media_type, metadata = excluded.metadata, readers = excluded.readers
WHERE excluded.said_us >= documents.said_us
"""
_GONE = """
UPDATE documents SET said_us = ?, changed_us = ?, token = '', data = NULL, media_type = '', metadata = '{}', readers = NULL
WHERE id = ? AND said_us <= ? AND data IS NOT NULL
"""
_TOMBSTONE = """
INSERT INTO documents (id, said_us, token, changed_us, data, media_type, metadata, readers) VALUES (?, ?, '', ?, NULL, '', '{}', NULL)
ON CONFLICT (id) DO UPDATE SET said_us = max(documents.said_us, excluded.said_us), changed_us = excluded.changed_us WHERE documents.data IS NULL
"""
"""The `changed_us` of a tombstone is when it was made, by the machine's clock: it is forgotten by its age."""
_LOOK_S = 0.05
_TOMBSTONE_US = 30 * 86_400 * 1_000_000
_MOST_ID = 4_096
_WIDE = 2**63
"""No index keeps a wider number."""


class PushedDocuments:
    """The documents that were pushed to one index. Safe to use from several threads, and processes.

    Args:
        path: of the file, made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with translated(path):
            self._connection = open_file(path, _FORMAT)
            self._connection.execute("PRAGMA synchronous=FULL")
            self._looking = open_file(path, _FORMAT)
        self._polled = Polled(_LOOK_S, self._version)

    def put(self, documents: Sequence[RawDocument]) -> Sequence[str]:
        """Keep documents, all of them or none; the token of each, the same for the same content.

        `ref.changed_us` says when it changed, None: now. One that changed before what is here did is left out. `ref.token` is
        not looked at. Cost: a transaction, some 0.2 ms, and 20 µs a document.

        Raises:
            DeclarationError: an id that is empty, too long or no text; metadata of other than texts, numbers and flags.
            TooLarge: a document of more than 20 MB.
            StoreFull, StoreError: it cannot be written.
        """
        now_us = machine_us()
        rows = [_row(raw, now_us) for raw in documents]
        with self._lock, translated(self._path), transaction(self._open()) as connection:
            for row in rows:
                id_, said_us, token = row[:3]
                if not connection.execute(_SAME, (said_us, id_, token)).rowcount:
                    connection.execute(_PUT, row)
            _forget(connection, now_us)
        return [str(row[2]) for row in rows]

    def delete(self, ids: Sequence[str], *, changed_us: int | None = None) -> Sequence[str]:
        """Delete documents; the ids of those that were here. What is unknown is remembered too: its push may still come.

        Args:
            ids: of documents.
            changed_us: when they went; None: now. Of what changed later nothing is deleted.

        Raises: DeclarationError, StoreFull, StoreError, as `put`.
        """
        now_us = machine_us()
        at_us = now_us if changed_us is None else changed_us
        gone = []
        for id_ in ids:
            _check_id(id_)
        with self._lock, translated(self._path), transaction(self._open()) as connection:
            for id_ in ids:
                if connection.execute(_GONE, (at_us, now_us, id_, at_us)).rowcount:
                    gone.append(id_)
                else:
                    connection.execute(_TOMBSTONE, (id_, at_us, now_us))
            _forget(connection, now_us)
        return gone

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every document, by id. Cost: 1 µs CPU a document.

        Raises:
            StoreError: the file cannot be read.
        """
        asked = "SELECT id, token, changed_us FROM documents WHERE data IS NOT NULL ORDER BY id"
        with self._lock, translated(self._path):
            rows = self._open().execute(asked).fetchall()
        for id_, token, changed_us in rows:
            yield DocumentRef(id_, token, changed_us)

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """The documents as they are now.

        Raises: StoreError, as `list`.
        """
        asked = "SELECT token, changed_us, data, media_type, metadata, readers FROM documents WHERE id = ?"
        for ref in refs:
            with self._lock, translated(self._path):
                row = self._open().execute(asked, (ref.id,)).fetchone()
            if row is None or row[2] is None:
                yield vanished(ref.id)
                continue
            token, changed_us, data, media_type, metadata, readers = row
            groups = None if readers is None else tuple(json.loads(readers))
            yield RawDocument(DocumentRef(ref.id, token, changed_us), data, media_type, json.loads(metadata), groups)

    def wait(self, seconds: float) -> bool:
        """Wait until something was pushed, by any process: seen within 50 ms. Cost: some 20 µs CPU a look."""
        return self._polled.wait(seconds)

    def close(self) -> None:
        """Close the file."""
        self._polled.close()
        with self._lock:
            self._connection.close()
            self._looking.close()

    def _open(self) -> sqlite3.Connection:
        """The connection, of a file that is still there: a deleted one would be read and written on without a word."""
        if not self._path.exists():
            raise StoreError(
                f"The pushed documents {self._path} are not there any more.",
                hint="Restore the file, or restart and push them again.",
                path=str(self._path),
            )
        return self._connection

    def _version(self) -> object:
        with self._lock, translated(self._path):
            return self._looking.execute("PRAGMA data_version").fetchone()[0]


def _forget(connection: sqlite3.Connection, now_us: int) -> None:
    connection.execute("DELETE FROM documents WHERE data IS NULL AND changed_us < ?", (now_us - _TOMBSTONE_US,))


def _row(raw: RawDocument, now_us: int) -> tuple[object, ...]:
    _check_id(raw.ref.id)
    if len(raw.data) > MOST_BYTES:
        raise TooLarge(
            f"The document {raw.ref.id!r} has {len(raw.data):,} bytes, and at most {MOST_BYTES:,} are kept.",
            hint="Push its parts as documents.",
        )
    metadata: Mapping[str, object] = raw.metadata
    wrong = [name for name, told in metadata.items() if not _is_scalar(told)]
    if wrong:
        raise DeclarationError(
            f"The metadata {wrong} of {raw.ref.id!r} are no texts, numbers of up to 64 bits or flags.",
            hint="Give texts.",
        )
    changed_us = now_us if raw.ref.changed_us is None else raw.ref.changed_us
    return (
        raw.ref.id,
        changed_us,
        raw.digest,
        changed_us,
        bytes(raw.data),
        raw.media_type,
        json.dumps(dict(raw.metadata), ensure_ascii=False),
        None if raw.readers is None else json.dumps(sorted(raw.readers)),
    )


def _is_scalar(told: object) -> bool:
    if isinstance(told, float):
        return math.isfinite(told)
    return isinstance(told, str) or (isinstance(told, int) and abs(told) < _WIDE)


def _check_id(id_: str) -> None:
    try:
        legal = 0 < len(id_.encode()) <= _MOST_ID and "\0" not in id_
    except UnicodeEncodeError:
        legal = False
    if not legal:
        raise DeclarationError(
            f"{id_[:80]!r} is no id of a document.",
            hint=f"Use 1 to {_MOST_ID:,} bytes of UTF-8, the same for as long as it is.",
        )
