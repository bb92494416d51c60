"""The index's half of a census: every chunk as it really stands, against its checksum, its document's record and what it should be.

A batch in which nothing is wrong is found so by its columns, and costs no look at a row; in any other each row is judged.

What surprised us: a text that was changed together with its checksum is found by its digest alone, which costs more than all else, so
that a census computes it of some chunks, others each time, and a deep one of all. And a row whose document was overwritten is an
orphan there and a loss at the document that it was of: both are told, and one repair heals both.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Content
from perdure.engines.retrieval.census import Expected
from perdure.engines.retrieval.protocols import Recorded, Standing, StandingBatch
from perdure.engines.retrieval.skew import Skew

_NORM_TOLERANCE = 1e-3
"""Of a vector's length; float32 leaves some 1e-7."""
SAME = 0.985
"""Least cosine of a vector to the same text embedded anew: quantised models that look at a whole batch differ by 0.0105 at most
between batch sizes (all-MiniLM-L6-v2, dynamic int8); another model is below 0.9."""

TURNS = 24
"""Each census but a deep one looks at the digests of one of so many parts of the chunks."""

_MOST_PLACES = 10_000_000
"""Of a document: more chunks than any has, and fewer than memory has room for."""

Row = TypeVar("Row", bound=Standing)


class ChunkCensus(Generic[Row]):
    """Looks at the chunks of an index, batch by batch.

    Args:
        record: documents by id.
        expected: what chunks should be.
        sample: so many sound chunks are kept, to be embedded anew, and the seed of their choice.
        turn: which of the `TURNS` parts has its digests looked at; None: all have.
    """

    def __init__(
        self,
        record: Mapping[str, Recorded],
        expected: Expected,
        *,
        sample: tuple[int, str] = (0, ""),
        turn: int | None = None,
    ) -> None:
        self._record = record
        self._expected = expected
        self._turn = turn
        self._places = _Places(record)
        self._recut: set[str] = set()
        self._sample = _Sample[Row](*sample)
        self.n_chunks = 0
        self.skews: list[Skew] = []

    @property
    def sample(self) -> list[Row]:
        """Of the sound chunks so far, each as likely."""
        return self._sample.rows

    def add(self, batch: StandingBatch[Row]) -> Sequence[int]:
        """Judge a batch, in the order of keys; the places in it of those that are sound. Cost: some 1 µs a chunk of 384 dimensions."""
        places = range(len(batch.keys))
        self.n_chunks += len(places)
        sound = places if self._is_sound(batch) else self._sound(batch)
        self._sample.offer(sound, batch.row)
        return sound

    def finish(self) -> list[Skew]:
        """Every finding, with the chunks that documents of the record lack, and those documents that were cut otherwise."""
        present = self._places.counts()
        if (
            not present
            and not self._recut
            and {row.chunker for row in self._record.values()} <= {self._expected.chunker}
        ):
            return self.skews
        for id_, row in self._record.items():
            if row.damaged:
                continue
            n_there = present.get(id_, row.n_chunks)
            if n_there < row.n_chunks:
                why = f"{row.n_chunks - n_there} of its {row.n_chunks} chunks are not in the index."
                self.skews.append(Skew("missing", id_, why=why, part="chunk"))
            if id_ in self._recut or (row.n_chunks and row.chunker != self._expected.chunker):
                self.skews.append(Skew("wrong_chunker", id_, why="It was cut by another chunker or parser."))
        return self.skews

    def _is_sound(self, batch: StandingBatch[Row]) -> bool:
        """Whether nothing at all is wrong, and then what is there is noted."""
        expected = self._expected
        return (
            batch.intact
            and batch.embedders == {expected.embedder}
            and batch.chunkers == {expected.chunker}
            and are_vectors(batch.vectors, len(batch.keys), expected.dimensions)
            and all(self._is_embedded(batch.row(place)) for place in self._looked_at(batch.keys))
            and self._places.take_all(batch.documents, batch.positions, batch.keys)
        )

    def _looked_at(self, keys: Sequence[int]) -> Sequence[int]:
        """Places of the chunks whose digests are looked at."""
        turn = self._turn
        if turn is None:
            return range(len(keys))
        if keys[-1] - keys[0] == len(keys) - 1:
            return range((turn - keys[0]) % TURNS, len(keys), TURNS)
        return [place for place, key in enumerate(keys) if key % TURNS == turn]

    def _is_embedded(self, row: Row) -> bool:
        return content_digest(row) == row.digest

    def _sound(self, batch: StandingBatch[Row]) -> list[int]:
        """Places of those that are sound; each is judged."""
        rows = [batch.row(place) for place in range(len(batch.keys))]
        judged = list(map(self._fault, rows, vector_faults([row.vector for row in rows], self._expected.dimensions)))
        self.skews += filter(None, judged)
        return [place for place, fault in enumerate(judged) if fault is None]

    def _fault(self, row: Row, vector_fault: str) -> Skew | None:
        document = self._record.get(row.document)
        if document is None:
            return _of(row, "orphan", "Its document is not in the record.")
        within = row.position >= 0 and (row.position < document.n_chunks or document.damaged)
        before = self._places.take(row) if within else None
        if self._expected.checksum(row) != row.checksum:
            return _of(row, "corrupt", "It does not match its checksum.")
        if not self._is_embedded(row):
            return _of(row, "corrupt", "Its text is not what was embedded.")
        if vector_fault:
            return _of(row, "corrupt", vector_fault)
        if before is not None:
            return self._twice(row, before)
        if not within:
            return _of(row, "orphan", f"Its document has {document.n_chunks} chunks, and it is number {row.position}.")
        if row.embedder != self._expected.embedder:
            return _of(row, "wrong_embedder", "Its vector was made by another embedder.")
        if row.chunker != self._expected.chunker:
            self._recut.add(row.document)
        return None

    def _twice(self, row: Row, before: int) -> Skew:
        if self._expected.digest_at(before) == row.digest:
            return _of(row, "duplicate", "It is in the index twice.")
        why = f"Two different chunks stand at its place {row.position}."
        return Skew("duplicate", row.document, why=why, part="document")


