"""A searcher in one file, so that a large index is there at once when a process starts: the file is mapped, not read.

What is in it can be built anew from the store, so it is never mended: a file of another version of the index, of another format, cut
short or with one wrong bit is as good as none. The record is not in it: who may read what is always the store's word.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.engines.retrieval.searching.dense import FetchVectors
from perdure.engines.retrieval.searching.postings import Postings
from perdure.engines.retrieval.searching.protocols import Findable
from perdure.engines.retrieval.searching.record import Record
from perdure.engines.retrieval.searching.searcher import Searcher, State, Tuning
from perdure.engines.retrieval.searching.segments import Room, Segment
from perdure.engines.retrieval.searching.vectors import Vectors

_MAGIC = b"perdure search 2"
_ALIGNED = 64


class _Array(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    offset: int


class _Header(msgspec.Struct, frozen=True):
    version: str
    generation: int
    stamp: str
    dimensions: int
    oversample: float
    recall: float | None
    exact_bytes: int
    checksum: int
    n_bytes: int
    arrays: Mapping[str, _Array]


def dump(searcher: Searcher, path: Path, *, version: str, stamp: str = "") -> None:
    """Write the searcher's chunks, whole or not at all. What is heavy or has tombstones is merged for it.

    Args:
        searcher: of any generation.
        path: replaced where it is there.
        version: of the index.
        stamp: anything that tells the generation from another one of the same number, such as the time of its write.

    Raises:
        OSError: the disk is full, or the folder is not there.

    Cost: 1 s for 1,000,000 chunks, and their size on disk.
    """
    state = searcher.state
    if len(state.segments) > 1 or state.alive[0] is not None:
        state = searcher.merged().state
    arrays = _arrays(state.segments[0])
    places, checksum, offset = {}, 0, 0
    for name, array in arrays.items():
        places[name] = _Array(array.dtype.str, array.shape, offset)
        checksum = zlib.crc32(_bytes(array), checksum)
        offset += -(-array.nbytes // _ALIGNED) * _ALIGNED
    header = msgspec.msgpack.encode(
        _Header(
            version,
            state.generation,
            stamp,
            state.room.dimensions,
            state.tuning.oversample,
            state.tuning.recall,
            state.tuning.exact_bytes,
            checksum,
            offset,
            places,
        )
    )
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(_begun(header))
            for array in arrays.values():
                file.write(_bytes(array))
                file.write(b"\0" * (-array.nbytes % _ALIGNED))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(
    path: Path,
    documents: Iterable[Findable],
    *,
    version: str,
    stamps: Mapping[int, str] | None = None,
    fields: Iterable[str] = (),
    fetch: FetchVectors | None = None,
) -> Searcher | None:
    """The searcher that was written, with its generation, or None where there is none that can be trusted.

    Args:
        path: of `dump`.
        documents: the record of the generation that is followed next; the searcher is moved there by what changed since.
        version: of the index, as it was dumped.
        stamps: number → stamp of the generations that the store knows; None: any generation will do.
        fields: as `Searcher.of`; its tuning is as it was.
        fetch: as `Searcher.of`.

    Cost: the file is read once to check it, 0.5 s a gigabyte.
    """
    found = _mapped(path)
    if found is None:
        return None
    header, mapped, begin = found
    if header.version != version or (stamps is not None and stamps.get(header.generation) != header.stamp):
        return None
    arrays = {name: _array(mapped, begin, each) for name, each in header.arrays.items()}
    checksum = 0
    for array in arrays.values():
        checksum = zlib.crc32(_bytes(array), checksum)
    if checksum != header.checksum:
        return None
    tuning = Tuning(header.dimensions, header.exact_bytes, header.oversample, header.recall)
    segment = _segment(arrays)
    record = Record.of(documents, fields)
    room = Room(header.dimensions, tuning.exact_bytes)
    numbers = (record.numbers(segment.owners),)
    return Searcher(State((segment,), (None,), record, numbers, room, tuple(fields), header.generation, tuning, fetch))


def _arrays(segment: Segment) -> dict[str, NDArray[Any]]:
    vectors, postings = segment.vectors, segment.postings
    found: dict[str, NDArray[Any]] = {
        "keys": segment.keys,
        "owners": segment.owners,
        "bits": vectors.bits,
        "small": vectors.small,
        "scales": vectors.scales,
        "present": vectors.present,
        "terms": postings.terms,
        "starts": postings.starts,
        "rows": postings.rows,
        "counts": postings.counts,
        "lengths": postings.lengths,
    }
    if vectors.exact is not None:
        found["exact"] = vectors.exact
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def _segment(arrays: Mapping[str, NDArray[Any]]) -> Segment:
    vectors = Vectors(arrays["bits"], arrays["small"], arrays["scales"], arrays.get("exact"), arrays["present"])
    postings = Postings(arrays["terms"], arrays["starts"], arrays["rows"], arrays["counts"], arrays["lengths"])
    return Segment(arrays["keys"], arrays["owners"], vectors, postings)


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _begun(header: bytes) -> bytes:
    told = _MAGIC + len(header).to_bytes(4, "little") + zlib.crc32(header).to_bytes(4, "little") + header
    return told + b"\0" * (-len(told) % _ALIGNED)


def _mapped(path: Path) -> tuple[_Header, mmap.mmap, int] | None:
    """Header, file and where arrays begin; None where it is no whole file of this format."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    prefix = len(_MAGIC) + 8
    length = int.from_bytes(mapped[len(_MAGIC) : len(_MAGIC) + 4], "little")
    told = mapped[prefix : prefix + length]
    if mapped[: len(_MAGIC)] != _MAGIC or zlib.crc32(told) != int.from_bytes(mapped[prefix - 4 : prefix], "little"):
        return None
    header = msgspec.msgpack.decode(told, type=_Header)
    begin = prefix + length + (-(prefix + length) % _ALIGNED)
    return (header, mapped, begin) if len(mapped) == begin + header.n_bytes else None


def _array(mapped: mmap.mmap, begin: int, told: _Array) -> NDArray[Any]:
    n = int(np.prod(told.shape, dtype=np.int64))
    if not n:
        return np.zeros(told.shape, dtype=told.dtype)
    return np.frombuffer(mapped, dtype=told.dtype, count=n, offset=begin + told.offset).reshape(told.shape)
