"""One version of an index in one SQLite file: documents, chunks, vectors and words, a generation a transaction.

Write-ahead log with FULL sync: a generation that `apply` returned survives a power cut, and readers of other processes see the old
one whole until the new one is there. Compose opens it for the workers of the loop to write, and for serve to read.

Words lie in FTS5 as `core.texts.tokens.words` splits them, so that scripts without spaces are found too, and beside a copy of their
own: what is deleted is what was written, even where a chunk's text was damaged meanwhile.

What surprised us: rows of 2.5 kB leave a third of SQLite's usual pages of 4 kB empty, so its pages are of 8 kB here; and a column is
read by walking over all before it, so `born` and `died` stand first and vectors last.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import Any

import msgspec

from perdure.core.documents import Hit
from perdure.core.errors import BadIndex
from perdure.stores.sqlite_files import SqliteFormat
from perdure.stores.vectors.matching import fused, words_of
from perdure.stores.vectors.nearest import Nearest, as_query, batches
from perdure.stores.vectors.protocols import (
    Change,
    ChunkRow,
    Damage,
    DocumentRow,
    Generation,
    Query,
    checksum_of,
    sealed_each,
)
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
from perdure.stores.vectors.sqlite_words import ranked_by_words
from perdure.stores.vectors.standing import ChunkBatch

_SCHEMA = (
    *RECORD_SCHEMA,
    """CREATE TABLE IF NOT EXISTS chunks (
        key INTEGER PRIMARY KEY AUTOINCREMENT, born INTEGER NOT NULL, died INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL,
        position INTEGER NOT NULL, "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, digest TEXT NOT NULL, form TEXT NOT NULL,
        embedder TEXT NOT NULL, chunker TEXT NOT NULL, checksum INTEGER NOT NULL, parent_start INTEGER, parent_end INTEGER,
        text TEXT NOT NULL, context TEXT NOT NULL, vector BLOB NOT NULL, data BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS chunks_alive ON chunks (document) WHERE died = 0",
    "CREATE INDEX IF NOT EXISTS chunks_born ON chunks (born)",
    "CREATE INDEX IF NOT EXISTS chunks_dead ON chunks (died) WHERE died > 0",
    WORDS_TABLE,
)
"""AUTOINCREMENT: a key is never given twice, so that who kept one never reads another chunk by it."""
FORMAT = SqliteFormat("documents and chunks of an index", 2, _SCHEMA, private=True, page_bytes=8192, otherwise=ANEW)
_COLUMNS = """
key, document, position, "start", "end", text, context, digest, form, vector, embedder, chunker, checksum, parent_start,
data, born, died, parent_end
"""
_BY_KEY = f"SELECT {_COLUMNS} FROM chunks WHERE key IN (SELECT value FROM json_each(?))"  # noqa: S608 - of our own words
_OF = f"""
SELECT {_COLUMNS} FROM chunks WHERE died = 0 AND document IN (SELECT value FROM json_each(?)) ORDER BY key
"""  # noqa: S608
_ALL = f"SELECT {_COLUMNS} FROM chunks WHERE {ALIVE} AND (:last IS NULL OR key > :last) ORDER BY key"  # noqa: S608
_STANDING = f"""
SELECT key, document, position, "start", "end", parent_start, form, digest, embedder, chunker, text, context, data, vector,
    checksum, parent_end
FROM chunks WHERE {ALIVE} AND (:last IS NULL OR key > :last) ORDER BY key
"""  # noqa: S608
"""After the key all that is sealed, in the order of `checksum_of`, so that of most rows a slice is what is summed."""
_SEALED = itemgetter(slice(1, 14))
_IN_ORDER = itemgetter(0, 1, 2, 3, 4, 10, 11, 7, 6, 13, 8, 9, 14, 5, 12)
"""From a row of `_STANDING` to the first of `_COLUMNS`."""
_CHANGED = f"""
SELECT {_COLUMNS} FROM chunks WHERE key IN (
    SELECT key FROM chunks WHERE born > :after AND born <= :at
    UNION SELECT key FROM chunks WHERE died > :after AND died > 0 AND died <= :at
) AND (:last IS NULL OR key > :last) ORDER BY key
"""  # noqa: S608
_INSERT = """
INSERT INTO chunks (key, born, document, position, "start", "end", digest, form, embedder, chunker, checksum, parent_start,
    parent_end, text, context, vector, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_VECTORS = f"SELECT key, document, vector FROM chunks WHERE {ALIVE} AND vector <> x''"  # noqa: S608
_WORDS = f"""
SELECT chunks.key, document, -bm25(words) FROM words JOIN chunks ON chunks.key = words.rowid
WHERE words MATCH :words AND {ALIVE} ORDER BY bm25(words), chunks.key
"""  # noqa: S608
_TYPES = (int, str, int, int, int, str, str, str, str, bytes, str, str, int)
"""Of the columns up to the checksum: SQLite keeps whatever it is given, from whoever opens the file."""
_KINDS: Sequence[AbstractSet[type]] = [
    *({kind} for kind in _TYPES),
    {int, NoneType},
    {bytes},
    {int},
    {int},
    {int, NoneType},
]
"""Of all columns."""
_FORCE: Mapping[type, Callable[[Any], Any]] = {int: lambda _: -1, str: str, bytes: lambda value: str(value).encode()}
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
                rows = [
                    _as_row(row, key + begin + i, number)
                    for i, row in enumerate(change.chunks[begin : begin + _AT_ONCE])
                ]
                connection.executemany(_INSERT, rows)
                connection.executemany(
                    "INSERT INTO words (rowid, folded) VALUES (?, ?)", [(row[0], _words(row)) for row in rows]
                )
            [n_chunks] = connection.execute("SELECT count(*) FROM chunks WHERE died = 0").fetchone()
            return self._record.finish(connection, change, number, n_chunks)

    def documents(self, as_of: int = 0) -> Iterator[DocumentRow]:
        """The record of documents, by id."""
        return self._record.documents(as_of)

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
                yield from _as_chunks(rows)

    def standing(self, as_of: int = 0) -> Iterator[ChunkBatch]:
        """Chunks of a generation by columns, held against their checksums."""
        with self._record.snapshot(as_of) as (connection, at):
            for rows in batches_of(connection, _STANDING, {"at": at}):
                yield _standing(rows)

    def fetch(self, keys: Sequence[int]) -> list[ChunkRow | None]:
        """By key, alive or dead, in order; None where it is not there."""
        with self._record.reading() as connection:
            rows = connection.execute(_BY_KEY, (str([int(key) for key in keys]),)).fetchall()
        found = {row.key: row for row in _as_chunks(rows)}
        return [found.get(key) for key in keys]

    def chunks_of(self, documents: Sequence[str]) -> list[ChunkRow]:
        """Chunks that are alive now, of those documents, by key."""
        with self._record.reading() as connection:
            return _as_chunks(connection.execute(_OF, (json.dumps(list(documents)),)).fetchall())

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
                rows = ((key, found) for key, id_, found in connection.execute(_VECTORS, {"at": at}) if id_ in findable)
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


def _as_row(row: ChunkRow, key: int, number: int) -> tuple[object, ...]:
    if len(row.vector) % 4:
        raise BadIndex(
            f"Chunk {row.position} of {row.document!r} has a vector of {len(row.vector)} bytes, which is not float32.",
            hint="Give little-endian float32.",
        )
    begin, end = row.parent or (None, None)
    place = (row.document, row.position, row.start, row.end, row.digest, row.form, row.embedder, row.chunker)
    return (key, number, *place, checksum_of(row), begin, end, row.text, row.context, row.vector, row.data)


def _words(row: tuple[object, ...]) -> str:
    return words_text(str(row[14]), str(row[13]))


def _as_chunks(rows: Sequence[tuple[Any, ...]]) -> list[ChunkRow]:
    """Rows as chunks. Types are looked at by columns, which takes half the time."""
    columns = zip(*rows, strict=True)
    as_written = all({*map(type, values)} <= kinds for values, kinds in zip(columns, _KINDS, strict=False))
    return list(map(_as_chunk, rows if as_written else map(_forced, rows)))


def _as_chunk(row: tuple[Any, ...]) -> ChunkRow:
    if row[13] is None:
        return ChunkRow(*row[:-1])
    told: tuple[Any, ...] = (*row[:13], (row[13], row[-1]), *row[14:-1])
    return ChunkRow(*told)


def _standing(rows: Sequence[tuple[Any, ...]]) -> ChunkBatch:
    """Rows of `_STANDING` by columns. What is no number, or no bytes, is damaged though its sum may fit."""
    keys, documents, positions, _, _, parents, _, *facts = zip(*rows, strict=True)
    digests, embedders, chunkers, _, _, _, vectors, checksums, *_ = facts
    plain = parents.count(None) == len(rows)
    whole = map(_SEALED, rows) if plain else map(_sealed_members, rows)
    typed = {*map(type, positions)} == {int} and {*map(type, vectors)} == {bytes}
    intact = typed and tuple(sealed_each(whole)) == checksums

    def row(place: int) -> ChunkRow:
        told = (*_IN_ORDER(rows[place]), 0, 0, rows[place][15])
        return _as_chunk(told) if intact else _as_chunks([told])[0]

    return ChunkBatch(keys, documents, positions, digests, embedders, chunkers, vectors, intact, row)


def _sealed_members(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return _SEALED(row) if row[5] is None else (*row[1:5], (row[5], row[15]), *row[6:14])


def _forced(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with damaged columns as a chunk still: its checksum tells that it is none."""
    told = [value if type(value) is kind else _FORCE[kind](value) for value, kind in zip(row, _TYPES, strict=False)]
    return (*told, row[13], row[14] if type(row[14]) is bytes else b"", *row[15:])