class _Places:
    """At which places of their documents chunks stand, each with the key of the first that stands there.

    Places are numbered: those of a document one after the other, and documents as in the record.
    """

    def __init__(self, record: Mapping[str, Recorded]) -> None:
        self._number = dict(zip(record, range(len(record)), strict=True))
        sizes = np.fromiter((row.n_chunks for row in record.values()), np.int64, len(record))
        self._sizes = np.clip(sizes, 0, _MOST_PLACES)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._taken = np.zeros(int(self._sizes.sum()), np.int32)
        """By place: which of `_keys`, counted from 1; 0: none stands there."""
        self._keys: list[int] = []
        self._beyond: dict[tuple[str, int], int] = {}
        """Of documents of which the record is damaged: nobody knows how many places they have."""

    def take_all(self, documents: Sequence[str], positions: NDArray[np.int64], keys: Sequence[int]) -> bool:
        """Note chunks where each has a place of its own that it should have; else note none. Cost: 0.2 µs each."""
        try:
            numbers = np.fromiter(map(self._number.__getitem__, documents), np.int64, len(documents))
        except KeyError:
            return False
        if (positions < 0).any() or (positions >= self._sizes[numbers]).any():
            return False
        places = self._starts[numbers] + positions
        if self._taken[places].any():
            return False
        turns = np.arange(len(self._keys) + 1, len(self._keys) + 1 + len(keys), dtype=np.int32)
        self._taken[places] = turns
        if (self._taken[places] != turns).any():
            self._taken[places] = 0
            return False
        self._keys += keys
        return True

    def take(self, row: Standing) -> int | None:
        """Note a chunk of a document of the record; the key of the one that stands there already."""
        number = self._number[row.document]
        if row.position >= self._sizes[number]:
            before = self._beyond.setdefault((row.document, row.position), row.key)
            return before if before != row.key else None
        place = int(self._starts[number]) + row.position
        if turn := int(self._taken[place]):
            return self._keys[turn - 1]
        self._keys.append(row.key)
        self._taken[place] = len(self._keys)
        return None

    def counts(self) -> dict[str, int]:
        """How many places of each document are taken; empty where all are."""
        if self._taken.all():
            return {}
        taken = np.concatenate([[0], np.cumsum(self._taken > 0)])
        counted = taken[self._starts + self._sizes] - taken[self._starts]
        return dict(zip(self._number, counted.tolist(), strict=True))


