"""The answer cache in a SQLite file: shared by the workers of one machine, and it outlives them.

The file is a cache and nothing else: it may be deleted at any time, and a power cut may take the newest entries. Answers
lie in it as they were given, so it deserves the care that captured calls get. Serve opens it.

What surprised us: keeping the order of use would make each read a write. So uses are remembered in the process and written
with the next `put`; a use that was never written only makes an entry look older than it is.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perdure.stores.cache.protocols import Entry, Near
from perdure.stores.cache.vectors import VectorSpaces, as_unit
from perdure.stores.sqlite_errors import translated

_WAIT_S = 0.1
"""For another writer: an answer must not wait longer for its cache."""
_OPEN_WAIT_S = 10.0
_PURGED = 32
"""Entries over that one `put` removes at most: more than it adds, so they never pile up."""
_MAX_USES = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, body BLOB NOT NULL, call_id TEXT NOT NULL, made_us INTEGER NOT NULL, cost_pusd INTEGER,
    question TEXT NOT NULL, ends_us INTEGER NOT NULL, used_us INTEGER NOT NULL, n_bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_used ON answers (used_us);
CREATE INDEX IF NOT EXISTS answers_ends ON answers (ends_us);
CREATE TABLE IF NOT EXISTS tags (tag TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (tag, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_key ON tags (key);
CREATE TABLE IF NOT EXISTS vectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT, space TEXT NOT NULL, key TEXT NOT NULL, vector BLOB NOT NULL,
    UNIQUE (space, key)
);
CREATE INDEX IF NOT EXISTS vectors_key ON vectors (key);
CREATE INDEX IF NOT EXISTS vectors_space ON vectors (space, id);
CREATE TABLE IF NOT EXISTS totals (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL, n_bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
CREATE TRIGGER IF NOT EXISTS answer_came AFTER INSERT ON answers BEGIN
    UPDATE totals SET n = n + 1, n_bytes = n_bytes + new.n_bytes;
END;
CREATE TRIGGER IF NOT EXISTS answer_changed AFTER UPDATE OF n_bytes ON answers BEGIN
    UPDATE totals SET n_bytes = n_bytes + new.n_bytes - old.n_bytes;
END;
CREATE TRIGGER IF NOT EXISTS answer_went AFTER DELETE ON answers BEGIN
    UPDATE totals SET n = n - 1, n_bytes = n_bytes - old.n_bytes;
    DELETE FROM tags WHERE key = old.key;
    DELETE FROM vectors WHERE key = old.key;
END;
"""
"""AUTOINCREMENT: an id is never used again, so that each process reads only vectors that it has not seen."""
_GET = "SELECT body, call_id, made_us, cost_pusd, question FROM answers WHERE key = ? AND ends_us > ?"
_PUT = """
INSERT INTO answers (key, body, call_id, made_us, cost_pusd, question, ends_us, used_us, n_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    body = excluded.body, call_id = excluded.call_id, made_us = excluded.made_us, cost_pusd = excluded.cost_pusd,
    question = excluded.question, ends_us = excluded.ends_us, used_us = excluded.used_us, n_bytes = excluded.n_bytes
"""
_PURGE = "DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE ends_us <= ? ORDER BY ends_us LIMIT ?)"
_EVICT = "DELETE FROM answers WHERE key = (SELECT key FROM answers WHERE key <> ? ORDER BY used_us, rowid LIMIT 1)"
_PUT_VECTOR = """
INSERT OR REPLACE INTO vectors (space, key, vector)
SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM answers WHERE key = ?)
"""
_TRIM_VECTORS = """
DELETE FROM vectors WHERE space = ? AND id <= (
    SELECT id FROM vectors WHERE space = ? ORDER BY id DESC LIMIT 1 OFFSET ?
)
"""
_DROP = "DELETE FROM answers WHERE key IN (SELECT key FROM tags WHERE tag = ?)"


