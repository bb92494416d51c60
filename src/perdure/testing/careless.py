"""A careless hand in an index's own SQLite file: it changes what a chunk says, and knows nothing of checksums.

All that is a chunk's own lies packed in one column, so SQL needs words for it: `changed(packed, 'text', 'lies')` is what was packed with
another member, and `told(packed, 'position')` a member of it.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from perdure.stores.vectors.packing import unpack

_TAIL = ("start", "end", "parent", "digest", "text", "context", "data")


def careless(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, with `changed` and `told`."""
    connection.create_function("changed", 3, changed, deterministic=True)
    connection.create_function("told", 2, told, deterministic=True)
    return connection


def told(packed: bytes, member: str) -> Any:
    """A member of what was packed: `position`, `vector`, `text` …

    >>> told(changed(bytes(16), "text", "lies"), "text")
    'lies'
    """
    position, vector, tail = unpack(packed)
    return {"position": position, "vector": vector, **dict(zip(_TAIL, tail, strict=True))}[member]


def changed(packed: bytes, member: str, value: Any) -> bytes:
    """What was packed with another member, of any type: a position may be any eight bytes."""
    position, vector, tail = unpack(packed)
    told: dict[str, Any] = {"position": position, "vector": vector, **dict(zip(_TAIL, tail, strict=True))}
    told[member] = value
    at, vector = told.pop("position"), told.pop("vector")
    vector = vector.encode() if isinstance(vector, str) else vector
    place = at if isinstance(at, bytes) else int(at).to_bytes(8, "little", signed=True)
    return place + len(vector).to_bytes(8, "little") + vector + msgspec.msgpack.encode(list(told.values()))
