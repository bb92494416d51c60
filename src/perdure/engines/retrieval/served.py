"""What a searcher in memory was made from: of each chunk 64 bits of its digest, so that memory and store can be held against each other.

Serve keeps them beside its searcher, looks every hit up in them before anybody reads it, and tells their digest, by which a census
sees in one comparison whether what is served is what stands in the index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ODD = np.uint64(0x9E3779B97F4A7C15)
_OTHER = np.uint64(0xBF58476D1CE4E5B9)
_HALF = np.uint64(32)


def mark_of(digest: str) -> int:
    """64 bits of a chunk's digest. Cost: 0.8 µs."""
    return int.from_bytes(hashlib.blake2b(digest.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Marks of chunks by key. 16 bytes a chunk."""

    keys: NDArray[np.int64]
    """Ascending, shape (n,)."""
    marks: NDArray[np.uint64]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int]]) -> Marks:
        """Of (key, mark), by key.

        >>> Marks.of([(3, mark_of("a")), (7, mark_of("b"))]).find([7, 8]) == [mark_of("b"), None]
        True
        """
        pairs = list(rows)
        keys = np.fromiter((key for key, _ in pairs), dtype=np.int64, count=len(pairs))
        return cls(keys, np.fromiter((mark for _, mark in pairs), dtype=np.uint64, count=len(pairs)))

    def find(self, keys: Sequence[int]) -> list[int | None]:
        """Marks of those chunks, in order; None: it is not here."""
        if not len(self.keys):
            return [None] * len(keys)
        wanted = np.array(keys, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = self.keys[at] == wanted
        return [int(self.marks[place]) if there else None for place, there in zip(at, known, strict=True)]

    def moved(self, born: Iterable[tuple[int, int]], dead: Iterable[int]) -> Marks:
        """With those that came, whose keys are higher than any here, and without those that are gone."""
        new = Marks.of(sorted(born))
        keys, marks = np.concatenate([self.keys, new.keys]), np.concatenate([self.marks, new.marks])
        gone = np.fromiter(dead, dtype=np.int64)
        left = ~np.isin(keys, gone) if len(gone) else np.ones(len(keys), dtype=np.bool_)
        return Marks(keys[left], marks[left])

    @property
    def digest(self) -> str:
        """Of all of them, 16 hex digits; equal for the same chunks in any order. Cost: 5 ms for 1,000,000.

        >>> Marks.of([(3, 5), (7, 9)]).digest == Marks.of([(3, 5)]).moved([(7, 9)], []).digest
        True
        """
        with np.errstate(over="ignore"):
            mixed = (self.keys.astype(np.uint64) * _ODD) ^ self.marks
            mixed = (mixed ^ (mixed >> _HALF)) * _OTHER
            total = int((mixed ^ (mixed >> _HALF)).sum(dtype=np.uint64))
        return f"{total:016x}"
