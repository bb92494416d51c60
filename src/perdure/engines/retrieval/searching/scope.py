"""What one question may be answered by: which rows it may find, and by which its words are weighed.

Words are weighed by what may be read: how many chunks have a word, how many there are and how long they are on average is counted over
the chunks that the asking groups may read, so nobody's ranking or score tells of what he may not read. A filter leaves the weights
alone: it asks for a part of what may be read. Made once for each pair of groups and filter, and kept while the searcher is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Where
from perdure.engines.retrieval.searching.record import Record
from perdure.engines.retrieval.searching.segments import Segment

K1, B = 1.2, 0.75
"""Of BM25, as in FTS5 and Lucene. Source: Robertson and Zaragoza 2009."""
_FEW = 16
"""Where fewer than one row in so many may be found, these are gathered rather than all compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """Of one segment."""

    readable: NDArray[np.bool_] | None
    """Rows that may be read; None: all."""
    allowed: NDArray[np.bool_] | None
    """Those of them that the filter leaves; None: all."""
    barred: NDArray[np.bool_] | None
    """Rows that no vector may find: not allowed, or without a direction; None: there is none."""
    few: NDArray[np.intp] | None
    """The rows that a vector may find, where they are few; None: they are many."""
    norms: NDArray[np.float32]
    """What a row's length adds below in BM25: k1 (1 - b + b length / mean), shape (n,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Of all segments."""

    reaches: Sequence[Reach]
    n_readable: int
    n_allowed: int


def scope_of(
    segments: Sequence[Segment],
    alive: Sequence[NDArray[np.bool_] | None],
    record: Record,
    numbers: Sequence[NDArray[np.int32]],
    asked: tuple[Where, Sequence[str] | None],
) -> Scope:
    """What a filter and groups leave. Cost: 0.3 ms for 100,000 rows.

    Raises:
        BadIndex: the filter asks for what is no declared field.
    """
    where, groups = asked
    may, holds = record.readable(groups), record.holding(where)
    readable = [_rows(number, living, may) for number, living in zip(numbers, alive, strict=True)]
    n_readable = sum(
        segment.n if mask is None else int(mask.sum()) for segment, mask in zip(segments, readable, strict=True)
    )
    n_words = sum(
        int(segment.postings.lengths.sum(where=True if mask is None else mask, dtype=np.int64))
        for segment, mask in zip(segments, readable, strict=True)
    )
    mean = n_words / n_readable if n_words else 1.0
    reaches = [
        _reach(segment, mask, mask if holds is None else _rows(number, mask, holds), mean)
        for segment, mask, number in zip(segments, readable, numbers, strict=True)
    ]
    n_allowed = sum(
        segment.n if reach.allowed is None else int(reach.allowed.sum())
        for segment, reach in zip(segments, reaches, strict=True)
    )
    return Scope(reaches, n_readable, n_allowed)


def _rows(
    numbers: NDArray[np.int32], among: NDArray[np.bool_] | None, documents: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Rows among `among` whose documents are in the record, and among `documents`."""
    found = numbers >= 0
    if documents is not None:
        found &= np.append(documents, False)[numbers]
    if among is not None:
        found &= among
    return None if found.all() else found


def _reach(
    segment: Segment, readable: NDArray[np.bool_] | None, allowed: NDArray[np.bool_] | None, mean: float
) -> Reach:
    usable = segment.vectors.present if allowed is None else allowed & segment.vectors.present
    n_usable = int(usable.sum())
    norms = (K1 * (1.0 - B) + (K1 * B / mean) * segment.postings.lengths).astype(np.float32)
    return Reach(
        readable,
        allowed,
        None if n_usable == segment.n else ~usable,
        np.flatnonzero(usable) if n_usable * _FEW < segment.n else None,
        norms,
    )
