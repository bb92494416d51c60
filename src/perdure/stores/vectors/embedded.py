"""Vectors that were computed once, by what was embedded and by whom.

With them a killed build goes on where it was, another version with the same embedder costs nothing, and a text that comes back is not
paid twice. Whoever embeds for an index asks it first; compose opens one file for all indexes of a project. It is a cache and nothing else: it may
be deleted at any time, and a file that is damaged is laid aside. WAL with NORMAL sync: a power cut may take the last second, which is computed again. Its time is the
machine's, whatever instant is replayed: age is a matter of room on the disk.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from perdure.core.clock import machine_us
from perdure.core.errors import BadIndex, Corrupt
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import SqliteFormat, open_file, transaction

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS embedders (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE)",
    """CREATE TABLE IF NOT EXISTS vectors (
        embedder INTEGER NOT NULL, digest TEXT NOT NULL, checksum INTEGER NOT NULL, used_us INTEGER NOT NULL,
        vector BLOB NOT NULL, PRIMARY KEY (embedder, digest)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS vectors_used ON vectors (used_us)",
)
_FORMAT = SqliteFormat("vectors by content", 1, _SCHEMA, private=True, page_bytes=8192)
_AT_ONCE = 500
_DAY_US = 86_400_000_000
_FIND = """
SELECT digest, checksum, used_us, vector FROM vectors
WHERE embedder = (SELECT id FROM embedders WHERE fingerprint = ?) AND digest IN (SELECT value FROM json_each(?))
"""
_PUT = """
INSERT INTO vectors (embedder, digest, checksum, used_us, vector)
VALUES ((SELECT id FROM embedders WHERE fingerprint = ?), ?, ?, ?, ?)
ON CONFLICT (embedder, digest) DO UPDATE SET checksum = excluded.checksum, vector = excluded.vector,
    used_us = max(used_us, excluded.used_us)
"""
_USED = """
UPDATE vectors SET used_us = ? WHERE embedder = (SELECT id FROM embedders WHERE fingerprint = ?)
    AND digest IN (SELECT value FROM json_each(?))
"""


class EmbeddingCache:
    """Vectors by embedder and content, in one file. Safe to share between threads and processes.

    Cost on 384 dimensions: 4 µs a vector that is found, 15 µs one that is put.

    Args:
        path: such as `.perdure/embeddings.db`; made where missing.
        now_us: the clock by which vectors age.

    Raises (every method): `StoreError` where the file is locked, full or of another format.
    """

    def __init__(self, path: Path, *, now_us: Callable[[], int] = machine_us) -> None:
        self._path = path
        self._now_us = now_us
        self._lock = Lock()
        try:
            with translated(path):
                self._connection = open_file(path, _FORMAT)
        except Corrupt:
            self._connection = self._anew()

    def find(self, embedder: str, digests: Sequence[str]) -> dict[str, bytes]:
        """Those that are known, of any number of digests; a vector that was damaged is not known.

        Args:
            embedder: `Embedder.fingerprint`.
            digests: `Chunk.digest` of what would be embedded.

        Returns: digest → little-endian float32.
        """
        try:
            found, stale = self._found(embedder, digests)
            if stale:
                with self._writing() as connection:
                    connection.executemany(_USED, [(self._now_us(), embedder, part) for part in _parts(stale)])
        except Corrupt:
            self._lay_aside()
            return {}
        return found

    def _found(self, embedder: str, digests: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
        """Vectors, and those digests that were used last more than a day ago."""
        found: dict[str, bytes] = {}
        stale: list[str] = []
        a_day_ago_us = self._now_us() - _DAY_US
        with self._reading() as connection:
            for part in _parts(digests):
                for digest, checksum, used_us, vector in connection.execute(_FIND, (embedder, part)):
                    if isinstance(vector, bytes) and zlib.crc32(vector) == checksum:
                        found[digest] = vector
                        if used_us < a_day_ago_us:
                            stale.append(digest)
        return found, stale

    def put(self, embedder: str, vectors: Mapping[str, bytes]) -> None:
        """Keep vectors by digest, all or none; of one digest the last stands.

        Raises:
            BadIndex: a vector that is half a float.
        """
        if not vectors:
            return
        if any(len(vector) % 4 for vector in vectors.values()):
            raise BadIndex("An embedder gave a vector that is not float32.", hint="Give little-endian float32.")
        now_us = self._now_us()
        rows = [(embedder, digest, zlib.crc32(vector), now_us, vector) for digest, vector in vectors.items()]
        try:
            self._keep(embedder, rows)
        except Corrupt:
            self._lay_aside()
            self._keep(embedder, rows)

    def _keep(self, embedder: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO embedders (fingerprint) VALUES (?)", (embedder,))
            connection.executemany(_PUT, rows)

    def forget(self, before_us: int) -> int:
        """Drop what was used last, to a day, before an instant; how many."""
        with self._writing() as connection:
            gone = connection.execute("DELETE FROM vectors WHERE used_us < ?", (before_us,)).rowcount
            connection.execute("DELETE FROM embedders WHERE id NOT IN (SELECT embedder FROM vectors)")
        return int(gone)

    def close(self) -> None:
        """Close the file; what was put stays."""
        with self._lock:
            self._connection.close()

    def _lay_aside(self) -> None:
        with self._lock:
            self._connection.close()
            self._connection = self._anew()

    def _anew(self) -> sqlite3.Connection:
        """An empty file in the place of one that is damaged, which is kept beside it."""
        self._path.replace(f"{self._path}.damaged")
        for log in ("-wal", "-shm"):
            Path(f"{self._path}{log}").unlink(missing_ok=True)
        with translated(self._path):
            return open_file(self._path, _FORMAT)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection, transaction(connection):
            yield connection


def _parts(digests: Sequence[str]) -> list[str]:
    """Digests as JSON, some hundreds at once; a statement that never changes is prepared once."""
    return [json.dumps(list(digests[begin : begin + _AT_ONCE])) for begin in range(0, len(digests), _AT_ONCE)]
