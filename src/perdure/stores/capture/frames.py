"""The bytes of a segment: frames one after another, each with its length and two checksums.

    magic 4 · length u32 · CRC-32 of the payload · CRC-32 of the twelve bytes before · payload (msgpack)

All numbers are little-endian. The writer and the log share this module. The header has a checksum of
its own because a flipped bit in `length` otherwise looks like a frame that is still being written,
and everything behind it would wait for ever.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

MAGIC = b"\xb6PC1"
_FIELDS = struct.Struct("<4sII")
_CHECK = struct.Struct("<I")
_HEADER = struct.Struct("<4sIII")
HEADER_BYTES = _HEADER.size


class Stretch(NamedTuple):
    """Bytes `start <= offset < end` of a segment and what they are.

    `frame`: a whole frame with right checksums. `bad`: bytes that are no frame, up to the next whole
    one or the end of the data. `torn`: the beginning of a frame whose rest is not there.
    """

    start: int
    end: int
    kind: Literal["frame", "bad", "torn"]


def frame(payload: bytes) -> bytes:
    """`payload` as one frame.

    >>> len(frame(b"abc")) == HEADER_BYTES + 3
    True
    """
    fields = _FIELDS.pack(MAGIC, len(payload), zlib.crc32(payload))
    return fields + _CHECK.pack(zlib.crc32(fields)) + payload


def walk(data: bytes, at: int = 0) -> Iterator[Stretch]:
    """Every stretch of `data` from `at`, in order and without gaps; at most the last one is torn.

    After a bad stretch the walk goes on at the next whole frame: one flipped bit costs one event.
    Cost: about 1 µs a frame.

    >>> [stretch.kind for stretch in walk(frame(b"a") + b"noise" + frame(b"b") + frame(b"c")[:-1])]
    ['frame', 'bad', 'frame', 'torn']
    """
    size = len(data)
    while at < size:
        end = _frame_end(data, at)
        if end is not None and end <= size and _payload_fits(data, at, end):
            yield Stretch(at, end, "frame")
            at = end
            continue
        resume = _next_frame(data, at + 1)
        if resume < size:
            yield Stretch(at, resume, "bad")
        elif _begins_frame(data, at, end):
            yield Stretch(at, size, "torn")
        else:
            yield Stretch(at, size, "bad")
        at = resume


def _frame_end(data: bytes, at: int) -> int | None:
    """Where the frame at `at` says it ends, or None when there is no right header."""
    if len(data) - at < HEADER_BYTES:
        return None
    magic, length, _, check = _HEADER.unpack_from(data, at)
    if magic != MAGIC or check != zlib.crc32(data[at : at + _FIELDS.size]):
        return None
    return at + HEADER_BYTES + int(length)


def _payload_fits(data: bytes, at: int, end: int) -> bool:
    return bool(_HEADER.unpack_from(data, at)[2] == zlib.crc32(data[at + HEADER_BYTES : end]))


def _begins_frame(data: bytes, at: int, end: int | None) -> bool:
    """True when the bytes from `at` to the end of `data` can be the first part of a frame."""
    if end is not None:
        return end > len(data)
    head = data[at : at + len(MAGIC)]
    return len(data) - at < HEADER_BYTES and MAGIC.startswith(head)


def _next_frame(data: bytes, at: int) -> int:
    """Start of the first whole frame at or after `at`, or the length of `data`."""
    found = data.find(MAGIC, at)
    while found >= 0:
        end = _frame_end(data, found)
        if end is not None and end <= len(data) and _payload_fits(data, found, end):
            return found
        found = data.find(MAGIC, found + 1)
    return len(data)