class _Sample(Generic[Row]):
    """A sample of all rows that are offered, each as likely; nothing is drawn for those that it passes by (Li, 1994, algorithm L)."""

    def __init__(self, size: int, seed: str) -> None:
        self.rows: list[Row] = []
        self._size = size
        self._random = random.Random(seed)  # noqa: S311 - a sample, no secret
        self._n_passed = 0
        self._next = size - 1
        self._weight = 1.0
        if size:
            self._skip()

    def offer(self, places: Sequence[int], row: Callable[[int], Row]) -> None:
        """Rows at those places."""
        if not self._size:
            return
        self.rows += map(row, places[: self._size - len(self.rows)])
        while self._next < self._n_passed + len(places):
            self.rows[self._random.randrange(self._size)] = row(places[self._next - self._n_passed])
            self._skip()
        self._n_passed += len(places)

    def _skip(self) -> None:
        """On to the next row that takes another's place."""
        self._weight *= math.exp(math.log(self._drawn()) / self._size)
        self._next += 1 + math.floor(math.log(self._drawn()) / math.log1p(-self._weight))

    def _drawn(self) -> float:
        """Between 0 and 1, and neither."""
        return max(self._random.random(), 2.0**-53)


def are_vectors(vectors: NDArray[np.float32], n: int, dimensions: int) -> bool:
    """Whether so many are vectors, all of them. Cost: 0.15 µs each."""
    if vectors.shape != (n, dimensions):
        return False
    return not any(_vector_fault(vectors[place].tobytes(), 4 * dimensions) for place in _odd(vectors))


def vector_faults(blobs: Sequence[bytes], dimensions: int) -> list[str]:
    """Why each is no vector, empty where it is one: its length in bytes, its numbers, its norm. Cost: 0.3 µs each."""
    size, faults = 4 * dimensions, [""] * len(blobs)
    even = {*map(len, blobs)} == {size}
    for place in _odd(vectors_of(blobs, dimensions)) if even else range(len(blobs)):
        faults[place] = _vector_fault(blobs[place], size)
    return faults


def _odd(vectors: NDArray[np.float32]) -> list[int]:
    """Which are to be looked at closely: by single precision they are not of length 1, as those that are zeros."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(vectors, vectors)
    found: list[int] = np.flatnonzero(~(np.abs(squares - 1.0) <= _NORM_TOLERANCE)).tolist()
    return found


def _vector_fault(blob: bytes, size: int) -> str:
    if len(blob) != size:
        return f"Its vector has {len(blob)} bytes, not {size}."
    norm = float(np.linalg.norm(np.frombuffer(blob, "<f4").astype(np.float64)))
    if norm == 0.0 or abs(norm - 1.0) <= _NORM_TOLERANCE:
        return ""
    return f"Its vector has length {norm:.4g}." if math.isfinite(norm) else "Its vector holds what is no number."


def vectors_of(blobs: Sequence[bytes], dimensions: int) -> NDArray[np.float32]:
    """Rows of equal length as one array, shape (n, dimensions)."""
    return np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), dimensions)


def compare_embedded(rows: Sequence[Standing], again: NDArray[np.float32]) -> list[Skew]:
    """Chunks whose vectors are not what their texts are embedded to now.

    Args:
        rows: sound ones, each with a vector of the length of `again`.
        again: their contents embedded anew, shape (n, dimensions), of length 1 or all zeros.
    """
    if not rows:
        return []
    kept = vectors_of([row.vector for row in rows], again.shape[1])
    cosines = np.einsum("ij,ij->i", kept, again, dtype=np.float64)
    empty = [not one.any() and not other.any() for one, other in zip(kept, again, strict=True)]
    return [
        _of(row, "wrong_embedder", f"Embedded anew its vector is another: cosine {cosine:.3f}.")
        for row, cosine, zero in zip(rows, cosines.tolist(), empty, strict=True)
        if not zero and cosine < SAME
    ]


def content_of(row: Standing) -> Content:
    """What was embedded of a chunk; as `Chunk.content`."""
    return row.data or (f"{row.context}\n\n{row.text}" if row.context else row.text)


def content_digest(row: Standing) -> str:
    """As `Chunk.digest`, of what stands there now."""
    content = content_of(row)
    told = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def _of(row: Standing, kind: str, why: str) -> Skew:
    return Skew(kind, row.document, row.key, why, part="chunk")  # type: ignore[arg-type]
