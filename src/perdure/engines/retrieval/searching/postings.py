"""Which rows have which words, and how often: what BM25 is computed from, in flat arrays.

Counts are kept as they are, and lengths beside them: nothing here depends on how many rows there are or how long they are on average,
so parts are merged without looking at a text again, and who may read less is ranked by less. 5 bytes a word and row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.engines.retrieval.searching.terms import numbers_of

BATCH = 8_192
"""Rows that are counted at once: their places fit in 16 bits meanwhile."""
MOST_COUNTED = 255
"""Times a word counts in one row: BM25 tells 255 from more by less than 0.5%."""
_AT_ONCE = 4_000_000
"""Entries that are moved at once: merging needs no second copy of large postings."""


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Words of n rows. Rows of a word ascend."""

    terms: NDArray[np.uint64]
    """Numbers of words, ascending, shape (t,)."""
    starts: NDArray[np.int64]
    """Where each word's entries begin, shape (t + 1,)."""
    rows: NDArray[np.uint32] | NDArray[np.uint16]
    counts: NDArray[np.uint8]
    """How often the word is in the row, at most 255."""
    lengths: NDArray[np.int32]
    """Words of each row, shape (n,)."""

    def find(self, terms: NDArray[np.uint64]) -> list[tuple[int, int]]:
        """Begin and end of each word's entries; equal where no row has it."""
        if not len(self.terms):
            return [(0, 0)] * len(terms)
        at = np.minimum(np.searchsorted(self.terms, terms), len(self.terms) - 1)
        known = self.terms[at] == terms
        begins, ends = self.starts[at], self.starts[at + 1]
        return [
            (int(begin), int(end)) if is_known else (0, 0)
            for begin, end, is_known in zip(begins, ends, known, strict=True)
        ]


class _Numbered(dict[str, int]):
    """A number for each word, in the order they come."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def counted(texts: Sequence[Sequence[str]]) -> Postings:
    """Postings of up to `BATCH` rows, of their words. Cost: 10 µs for 100 words, without splitting them."""
    vocabulary = _Numbered()
    flat: list[int] = []
    lengths = np.zeros(len(texts), dtype=np.int32)
    for i, found in enumerate(texts):
        flat.extend(map(vocabulary.__getitem__, found))
        lengths[i] = len(found)
    numbers = numbers_of(list(vocabulary))
    terms, ranks = np.unique(numbers, return_inverse=True)
    rows = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    entries, counts = np.unique(ranks[np.array(flat, dtype=np.int64)] * BATCH + rows, return_counts=True)
    starts = np.searchsorted(entries, np.arange(len(terms) + 1, dtype=np.int64) * BATCH)
    return Postings(
        terms,
        starts.astype(np.int64),
        (entries % BATCH).astype(np.uint16),
        np.minimum(counts, MOST_COUNTED).astype(np.uint8),
        lengths,
    )


def merged(parts: Sequence[Postings], kept: Sequence[NDArray[np.bool_] | None]) -> Postings:
    """The rows of all parts one after another; `kept`: which rows of a part stay, None: all.

    Cost: 15 ns an entry.
    """
    lengths = [part.lengths if keep is None else part.lengths[keep] for part, keep in zip(parts, kept, strict=True)]
    terms = _union([part.terms for part in parts])
    frequencies = np.zeros(len(terms), dtype=np.int64)
    places = [np.searchsorted(terms, part.terms) for part in parts]
    for part, keep, place in zip(parts, kept, places, strict=True):
        for first, begin, ends, _ in _pieces(part):
            frequencies[place[first : first + len(ends)]] += np.diff(_left(part, keep, begin, ends), prepend=0)
    cursor = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(frequencies)])
    rows = np.empty(int(cursor[-1]), dtype=np.uint32)
    counts = np.empty(int(cursor[-1]), dtype=np.uint8)
    starts, offset = cursor.copy(), 0
    for part, keep, place, length in zip(parts, kept, places, lengths, strict=True):
        _fill((rows, counts), cursor, part, keep, (place, offset))
        offset += len(length)
    alive = frequencies > 0
    return Postings(terms[alive], np.append(starts[:-1][alive], starts[-1]), rows, counts, _joined(lengths))


def _joined(lengths: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    return np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int32)


def _union(terms: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.unique(np.concatenate(terms)) if terms else np.zeros(0, dtype=np.uint64)


def _pieces(part: Postings) -> Iterator[tuple[int, int, NDArray[np.int64], int]]:
    """First word, first entry, ends of each word within it, and last entry, of pieces of some million entries."""
    first = 0
    while first < len(part.terms):
        begin = int(part.starts[first])
        last = max(first + 1, int(np.searchsorted(part.starts, begin + _AT_ONCE, side="right")) - 1)
        yield first, begin, part.starts[first + 1 : last + 1], int(part.starts[last])
        first = last


def _left(part: Postings, keep: NDArray[np.bool_] | None, begin: int, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entries that stay, from `begin` up to each end."""
    if keep is None:
        return ends - begin
    stays = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep[part.rows[begin : int(ends[-1])]])])
    found: NDArray[np.int64] = stays[ends - begin]
    return found


def _fill(
    into: tuple[NDArray[np.uint32], NDArray[np.uint8]],
    cursor: NDArray[np.int64],
    part: Postings,
    keep: NDArray[np.bool_] | None,
    where: tuple[NDArray[np.int64], int],
) -> None:
    place, offset = where
    renumbered = None if keep is None else (np.cumsum(keep) - 1).astype(np.int64)
    for first, begin, ends, end in _pieces(part):
        sizes = np.diff(_left(part, keep, begin, ends), prepend=0)
        own = place[first : first + len(ends)]
        old, counts = part.rows[begin:end], part.counts[begin:end]
        if keep is not None:
            stays = keep[old]
            old, counts = old[stays], counts[stays]
        new = (old.astype(np.int64) if renumbered is None else renumbered[old]) + offset
        target = np.repeat(cursor[own] - (np.cumsum(sizes) - sizes), sizes) + np.arange(len(new))
        into[0][target] = new
        into[1][target] = counts
        cursor[own] += sizes
