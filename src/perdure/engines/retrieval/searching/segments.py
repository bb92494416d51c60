"""A stretch of an index in memory that never changes: keys, documents, vectors and words of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import BadIndex
from perdure.engines.retrieval.searching.postings import BATCH, Postings, counted, merged
from perdure.engines.retrieval.searching.protocols import Row
from perdure.engines.retrieval.searching.terms import chunk_words, numbers_of
from perdure.engines.retrieval.searching.vectors import (
    Precision,
    Vectors,
    compressed,
    merged_vectors,
    read_vectors,
    with_precision,
)

_Array = TypeVar("_Array", bound=NDArray[Any])


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """n rows, by key."""

    keys: NDArray[np.int64]
    """Ascending."""
    owners: NDArray[np.uint64]
    """Hash of each row's document."""
    vectors: Vectors
    postings: Postings

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.keys)

    @property
    def n_bytes(self) -> int:
        """Of memory, or of a file where it is mapped."""
        exact = self.vectors.exact
        own = (self.keys, self.owners)
        flat = (self.vectors.bits, self.vectors.small, self.vectors.scales, self.vectors.present)
        words = (self.postings.terms, self.postings.starts, self.postings.rows, self.postings.counts)
        n_bytes = sum(each.nbytes for each in own) + sum(each.nbytes for each in flat)
        return n_bytes + sum(each.nbytes for each in words) + (0 if exact is None else exact.nbytes)


@dataclass(frozen=True, slots=True)
class Room:
    """How exact vectors are kept."""

    dimensions: int
    """0: of the first vector that comes."""
    exact_bytes: int
    """Exact vectors up to so much are kept in memory: as float32, as float16, or not at all."""

    def precision(self, n: int) -> Precision:
        """For n rows."""
        size = n * self.dimensions
        if 4 * size <= self.exact_bytes:
            return "float32"
        return "float16" if 2 * size <= self.exact_bytes else "none"


def built(rows: Iterable[Row], room: Room) -> tuple[Segment, Room]:
    """A segment of rows that come by key, and the room with their dimensions.

    Memory: some 150 bytes a row over what the segment itself takes. Cost: 70 µs a row, most of it splitting words.

    Raises:
        BadIndex: keys do not rise.
    """
    growing = _Growing()
    parts: list[Postings] = []
    for batch in _batches(rows):
        if not room.dimensions:
            first = next((len(row.vector) // 4 for row in batch if row.vector), 0)
            room = Room(first, room.exact_bytes)
        growing.add(batch, room)
        parts.append(counted([chunk_words(row.context, row.text) for row in batch]))
    postings = merged(parts, [None] * len(parts))
    return growing.finished(postings, room), room


def joined(segments: Sequence[Segment], kept: Sequence[NDArray[np.bool_] | None], room: Room) -> Segment:
    """One segment of the rows that stay. Cost: 10 µs a row of 384 dimensions and 60 words."""
    keys = [segment.keys if keep is None else segment.keys[keep] for segment, keep in zip(segments, kept, strict=True)]
    owners = [
        segment.owners if keep is None else segment.owners[keep] for segment, keep in zip(segments, kept, strict=True)
    ]
    all_keys = np.concatenate(keys)
    _check_rising(all_keys)
    return Segment(
        all_keys,
        np.concatenate(owners),
        merged_vectors([segment.vectors for segment in segments], kept, room.precision(len(all_keys))),
        merged([segment.postings for segment in segments], kept),
    )


class _Growing:
    """Arrays that grow where they lie: building a large index needs no second copy of its vectors."""

    def __init__(self) -> None:
        self._n = 0
        self._keys: list[NDArray[np.int64]] = []
        self._owners: list[NDArray[np.uint64]] = []
        self._bits: list[NDArray[np.uint64]] = []
        self._rest: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
        self._small = np.zeros((0, 0), dtype=np.int8)
        self._exact: NDArray[np.float32] | NDArray[np.float16] | None = np.zeros((0, 0), dtype=np.float32)

    def add(self, batch: Sequence[Row], room: Room) -> None:
        """Rows by key."""
        self._keys.append(np.array([row.key for row in batch], dtype=np.int64))
        self._owners.append(_owners(batch))
        begin, self._n = self._n, self._n + len(batch)
        rows, present = read_vectors([row.vector for row in batch], room.dimensions)
        precision = room.precision(self._n)
        made = compressed(rows, present, "none")
        self._bits.append(made.bits)
        self._rest.append((made.scales, present))
        # Rows of earlier batches without any vector have no width yet: they become zeros.
        self._small = _grown(self._small, self._n, made.small.shape[1])
        self._small[begin:] = made.small
        exact = with_precision(self._exact, precision)
        if exact is not None:
            exact = _grown(exact, self._n, room.dimensions)
            exact[begin:] = rows
        self._exact = exact

    def finished(self, postings: Postings, room: Room) -> Segment:
        """All that was added."""
        width = (room.dimensions + 63) // 64
        keys = np.concatenate([np.zeros(0, np.int64), *self._keys])
        _check_rising(keys)
        wide = [each if len(each) else np.zeros((width, each.shape[1]), np.uint64) for each in self._bits]
        vectors = Vectors(
            np.concatenate([np.zeros((width, 0), np.uint64), *wide], axis=1),
            self._small,
            np.concatenate([np.zeros(0, np.float32), *(scales for scales, _ in self._rest)]),
            self._exact,
            np.concatenate([np.zeros(0, np.bool_), *(present for _, present in self._rest)]),
        )
        return Segment(keys, np.concatenate([np.zeros(0, np.uint64), *self._owners]), vectors, postings)


def widened(segment: Segment, room: Room) -> Segment:
    """The segment with zeros for vectors, where nobody knew how long they would be."""
    if segment.vectors.small.shape[1] or not room.dimensions:
        return segment
    zeros = np.zeros((segment.n, room.dimensions), dtype=np.float32)
    made = compressed(zeros, np.zeros(segment.n, dtype=np.bool_), room.precision(segment.n))
    return replace(segment, vectors=made)


def _grown(array: _Array, n: int, width: int) -> _Array:
    if array.shape[1] != width:
        return cast("_Array", np.zeros((n, width), dtype=array.dtype))
    array.resize((n, width), refcheck=False)
    return array


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    coming = iter(rows)
    while batch := list(islice(coming, BATCH)):
        yield batch


def _owners(batch: Sequence[Row]) -> NDArray[np.uint64]:
    names = list(dict.fromkeys(row.document for row in batch))
    numbers = dict(zip(names, numbers_of(names).tolist(), strict=True))
    return np.array([numbers[row.document] for row in batch], dtype=np.uint64)


def _check_rising(keys: NDArray[np.int64]) -> None:
    if len(keys) > 1 and not (keys[1:] > keys[:-1]).all():
        raise BadIndex("Chunks do not come by rising keys.", hint="Give them as `IndexStore.chunks` does.")