class SqliteCache:
    """Answers in one SQLite file. Safe to share between threads and processes. Cost: 10 µs a `get`, 0.2 ms a `put`.

    Args:
        path: made where it is not there.
        max_entries: at most so many.
        max_bytes: of their bodies and questions.

    Raises (every method): `StoreError` when the file is locked, full or damaged.
    """

    def __init__(self, path: Path, *, max_entries: int = 100_000, max_bytes: int = 512_000_000) -> None:
        self._path = path
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._uses: dict[str, int] = {}
        self._spaces = VectorSpaces()
        self._connection: sqlite3.Connection | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._store():
            pass

    def get(self, key: str, *, now_us: int) -> Entry | None:
        """The entry, unless it is over or was dropped."""
        with self._store() as store:
            return self._live(store, key, now_us)

    def put(self, key: str, entry: Entry, *, ends_us: int, tags: Sequence[str] = ()) -> None:
        """Keep an entry until `ends_us`; of the same key the last counts. One that is larger than the cache is not kept."""
        n_bytes = len(entry.body) + len(entry.question.encode())
        if n_bytes > self._max_bytes:
            return
        own = (entry.body, entry.call_id, entry.made_us, entry.cost_pusd, entry.question)
        with self._writing() as store:
            self._write_uses(store)
            store.execute(_PURGE, (entry.made_us, _PURGED))
            store.execute(_PUT, (key, *own, ends_us, entry.made_us, n_bytes))
            store.execute("DELETE FROM tags WHERE key = ?", (key,))
            store.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", [(tag, key) for tag in tags])
            while self._is_over(store):
                store.execute(_EVICT, (key,))

    def put_vector(self, space: str, key: str, vector: NDArray[np.float32]) -> None:
        """Keep the vector of an entry's question; one without its entry, or without a direction, is not kept."""
        unit = as_unit(vector)
        if unit is None:
            return
        with self._writing() as store:
            store.execute(_PUT_VECTOR, (space, key, unit.astype("<f4").tobytes(), key))
            [n_vectors] = store.execute("SELECT count(*) FROM vectors WHERE space = ?", (space,)).fetchone()
            if n_vectors > 1.1 * self._spaces.a_space:
                store.execute(_TRIM_VECTORS, (space, space, self._spaces.a_space))

    def nearest(self, space: str, vector: NDArray[np.float32], *, now_us: int) -> Near | None:
        """The live entry of the space with the greatest cosine. Cost: as in memory, and 20 µs a vector that is new to this process."""
        with self._store() as store:
            self._read_newer(store, space)
            return self._spaces.nearest(space, vector, lambda keys: [self._live(store, key, now_us) for key in keys])

    def drop(self, tags: Sequence[str]) -> int:
        """Forget entries that have one of the tags; returns how many."""
        with self._writing() as store:
            before = self._count(store)
            store.executemany(_DROP, [(tag,) for tag in tags])
            return before - self._count(store)

    def count(self) -> int:
        """Entries kept, by all processes; those over too, until they are purged."""
        with self._store() as store:
            return self._count(store)

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            self._disconnect()

    def _live(self, store: sqlite3.Connection, key: str, now_us: int) -> Entry | None:
        row = store.execute(_GET, (key, now_us)).fetchone()
        if row is None:
            return None
        if len(self._uses) < _MAX_USES:
            self._uses[key] = now_us
        return Entry(*row)

    def _read_newer(self, store: sqlite3.Connection, space: str) -> None:
        seen = self._spaces.seen(space) or 0
        query = "SELECT id, key, vector FROM vectors WHERE space = ? AND id > ? ORDER BY id"
        rows = store.execute(query, (space, seen)).fetchall()
        if rows:
            vectors = [(key, np.frombuffer(vector, dtype="<f4")) for _, key, vector in rows]
            self._spaces.add(space, vectors, seen=rows[-1][0])

    def _write_uses(self, store: sqlite3.Connection) -> None:
        uses, self._uses = self._uses, {}
        store.executemany(
            "UPDATE answers SET used_us = max(used_us, ?) WHERE key = ?", [(at, key) for key, at in uses.items()]
        )

    def _is_over(self, store: sqlite3.Connection) -> bool:
        n_entries, n_bytes = store.execute("SELECT n, n_bytes FROM totals").fetchone()
        return bool(n_entries > self._max_entries or (n_bytes > self._max_bytes and n_entries > 1))

    def _count(self, store: sqlite3.Connection) -> int:
        return int(store.execute("SELECT n FROM totals").fetchone()[0])

    @contextmanager
    def _store(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            try:
                yield self._connected()
            except sqlite3.Error:
                self._disconnect()
                raise

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._store() as store:
            store.execute("BEGIN IMMEDIATE")
            try:
                yield store
            except BaseException:
                store.rollback()
                raise
            store.commit()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.touch(mode=0o600)
            store = sqlite3.connect(self._path, timeout=_OPEN_WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                store.execute("PRAGMA journal_mode = WAL")
                store.execute("PRAGMA synchronous = NORMAL")
                store.executescript(_SCHEMA)
                store.execute(f"PRAGMA busy_timeout = {int(_WAIT_S * 1000)}")
            except BaseException:
                store.close()
                raise
            self._connection = store
        return self._connection

    def _disconnect(self) -> None:
        store, self._connection = self._connection, None
        if store is not None:
            store.close()
