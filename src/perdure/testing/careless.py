"""A careless hand in an index's own SQLite file: it changes what a chunk or the record says, and knows nothing of checksums.

All that is a chunk's own lies packed in one column, so SQL needs words for it: `changed(packed, 'text', 'lies')` is what was packed with
another member, and `told(packed, 'position')` a member of it. `recorded(told, 'token', '')` is the same of a row of `documents`.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from perdure.stores.vectors.packing import unpack
from perdure.stores.vectors.recording import Told

_TAIL = ("start", "end", "parent", "digest", "text", "context", "data")


def careless(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, with `changed`, `told` and `recorded`."""
    connection.create_function("changed", 3, changed, deterministic=True)
    connection.create_function("told", 2, told, deterministic=True)
    connection.create_function("recorded", 3, recorded, deterministic=True)
    return connection


def told(packed: bytes, member: str) -> Any:
    """A member of what was packed: `position`, `vector`, `text` …

    >>> told(changed(bytes(16), "text", "lies"), "text")
    'lies'
    """
    return _members(packed)[member]


def changed(packed: bytes, member: str, value: Any) -> bytes:
    """What was packed with another member, of any type: a position may be any eight bytes."""
    told = {**_members(packed), member: value}
    if isinstance(told["checksum"], int):
        told["checksum"] = (told["checksum"] % 2**32).to_bytes(4, "little")
    at, vector = told.pop("position"), told.pop("vector")
    vector = vector.encode() if isinstance(vector, str) else vector
    place = at if isinstance(at, bytes) else int(at).to_bytes(8, "little", signed=True)
    return place + len(vector).to_bytes(8, "little") + vector + msgspec.msgpack.encode(list(told.values()))


def recorded(row: bytes, member: str, value: Any) -> bytes:
    """What the record told of a document with another member; bytes are MessagePack, for what SQL has no words for.

    What was damaged before, so that it cannot be taken apart, stays as it is.

    >>> row = msgspec.msgpack.encode(["a.md", *[None] * 14])
    >>> msgspec.msgpack.decode(recorded(row, "token", "other"))[:3]
    ['a.md', 'other', None]
    """
    try:
        members = msgspec.msgpack.decode(row)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        return row
    members[Told.__struct_fields__.index(member)] = msgspec.Raw(value) if isinstance(value, bytes) else value
    return msgspec.msgpack.encode(members)


def _members(packed: bytes) -> dict[str, Any]:
    position, vector, tail, checksum = unpack(packed)
    return {"position": position, "vector": vector, **dict(zip(_TAIL, tail, strict=True)), "checksum": checksum}
