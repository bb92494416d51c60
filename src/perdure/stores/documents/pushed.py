"""Documents that others push, kept in one SQLite file: serve puts and deletes them, the worker that follows reads them.

A push is durable when it returns, and is found within a second of it. A document's token is the number of its push, which no other
push has, so waiting is looking at the last number some twenty times a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.documents import DocumentRef, RawDocument, Scalar, Trouble
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import SqliteFormat, open_file, transaction

FORMAT = SqliteFormat(
    "pushed documents",
    1,
    (
        """CREATE TABLE IF NOT EXISTS pushed (
            id TEXT PRIMARY KEY, revision INTEGER NOT NULL, changed_us INTEGER NOT NULL, media_type TEXT NOT NULL,
            metadata TEXT NOT NULL, readers TEXT, data BLOB NOT NULL
        )""",
        "CREATE TABLE IF NOT EXISTS revisions (last INTEGER NOT NULL)",
        "INSERT INTO revisions SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM revisions)",
    ),
    private=True,
    page_bytes=8192,
)
_LOOK_S = 0.05


class PushedDocuments:
    """The documents that were pushed to one index. Safe to share between threads and processes.

    Args:
        path: such as `.perdure/indexes/news/pushed.db`; made where missing.

    Raises:
        StoreError: the file cannot be opened, or is of another format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen: int | None = None
        self._closed = False
        with translated(path):
            self._connection = open_file(path, FORMAT)
            self._connection.execute("PRAGMA synchronous=FULL")

    def put(self, document: RawDocument, now_us: int) -> str:
        """Keep a document, whatever was under its id before; its new token.

        Args:
            document: its ref's token is not read; its `changed_us` is, where it has one.
            now_us: domain time of the push.

        Raises:
            StoreFull, Conflict: nothing is kept.
        """
        changed_us = now_us if document.ref.changed_us is None else document.ref.changed_us
        readers = None if document.readers is None else json.dumps(list(document.readers))
        row = (changed_us, document.media_type, json.dumps(dict(document.metadata)), readers, document.data)
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            connection.execute("UPDATE revisions SET last = last + 1")
            [revision] = connection.execute("SELECT last FROM revisions").fetchone()
            connection.execute("REPLACE INTO pushed VALUES (?, ?, ?, ?, ?, ?, ?)", (document.ref.id, revision, *row))
        return str(revision)

    def delete(self, id_: str) -> bool:
        """Forget a document; whether it was there.

        Raises: StoreError, as `put`.
        """
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            connection.execute("UPDATE revisions SET last = last + 1")
            return connection.execute("DELETE FROM pushed WHERE id = ?", (id_,)).rowcount > 0

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every document, by id.

        Raises:
            StoreError: the file cannot be read.
        """
        with self._lock, translated(self._path):
            rows = self._connection.execute("SELECT id, revision, changed_us FROM pushed ORDER BY id").fetchall()
        yield from (DocumentRef(id_, str(revision), changed_us) for id_, revision, changed_us in rows)

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """Those documents, in order, as they are now."""
        for ref in refs:
            with self._lock, translated(self._path):
                row = self._connection.execute(
                    "SELECT revision, changed_us, media_type, metadata, readers, data FROM pushed WHERE id = ?",
                    (ref.id,),
                ).fetchone()
            if row is None:
                yield Trouble(ref.id, "vanished", f"{ref.id} was deleted while it was read.")
                continue
            revision, changed_us, media_type, metadata, readers, data = row
            told: Mapping[str, Scalar] = json.loads(metadata)
            groups = None if readers is None else tuple(json.loads(readers))
            yield RawDocument(DocumentRef(ref.id, str(revision), changed_us), data, media_type, told, groups)

    def wait(self, seconds: float) -> bool:
        """Wait until something is pushed or deleted; True at the first wait. Cost: 20 looks of some µs a second."""
        until_s = monotonic_s() + seconds
        while not self._closed:
            with self._lock, translated(self._path):
                [last] = self._connection.execute("SELECT last FROM revisions").fetchone()
            before, self._seen = self._seen, last
            if last != before:
                return True
            if monotonic_s() >= until_s:
                return False
            sleep_s(min(_LOOK_S, max(0.0, until_s - monotonic_s())))
        return False

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        with self._lock:
            self._connection.close()
