"""A generation of an index in memory, and how it is searched. Built and followed by serve, compared with its store by a census.

A searcher never changes: `moved` gives another one that shares all that stays, so readers of the old one go on undisturbed, and a new
generation is seen whole or not at all. What came since it was built lies in a small segment beside the large one, and what is gone is
marked; `merged` makes one segment of it again.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Hit, Where
from perdure.core.errors import BadIndex
from perdure.engines.retrieval.searching.asking import Ask, Wording
from perdure.engines.retrieval.searching.dense import LEAST_RESCORED, FetchVectors, Ranked, Width, as_question, nearest
from perdure.engines.retrieval.searching.diversity import diverse
from perdure.engines.retrieval.searching.fusion import by_ranks, by_scores
from perdure.engines.retrieval.searching.lexical import best_by_words
from perdure.engines.retrieval.searching.protocols import Findable, Row
from perdure.engines.retrieval.searching.record import Record
from perdure.engines.retrieval.searching.scope import Scope, scope_of
from perdure.engines.retrieval.searching.segments import Room, Segment, built, joined, widened
from perdure.engines.retrieval.searching.terms import question_terms

_POOL = 100
"""Of each ranking at least so many are fused."""
_KEPT_SCOPES = 8
_LARGE_TAIL = 4_096
_TAIL_SHARE = 0.05
_DEAD_SHARE = 0.1
_USUAL_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Tuning:
    """How much memory and how much care a searcher takes."""

    dimensions: int = 0
    """Of vectors; 0: of the first that comes."""
    exact_bytes: int = 268_435_456
    """Exact vectors are kept in memory up to so much, as float32 or else float16; above, they are asked of the store."""
    oversample: float = 200.0
    """Rows a hit that signs leave for a second look, at 100,000 rows; with the root of the rows above. See `calibrating`."""
    recall: float | None = None
    """Lower end of the interval of recall that was measured with it; None: it never was."""


class Searcher:
    """One generation of one index. Safe to share between threads. Made by `Searcher.of`, `moved`, `merged`, or `dumping.load`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._scopes: OrderedDict[tuple[str, frozenset[str] | None], Scope] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls,
        rows: Iterable[Row],
        documents: Iterable[Findable],
        *,
        generation: int = 0,
        fields: Mapping[str, object] | Iterable[str] = (),
        tuning: Tuning | None = None,
        fetch: FetchVectors | None = None,
    ) -> Searcher:
        """A searcher of all chunks that are alive in a generation.

        Args:
            rows: by rising keys, as a store gives them.
            documents: its record; chunks of documents that it does not have are never found.
            generation: number of both.
            fields: members of the metadata that may be filtered by.
            tuning: memory and care.
            fetch: exact vectors by key, asked where they have no room in memory; None: 8 bits decide there.

        Raises:
            BadIndex: keys do not rise.

        Cost: 80 µs a chunk of 100 words and 384 dimensions; some 1,000 bytes of memory.
        """
        tuning = tuning or Tuning()
        segment, room = built(rows, Room(tuning.dimensions, tuning.exact_bytes))
        record = Record.of(documents, fields)
        numbers = (record.numbers(segment.owners),)
        return cls(State((segment,), (None,), record, numbers, room, tuple(fields), generation, tuning, fetch))

    @property
    def generation(self) -> int:
        """Number of the generation that it holds."""
        return self._state.generation

    @property
    def state(self) -> State:
        """What it holds, to be read only."""
        return self._state

    @property
    def last_key(self) -> int:
        """The highest that it has, alive or dead; -1: none."""
        return max((int(segment.keys[-1]) for segment in self._state.segments if segment.n), default=-1)

    @property
    def n_chunks(self) -> int:
        """Chunks that are alive."""
        return sum(
            segment.n if living is None else int(living.sum())
            for segment, living in zip(self._state.segments, self._state.alive, strict=True)
        )

    @property
    def n_bytes(self) -> int:
        """Of its arrays."""
        return sum(segment.n_bytes for segment in self._state.segments)

    @property
    def heavy(self) -> bool:
        """Whether `merged` is worth its time: much came or went since it was built."""
        large = self._state.segments[0].n
        n_tail = sum(segment.n for segment in self._state.segments[1:])
        n_gone = large - self.n_chunks + n_tail
        return n_tail > max(_LARGE_TAIL, _TAIL_SHARE * large) or n_gone > max(_LARGE_TAIL, _DEAD_SHARE * large)

    # ------------------------------------------------------------------------------------------------- search

    def search(self, ask: Ask) -> list[Hit]:
        """The k best, best first; of equals the lower key. Nothing is found by no words and no direction.

        Raises:
            BadIndex: the vector is none of this index, or the filter asks for what is no declared field.

        Cost: 3 ms of CPU for 100,000 chunks of 384 dimensions, 15 ms for 1,000,000, for both fused.
        """
        scope = self._scope(ask.where, ask.groups)
        dense = [found for each in ask.wordings if (found := self._dense(each, ask, scope)) is not None]
        lexical = [found for each in ask.wordings if (found := self._lexical(each, ask, scope)) is not None]
        hits = self._fused(dense, lexical, ask, max(_POOL // 2, 2 * ask.k) if ask.diversity else ask.k)
        if ask.diversity:
            return diverse(hits, self.vectors_of([hit.key for hit in hits]), ask.k, ask.diversity)
        return hits

    def vectors_of(self, keys: Sequence[int]) -> NDArray[np.float32]:
        """Vectors of chunks as 8 bits tell them, shape (len(keys), dimensions); zeros where there is none."""
        found = np.zeros((len(keys), self._state.room.dimensions), dtype=np.float32)
        wanted = np.array(keys, dtype=np.int64)
        for segment in self._state.segments:
            rows, known = _places(segment.keys, wanted)
            vectors = segment.vectors
            found[known] = vectors.small[rows, : found.shape[1]] * vectors.scales[rows, None]
        return found

    def holds(self, keys: Sequence[int]) -> list[bool]:
        """Of each key whether its chunk is alive here, whoever may read it."""
        found: list[bool] = self._living(np.array(keys, dtype=np.int64)).tolist()
        return found

    def _dense(self, wording: Wording, ask: Ask, scope: Scope) -> Ranked | None:
        if ask.mode == "lexical" or wording.vector is None or not np.size(wording.vector):
            return None
        state = self._state
        question = as_question(wording.vector, state.room.dimensions)
        if not question.any():
            return None
        if not state.room.dimensions:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        n_out = max(_POOL, 4 * ask.k) if ask.mode == "hybrid" or ask.diversity else ask.k
        grown = math.sqrt(max(1.0, scope.n_allowed / _USUAL_ROWS))
        n_near = max(round(state.tuning.oversample * ask.k * grown), 2 * n_out)
        width = Width(n_near, max(LEAST_RESCORED, n_out), n_out)
        return nearest(state.segments, scope, question, width, state.fetch)

    def _lexical(self, wording: Wording, ask: Ask, scope: Scope) -> Ranked | None:
        if ask.mode == "dense":
            return None
        terms = question_terms(wording.words)
        if not len(terms):
            return None
        n_out = max(_POOL, 4 * ask.k) if ask.mode == "hybrid" or ask.diversity else ask.k
        return best_by_words(self._state.segments, scope, terms, n_out)

    def _fused(self, dense: Sequence[Ranked], lexical: Sequence[Ranked], ask: Ask, n: int) -> list[Hit]:
        """The best n. One ranking keeps its own scores."""
        if len(dense) + len(lexical) > 1:
            by_score = ask.fusion == "scores"
            return by_scores(dense, lexical, ask.dense_share, n) if by_score else by_ranks(dense, lexical, n)
        pairs = [zip(keys[:n].tolist(), scores[:n].tolist(), strict=True) for keys, scores in (*dense, *lexical)]
        return [
            Hit(key, score, score if dense else None, None if dense else score) for each in pairs for key, score in each
        ]

    def _scope(self, where: Where, groups: Sequence[str] | None) -> Scope:
        state = self._state
        asking = None if groups is None else state.record.groups & frozenset(groups)
        name = (repr(sorted(where.items(), key=_first)), asking)
        with self._lock:
            if name in self._scopes:
                self._scopes.move_to_end(name)
                return self._scopes[name]
        made = scope_of(state.segments, state.alive, state.record, state.numbers, (where, groups))
        with self._lock:
            self._scopes[name] = made
            while len(self._scopes) > _KEPT_SCOPES:
                self._scopes.popitem(last=False)
        return made

    # ---------------------------------------------------------------------------------------------- following

    def moved(
        self,
        born: Iterable[Row],
        dead: Iterable[int],
        generation: int,
        *,
        documents: Iterable[Findable] | None = None,
    ) -> Searcher:
        """The searcher of a later generation; this one stays as it is.

        Args:
            born: chunks that came; one that is known is no error.
            dead: keys of chunks that are gone; one that is unknown is no error.
            generation: number of it.
            documents: its record, whole; None: no document came, went or changed its metadata or readers.

        Raises:
            BadIndex: a new key is lower than one that is known.

        Cost: 100 µs a new chunk, 10 µs one that came since the last merge, and 10 ns a chunk of the index.
        """
        old = self._state
        gone = np.unique(np.fromiter(dead, dtype=np.int64))
        alive = [_without(segment, living, gone) for segment, living in zip(old.segments, old.alive, strict=True)]
        segments, alive, room = self._with_tail(sorted(born, key=attrgetter("key")), gone, alive)
        record = old.record if documents is None else Record.of(documents, old.fields)
        same = record is old.record
        numbers = tuple(
            old.numbers[0] if i == 0 and same and segment is old.segments[0] else record.numbers(segment.owners)
            for i, segment in enumerate(segments)
        )
        return Searcher(
            replace(
                old,
                segments=tuple(segments),
                alive=tuple(alive),
                record=record,
                numbers=numbers,
                room=room,
                generation=generation,
            )
        )

    def merged(self) -> Searcher:
        """The same in one segment, without what is gone. Cost: 10 µs a chunk."""
        old = self._state
        segment = joined(old.segments, old.alive, old.room)
        return Searcher(replace(old, segments=(segment,), alive=(None,), numbers=(old.record.numbers(segment.owners),)))

    def onto(self, base: Searcher) -> Searcher:
        """The same over the segment of `base`, which was merged from an earlier state of it; itself where it was from another one."""
        if base.state.lineage is not self._state.lineage or len(base.state.segments) > 1:
            return self
        old = self._state
        segment = widened(base.state.segments[0], old.room)
        last = int(segment.keys[-1]) if segment.n else -1
        living = self._living(segment.keys)
        newer = [each.keys > last if keep is None else keep & (each.keys > last) for each, keep in self._rows()]
        tail = joined([each for each, _ in self._rows()], newer, old.room)
        segments = (segment, tail) if tail.n else (segment,)
        numbers = tuple(old.record.numbers(each.owners) for each in segments)
        alive = (None if living.all() else living, None)[: len(segments)]
        return Searcher(replace(old, segments=segments, alive=alive, numbers=numbers))

    def _living(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        found = np.zeros(len(keys), dtype=np.bool_)
        for segment, living in self._rows():
            rows, known = _places(segment.keys, keys)
            found[known] = True if living is None else living[rows]
        return found

    def _rows(self) -> list[tuple[Segment, NDArray[np.bool_] | None]]:
        return list(zip(self._state.segments, self._state.alive, strict=True))

    def _with_tail(
        self, born: Sequence[Row], gone: NDArray[np.int64], alive: Sequence[NDArray[np.bool_] | None]
    ) -> tuple[list[Segment], list[NDArray[np.bool_] | None], Room]:
        old = self._state
        known = np.zeros(len(born), dtype=np.bool_)
        keys = np.array([row.key for row in born], dtype=np.int64)
        for segment in old.segments:
            known[_places(segment.keys, keys)[1]] = True
        known[np.isin(keys, gone)] = True
        new = [row for row, skip in zip(born, known.tolist(), strict=True) if not skip]
        if not new:
            return list(old.segments), list(alive), old.room
        made, room = built(new, old.room)
        if not old.segments[0].n:
            return [made], [None], room
        if made.keys[0] < max(int(segment.keys[-1]) for segment in old.segments if segment.n):
            raise BadIndex(
                f"Chunk {int(made.keys[0])} came after chunks with higher keys.", hint="Build the searcher anew."
            )
        large, *rest = (widened(each, room) for each in old.segments)
        tail = joined([*rest, made], [*alive[1:], None], room)
        return [large, tail], [alive[0], None], room


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All that a searcher holds."""

    segments: tuple[Segment, ...]
    """The large one, and perhaps a small one of what came since."""
    alive: tuple[NDArray[np.bool_] | None, ...]
    """Of each segment, which rows are; None: all."""
    record: Record
    numbers: tuple[NDArray[np.int32], ...]
    """Of each segment, the place of each row's document in the record."""
    room: Room
    fields: tuple[str, ...]
    generation: int
    tuning: Tuning
    fetch: FetchVectors | None
    lineage: object = field(default_factory=object)
    """The same in all that was moved or merged from one that was built or loaded."""


def _first(member: tuple[str, object]) -> str:
    return member[0]


def _places(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the wanted keys that are there, and their places among the wanted."""
    if not len(keys):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    known = np.flatnonzero(keys[at] == wanted)
    return at[known], known


def _without(segment: Segment, living: NDArray[np.bool_] | None, gone: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    rows, _ = _places(segment.keys, gone)
    if not len(rows):
        return living
    left = np.ones(segment.n, dtype=np.bool_) if living is None else living.copy()
    left[rows] = False
    return left
