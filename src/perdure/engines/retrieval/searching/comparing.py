"""Holds what is in memory against the store, row by row and bit by bit, a few rows at a time.

Who serves an index does so in the thread that follows its store, between two looks: signs, 8-bit numbers, exact numbers, documents and
every word with its count. Sums of what stays in memory are made once a round, and again of what came since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.engines.retrieval.searching.digests import row_sums
from perdure.engines.retrieval.searching.protocols import Findable, Row
from perdure.engines.retrieval.searching.record import Column, Record
from perdure.engines.retrieval.searching.searcher import Searcher
from perdure.engines.retrieval.searching.segments import Room, Segment, built
from perdure.engines.retrieval.searching.terms import numbers_of


class Comparison:
    """One round of looks at the searchers of one index; it goes on where a searcher is followed by another."""

    def __init__(self) -> None:
        self._known: list[tuple[Segment, NDArray[np.uint64]]] = []

    def differing(
        self, searcher: Searcher, rows: Sequence[Row], span: tuple[int, int], left_out: Collection[int] = ()
    ) -> dict[int, str]:
        """Key → `missing` in memory, `ghost` of memory alone, or `corrupt`, ascending.

        Args:
            searcher: of a generation.
            rows: the store's of that generation whose keys are in the span, by key.
            span: first key, and the one after the last.
            left_out: keys of which nothing is said, since the store itself is wrong about them.

        Cost: 70 µs a row, and 1 µs a row of the searcher once a round.
        """
        self._follow(searcher)
        own, _ = built(rows, Room(searcher.state.room.dimensions, 0))
        its = dict(zip(own.keys.tolist(), row_sums(own, words=True).tolist(), strict=True))
        exact = {row.key: row.vector for row in rows}
        found: dict[int, str] = {}
        mine: set[int] = set()
        for (segment, sums), living, numbers in zip(
            self._known, searcher.state.alive, searcher.state.numbers, strict=True
        ):
            begin, end = np.searchsorted(segment.keys, span)
            lost = searcher.state.record.numbers(segment.owners[begin:end]) != numbers[begin:end]
            for at in range(int(begin), int(end)):
                if living is not None and not living[at]:
                    continue
                key = int(segment.keys[at])
                mine.add(key)
                if key not in its:
                    found[key] = "ghost"
                elif its[key] != int(sums[at]) or lost[at - begin] or not _is_exact(segment, at, exact.get(key)):
                    found[key] = "corrupt"
        found |= dict.fromkeys(its.keys() - mine, "missing")
        return {key: kind for key, kind in sorted(found.items()) if key not in left_out}

    def _follow(self, searcher: Searcher) -> None:
        """Have sums of every segment; those of a segment that stayed are kept."""
        segments = searcher.state.segments
        if [segment for segment, _ in self._known] == list(segments):
            return
        known = {id(segment): sums for segment, sums in self._known}
        self._known = [
            (segment, known[id(segment)] if id(segment) in known else row_sums(segment, words=True))
            for segment in segments
        ]


def differing_documents(
    record: Record, documents: Sequence[Findable], fields: Iterable[str], left_out: Collection[str] = ()
) -> dict[str, str]:
    """Id → `missing` in memory or `corrupt`: what the record in memory says of who may find it, or of a declared field, is not the store's.

    A document that only memory knows has no id any more, and goes by an empty one: a `ghost`. Of what is left out nothing is said, since
    the store itself is wrong about it. Cost: 5 µs a document.
    """
    own = Record.of(documents, fields)
    if np.array_equal(own.ids, record.ids) and own.columns.keys() == record.columns.keys() and _same(own, record):
        return {}
    names = {
        int(number): each.id for number, each in zip(numbers_of([d.id for d in documents]), documents, strict=True)
    }
    mine, its = _told(record), _told(own)
    found = {names[number]: "missing" for number in its.keys() - mine.keys()}
    found |= {names[number]: "corrupt" for number in mine.keys() & its.keys() if mine[number] != its[number]}
    if mine.keys() - its.keys():
        found[""] = "ghost"
    return {name: kind for name, kind in sorted(found.items()) if name not in left_out}


def _is_exact(segment: Segment, at: int, vector: bytes | None) -> bool:
    """Whether a row's exact vector is the store's; of one that has none, or another length, nothing is said."""
    exact = segment.vectors.exact
    if exact is None or vector is None or len(vector) != 4 * exact.shape[1] or not segment.vectors.present[at]:
        return True
    return bool((np.frombuffer(vector, dtype="<f4").astype(exact.dtype) == exact[at]).all())


def _same(one: Record, other: Record) -> bool:
    if list(one.reader_sets) != list(other.reader_sets) or not np.array_equal(one.readers, other.readers):
        return False
    pairs = [(one.columns[name], other.columns[name]) for name in one.columns]
    return all(list(a.values) == list(b.values) and np.array_equal(a.codes, b.codes) for a, b in pairs)


def _told(record: Record) -> dict[int, Any]:
    """Hashed id → what is known of each document."""
    readers = [record.reader_sets[place] if 0 <= place < len(record.reader_sets) else -1 for place in record.readers]
    columns = [_values(column) for column in record.columns.values()]
    return dict(zip(record.ids.tolist(), zip(readers, *columns, strict=True), strict=True))


def _values(column: Column) -> list[Any]:
    n = len(column.values)
    return [column.values[code] if 0 <= code < n else int(code) for code in column.codes.tolist()]
