"""Chunks as rows of a LanceDB table. Used by `lancedb` only; pyarrow comes with that extra.

A vector with a direction lies in the column that is searched. One of zeros, of numbers that are none, or of another length lies
in `odd` as it was given: it is never found, and a census sees it as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perdure.core.errors import BadIndex, MissingExtra
from perdure.core.texts.tokens import words
from perdure.stores.vectors.protocols import ChunkRow, checksum_of

try:
    import pyarrow as pa
except ImportError as error:
    raise MissingExtra("lancedb", needed_for="An index in LanceDB") from error

WITHOUT_VECTOR = pa.schema(
    [
        *(pa.field(name, pa.int64()) for name in ("key", "born", "died", "name")),
        pa.field("document", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("position", "start", "end")),
        *(pa.field(name, pa.string()) for name in ("text", "context", "digest", "form", "embedder", "chunker")),
        *(pa.field(name, pa.int64()) for name in ("checksum", "parent_start", "parent_end")),
        pa.field("data", pa.large_binary()),
        pa.field("odd", pa.binary()),
        pa.field("folded", pa.string()),
    ]
)
"""`vector` is added with the first chunk that has one: its length is not known before."""


def vector_field(n_dimensions: int) -> Any:
    """The column of vectors."""
    return pa.field("vector", pa.list_(pa.float32(), n_dimensions))


def folded_text(context: str, text: str) -> str:
    """What a chunk is found by."""
    return " ".join(words(f"{context}\n{text}"))


def sized(schema: Any, n_dimensions: int) -> bool:
    """Whether vectors of so many dimensions can be compared; False: there are none at all.

    Raises:
        BadIndex: those that there are have another length.
    """
    if "vector" not in schema.names:
        return False
    there = schema.field("vector").type.list_size
    if there != n_dimensions:
        raise BadIndex(
            f"A question of {n_dimensions} dimensions, and vectors of {there}.",
            hint="Embed the question by the index's own embedder.",
        )
    return True


def as_table(rows: Sequence[ChunkRow], key: int, number: int, names: Mapping[str, int], schema: Any) -> Any:
    """New rows of generation `number`, with keys from `key` on.

    Raises:
        BadIndex: a vector that is half a float.
    """
    for row in rows:
        if len(row.vector) % 4:
            raise BadIndex(
                f"Chunk {row.position} of {row.document!r} has a vector of {len(row.vector)} bytes, which is not float32.",
                hint="Give little-endian float32.",
            )
    size = schema.field("vector").type.list_size if "vector" in schema.names else 0
    fit = [_has_direction(row.vector, size) for row in rows]
    columns: dict[str, Any] = {
        "key": range(key, key + len(rows)),
        "born": [number] * len(rows),
        "died": [0] * len(rows),
        "name": [names[row.document] for row in rows],
        "checksum": [checksum_of(row) for row in rows],
        "parent_start": [row.parent and row.parent[0] for row in rows],
        "parent_end": [row.parent and row.parent[1] for row in rows],
        "odd": [None if fits else row.vector for row, fits in zip(rows, fit, strict=True)],
        "folded": [folded_text(row.context, row.text) for row in rows],
        "vector": [np.frombuffer(row.vector, "<f4") if fits else None for row, fits in zip(rows, fit, strict=True)],
    }
    return pa.table(
        [pa.array(columns.get(each.name) or [getattr(row, each.name) for row in rows], each.type) for each in schema],
        schema=schema,
    )


def as_chunk(row: Mapping[str, Any], newest: int) -> ChunkRow:
    """A row of the table as a chunk; a death in a generation after the newest was never committed."""
    begin = row["parent_start"]
    return ChunkRow(
        key=row["key"],
        document=row["document"],
        position=row["position"],
        start=row["start"],
        end=row["end"],
        text=row["text"],
        context=row["context"],
        digest=row["digest"],
        form=row["form"],
        vector=row["odd"] if row["odd"] is not None else np.asarray(row["vector"], "<f4").tobytes(),
        embedder=row["embedder"],
        chunker=row["chunker"],
        checksum=row["checksum"],
        parent=None if begin is None else (begin, row["parent_end"]),
        data=row["data"],
        born=row["born"],
        died=row["died"] if row["died"] <= newest else 0,
    )


def _has_direction(vector: bytes, size: int) -> bool:
    if len(vector) != 4 * size or not size:
        return False
    numbers = np.frombuffer(vector, "<f4")
    return bool(numbers.any() and np.isfinite(numbers).all())
