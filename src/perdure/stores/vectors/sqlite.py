"""One version of an index in one SQLite file: documents, chunks, vectors and words, a generation a transaction.

Write-ahead log with FULL sync: a generation that `apply` returned survives a power cut, and readers of other processes see the old
one whole until the new one is there. Compose opens it for the workers of the loop to write, and for serve to read.

Words lie in FTS5 as `core.texts.tokens.words` splits them, so that scripts without spaces are found too, and beside a copy of their
own: what is deleted is what was written, even where a chunk's text was damaged meanwhile.

What surprised us: rows of 2.5 kB leave a third of SQLite's usual pages of 4 kB empty, and each page is a read of its own, so its pages
are of 32 kB here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from perdure.core.documents import Hit
from perdure.stores.sqlite_files import SqliteFormat
from perdure.stores.vectors.matching import fused, words_of
from perdure.stores.vectors.nearest import Nearest, as_query, batches
from perdure.stores.vectors.packing import vector_of
from perdure.stores.vectors.protocols import Change, ChunkRow, Damage, DocumentRow, Generation, Query, RecordedRow
from perdure.stores.vectors.sqlite_damage import (
    WORDS_TABLE,
    check_words,
    damage_of,
    lives_damage,
    mend_lives,
    mend_words,
    words_text,
)
from perdure.stores.vectors.sqlite_record import ALIVE, ANEW, RECORD_SCHEMA, SqliteRecord, batches_of
from perdure.stores.vectors.sqlite_rows import (
    CHUNKS,
    CHUNKS_SCHEMA,
    COLUMNS,
    STANDING,
    as_chunk,
    as_standing,
    insert_chunks,
    makings_of,
)
from perdure.stores.vectors.sqlite_words import ranked_by_words
from perdure.stores.vectors.standing import ChunkBatch

_SCHEMA = (
    *RECORD_SCHEMA,
    *CHUNKS_SCHEMA,
    WORDS_TABLE,
)
FORMAT = SqliteFormat("documents and chunks of an index", 4, _SCHEMA, private=True, page_bytes=32768, otherwise=ANEW)
_BY_KEY = f"SELECT {COLUMNS} FROM {CHUNKS} WHERE key IN (SELECT value FROM json_each(?))"  # noqa: S608 - of our own words
_OF = f"""
SELECT {COLUMNS} FROM {CHUNKS} WHERE died = 0 AND document IN (SELECT value FROM json_each(?)) ORDER BY key
"""  # noqa: S608
_ALL = f"SELECT {COLUMNS} FROM {CHUNKS} WHERE {ALIVE} AND (:last IS NULL OR key > :last) ORDER BY key"  # noqa: S608
_STANDING = f"SELECT {STANDING} FROM chunks WHERE {ALIVE} AND (:last IS NULL OR key > :last) ORDER BY key"  # noqa: S608
_CHANGED = f"""
SELECT {COLUMNS} FROM {CHUNKS} WHERE key IN (
    SELECT key FROM chunks WHERE born > :after AND born <= :at
    UNION SELECT key FROM chunks WHERE died > :after AND died > 0 AND died <= :at
) AND (:last IS NULL OR key > :last) ORDER BY key
"""  # noqa: S608
_VECTORS = f"SELECT key, document, packed FROM chunks WHERE {ALIVE}"  # noqa: S608
_WORDS = f"""
SELECT chunks.key, document, -bm25(words) FROM words JOIN chunks ON chunks.key = words.rowid
WHERE words MATCH :words AND {ALIVE} ORDER BY bm25(words), chunks.key
"""  # noqa: S608
_AT_ONCE = 2_000
_POOL = 100
"""Of each ranking at least so many are fused."""


class SqliteIndex:
    """One version of one index, in one file. See `protocols.IndexStore`; safe to share between threads.

    Cost on 384 dimensions and chunks of 800 characters: `apply` 0.1 ms a chunk, `fetch` 6 µs, `chunks` 5 µs. `search` reads every
    vector: 0.5 s for 100,000 chunks, so who searches often holds them in memory (`resident`).

    Args:
        path: such as `.perdure/indexes/handbook/3f9a.db`; made where missing, unless it is only read.
        read_only: for who only reads, such as serve.

    Raises:
        StoreError: the file cannot be opened, or is of another format.
        Corrupt: it is no database.
        NotReady: it is only read, and is being made.
    """

    resident = True

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._record = SqliteRecord(path, FORMAT, read_only=read_only)

    def generation(self) -> Generation:
        """The newest; 0 where nothing was written."""
        return self._record.generation()

    def generations(self) -> Sequence[Generation]:
        """Those that can still be asked, oldest first."""
        return self._record.generations()

    def apply(self, change: Change) -> Generation:
        """Make the next generation in one transaction, durable when it returns.

        Raises:
            Conflict: another generation was made meanwhile; nothing is written.
            StoreFull: the disk is full; nothing is written.
            BadIndex: a row that cannot be kept; nothing is written.
        """
        with self._record.writing() as connection:
            number = self._record.write_documents(connection, change)
            bury = "UPDATE chunks SET died = ? WHERE key = ? AND died = 0"
            connection.executemany(bury, [(number, key) for key in change.dead_chunks])
            bury = "UPDATE chunks SET died = ? WHERE document = ? AND died = 0"
            connection.executemany(bury, [(number, id_) for id_ in change.dead_documents])
            key = next_key(connection)
            for begin in range(0, len(change.chunks), _AT_ONCE):
                rows = change.chunks[begin : begin + _AT_ONCE]
                insert_chunks(connection, rows, key + begin, number)
                folded = [(key + begin + i, words_text(row.context, row.text)) for i, row in enumerate(rows)]
                connection.executemany("INSERT INTO words (rowid, folded) VALUES (?, ?)", folded)
            [n_chunks] = connection.execute("SELECT count(*) FROM chunks WHERE died = 0").fetchone()
            return self._record.finish(connection, change, number, n_chunks)

    def documents(self, as_of: int = 0) -> Iterator[DocumentRow]:
        """The record of documents, by id."""
        return self._record.documents(as_of)

    def recorded(self, as_of: int = 0) -> dict[str, RecordedRow]:
        """The record of documents, as a census compares them."""
        return self._record.recorded(as_of)

    def find_documents(self, ids: Sequence[str], as_of: int = 0) -> list[DocumentRow | None]:
        """What the record says of those documents, in order."""
        return self._record.find_documents(ids, as_of)

    def chunks(self, as_of: int = 0, after: int = -1) -> Iterator[ChunkRow]:
        """Chunks of a generation by key, or those that changed after another one."""
        with self._record.snapshot(as_of) as (connection, at):
            if after > 0:
                self._record.resolve(connection, after)
            query, facts = (_ALL, {"at": at}) if after < 0 else (_CHANGED, {"at": at, "after": after})
            for rows in batches_of(connection, query, facts):
                yield from map(as_chunk, rows)

    def standing(self, as_of: int = 0) -> Iterator[ChunkBatch]:
        """Chunks of a generation by columns, held against their checksums."""
        with self._record.snapshot(as_of) as (connection, at):
            makings = makings_of(connection)
            for rows in batches_of(connection, _STANDING, {"at": at}):
                yield as_standing(rows, makings)

    def fetch(self, keys: Sequence[int]) -> list[ChunkRow | None]:
        """By key, alive or dead, in order; None where it is not there."""
        with self._record.reading() as connection:
            rows = connection.execute(_BY_KEY, (str([int(key) for key in keys]),)).fetchall()
        found = {row.key: row for row in map(as_chunk, rows)}
        return [found.get(key) for key in keys]

    def chunks_of(self, documents: Sequence[str]) -> list[ChunkRow]:
        """Chunks that are alive now, of those documents, by key."""
        with self._record.reading() as connection:
            return [as_chunk(row) for row in connection.execute(_OF, (json.dumps(list(documents)),))]

    def damage(self, *, deep: bool = False) -> list[Damage]:
        """Words that are not those of the chunks, and rows of no time; `deep`: word by word, every page of the file, and where it may write FTS5's own check."""
        with self._record.snapshot() as (connection, _):
            found = [*self._record.damage(connection), *lives_damage(connection, "chunks")]
            found += damage_of(connection, deep=deep)
        if deep and self._record.writable:
            with self._record.writing() as connection:
                found += check_words(connection)
        return found

    def mend(self) -> int:
        """Make the words anew from the chunks, and set lives right; how many chunks."""
        with self._record.writing() as connection:
            self._record.mend(connection)
            mend_lives(connection, "chunks")
            return mend_words(connection)

    def search(self, query: Query) -> list[Hit]:
        """The k best by vectors, words or both fused by rank.

        Raises:
            NotFound: that generation is not there.
            BadIndex: the vector is none of this index.
        """
        vector, asked = as_query(query.vector), words_of(query.words)
        if query.k < 1:
            return []
        both = bool(len(vector) and asked)
        n_pool = max(_POOL, 4 * query.k) if both else query.k
        with self._record.snapshot(query.as_of) as (connection, at):
            findable = self._record.findable(connection, query, at)
            dense: list[tuple[int, float]] = []
            if vector.any():
                told = connection.execute(_VECTORS, {"at": at})
                rows = ((key, vector_of(packed)) for key, id_, packed in told if id_ in findable)
                nearest = Nearest(vector, n_pool)
                for keys, vectors in batches(rows, _AT_ONCE):
                    nearest.add(keys, vectors)
                dense = nearest.best()
            if query.groups is None:
                lexical = _by_words(connection, asked, at, findable, n_pool)
            else:
                readable = self._record.findable(connection, msgspec.structs.replace(query, where={}), at)
                lexical = ranked_by_words(connection, asked, at, (readable, findable), n_pool) if asked else []
        if both:
            return fused(dense, lexical, query.k)
        return [Hit(key, score, dense=score) for key, score in dense] or [
            Hit(key, score, lexical=score) for key, score in lexical
        ]

    def prune(self, before: int) -> int:
        """Forget what died before a generation; how many chunks. The newest always stays."""
        with self._record.writing() as connection:
            oldest = self._record.forget(connection, before)
            dead = connection.execute("SELECT key FROM chunks WHERE died > 0 AND died <= ?", (oldest,)).fetchall()
            connection.executemany("DELETE FROM words WHERE rowid = ?", dead)
            connection.executemany("DELETE FROM chunks WHERE key = ?", dead)
        return len(dead)

    def close(self) -> None:
        """Close the file; what was applied stays."""
        self._record.close()


def next_key(connection: sqlite3.Connection) -> int:
    """The first key that was never given."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    return 1 + int(row[0]) if row else 1


def _by_words(
    connection: sqlite3.Connection, asked: Sequence[str], at: int, findable: frozenset[str], k: int
) -> list[tuple[int, float]]:
    if not asked:
        return []
    expression = " OR ".join(f'"{word}"' for word in asked)
    found: list[tuple[int, float]] = []
    for key, id_, score in connection.execute(_WORDS, {"words": expression, "at": at}):
        if id_ in findable:
            found.append((key, score))
            if len(found) == k:
                break
    return found
