"""Chunks as rows of an index in SQLite: `sqlite` asks for the columns that are named here, and gets them read here.

A census reads every row, and each column of one costs it as much as 500 bytes. So all that is a chunk's own lies in one column, as it is
summed (`packing`); and form, embedder and chunker, which are the same of thousands of chunks, in a table of their own, the `makings`,
which is read once. A chunk's checksum begins with its making: where that is damaged, no chunk of it is intact.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from perdure.core.errors import BadIndex
from perdure.stores.vectors.packing import NO_VECTORS, Making, are_intact, begun, pack, packed_places, unpack
from perdure.stores.vectors.protocols import ChunkRow
from perdure.stores.vectors.standing import ChunkBatch

CHUNKS_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS makings (
        id INTEGER PRIMARY KEY, form TEXT NOT NULL, embedder TEXT NOT NULL, chunker TEXT NOT NULL, UNIQUE (form, embedder, chunker)
    )""",
    """CREATE TABLE IF NOT EXISTS chunks (
        key INTEGER PRIMARY KEY AUTOINCREMENT, born INTEGER NOT NULL, died INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL,
        making INTEGER NOT NULL, packed BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS chunks_alive ON chunks (document) WHERE died = 0",
    "CREATE INDEX IF NOT EXISTS chunks_born ON chunks (born)",
    "CREATE INDEX IF NOT EXISTS chunks_dead ON chunks (died) WHERE died > 0",
)
"""AUTOINCREMENT: a key is never given twice, so that who kept one never reads another chunk by it."""
CHUNKS = "chunks LEFT JOIN makings ON makings.id = chunks.making"
COLUMNS = "key, document, packed, form, embedder, chunker, born, died"
"""Of `CHUNKS`, for `as_chunk`."""
STANDING = "key, document, packed, making"
"""Of `chunks`, for `as_standing`."""
_INSERT = "INSERT INTO chunks (key, born, document, making, packed) VALUES (?, ?, ?, ?, ?)"
_MAKING = "SELECT id FROM makings WHERE form = ? AND embedder = ? AND chunker = ?"
_NOBODY = ("", "", "")


def makings_of(connection: sqlite3.Connection) -> dict[object, Making]:
    """All makings, as they stand there, by id."""
    rows = connection.execute("SELECT id, form, embedder, chunker FROM makings")
    return {id_: (form, embedder, chunker) for id_, form, embedder, chunker in rows}


def making_id(connection: sqlite3.Connection, making: Making) -> int:
    """The id of a making, within the writer's transaction; it is written where it is not known."""
    found = connection.execute(_MAKING, making).fetchone()
    if found is not None:
        return int(found[0])
    return int(
        connection.execute("INSERT INTO makings (form, embedder, chunker) VALUES (?, ?, ?)", making).lastrowid or 0
    )


def insert_chunks(connection: sqlite3.Connection, rows: Sequence[ChunkRow], key: int, number: int) -> None:
    """Write chunks of a generation, with keys from `key` on, within the writer's transaction.

    Raises:
        BadIndex: a vector that is half a float.
    """
    made = {each: making_id(connection, each) for each in {(row.form, row.embedder, row.chunker) for row in rows}}
    told = [_as_row(row, key + i, number, made[row.form, row.embedder, row.chunker]) for i, row in enumerate(rows)]
    connection.executemany(_INSERT, told)


def as_chunk(row: Sequence[Any]) -> ChunkRow:
    """A row of `COLUMNS`. Of one that is damaged what can be told: its checksum tells that it is none."""
    key, document, packed, form, embedder, chunker, born, died = row
    position, vector, (start, end, parent, digest, text, context, data), checksum = unpack(packed)
    return ChunkRow(
        key,
        _text(document),
        position,
        start,
        end,
        text,
        context,
        digest,
        _text(form),
        vector,
        _text(embedder),
        _text(chunker),
        checksum,
        parent,
        data,
        born,
        died,
    )


def as_standing(rows: Sequence[tuple[Any, ...]], makings: Mapping[object, Making]) -> ChunkBatch:
    """Rows of `STANDING` by columns. Where they do not match their checksums, or their vectors differ in length, it has no vectors."""
    keys, documents, packed, made = zip(*rows, strict=True)
    known = {id_: makings.get(id_, _NOBODY) for id_ in {*made}}
    before = {id_: begun(making) for id_, making in known.items()}
    begin = repeat(before[made[0]]) if len(before) == 1 else map(before.__getitem__, made)
    try:
        intact = are_intact(documents, packed, begin)
    except TypeError:
        # A document is no text, or what was packed no bytes.
        intact = False
    positions, vectors = packed_places(packed) if intact else (np.empty(0, np.int64), NO_VECTORS)

    def row(place: int) -> ChunkRow:
        return as_chunk((*rows[place][:3], *known[made[place]], 0, 0))

    embedders, chunkers = {each[1] for each in known.values()}, {each[2] for each in known.values()}
    return ChunkBatch(keys, documents, positions, vectors, embedders, chunkers, intact, row)


def _as_row(row: ChunkRow, key: int, number: int, making: int) -> tuple[object, ...]:
    if len(row.vector) % 4:
        raise BadIndex(
            f"Chunk {row.position} of {row.document!r} has a vector of {len(row.vector)} bytes, which is not float32.",
            hint="Give little-endian float32.",
        )
    return (key, number, row.document, making, pack(row))


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)
