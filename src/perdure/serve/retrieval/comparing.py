"""Whether what a server searches in is what its store has: looked at every ten minutes and after each merge, mended, and told.

The thread that follows a store does it between two looks at the generation, some milliseconds at a time, so nothing is followed later for
it. Rows that are not what their own checksum says are the store's trouble, of which a census tells; of them nothing is said here.

What surprised us: a store goes on while it is compared. A difference counts only if the generation in memory was still the newest
when it was found, else these rows are looked at again.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from perdure.core.clock import machine_us, monotonic_s
from perdure.core.errors import NotFound
from perdure.engines.retrieval.searching.comparing import Comparison, differing_documents
from perdure.engines.retrieval.searching.searcher import Searcher
from perdure.stores.capture.events import Compared, Differing
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.vectors.protocols import ChunkRow, Generation, IndexStore, checksum_of

EVERY_S = 600.0
"""From the begin of a round to the next one's."""
_AT_ONCE = 256
"""Keys; some 20 ms of work."""
_STEP_S = 0.02
_MOST_TOLD = 100


class InForce(Protocol):
    """A generation in memory, and its store."""

    @property
    def store(self) -> IndexStore:
        """What has its chunks."""
        ...

    @property
    def generation(self) -> Generation:
        """Of what is in memory."""
        ...

    @property
    def searcher(self) -> Searcher | None:
        """What is in memory; None: nothing is."""
        ...


class Memory(Protocol):
    """What is compared."""

    @property
    def held(self) -> InForce:
        """What is in force."""
        ...

    def reread(self) -> None:
        """Read all anew from the store."""
        ...


@dataclass(frozen=True, slots=True)
class Round:
    """What a round found."""

    generation: int
    n_chunks: int
    """That were compared."""
    differing: Sequence[Differing]
    healed: bool
    """Whether nothing of it was there any more after all was read anew; False where nothing was found."""
    took_us: int


@dataclass(slots=True, eq=False)
class Comparing:
    """The rounds of one served version.

    Args:
        fields: declared members of the metadata.
        told: hears of each round when it is over.
        every_s: from the begin of a round to the next one's.
    """

    fields: Sequence[str]
    told: Callable[[Round], None]
    every_s: float = EVERY_S
    newest: Round | None = None
    """The last that ended."""
    n_differing: int = 0
    """That were found since it was loaded."""
    _under_way: _UnderWay | None = None
    _due_s: float = field(default_factory=lambda: monotonic_s() + EVERY_S)

    def hasten(self) -> None:
        """Begin the next round at the next look: what is in memory was just made otherwise than from the store."""
        self._due_s = 0.0

    def step(self, memory: Memory) -> None:
        """Go on for some 20 ms, where a round is under way or due.

        Raises:
            StoreError: the store cannot be read; the round goes on at the next look.
        """
        began_s = monotonic_s()
        if self._under_way is None:
            if began_s < self._due_s or memory.held.searcher is None:
                return
            self._due_s = began_s + self.every_s
            self._under_way = _UnderWay(self.fields, began_s)
        round_ = self._under_way
        while round_.goes_on(memory.held):
            if monotonic_s() - began_s > _STEP_S:
                return
        self._under_way = None
        self._over(memory, round_)

    def _over(self, memory: Memory, round_: _UnderWay) -> None:
        found, healed = round_.found, False
        if found:
            memory.reread()
            healed = round_.is_healed(memory.held)
        took_us = int((monotonic_s() - round_.began_s) * 1e6)
        self.newest = Round(memory.held.generation.number, round_.n_chunks, found, healed, took_us)
        self.n_differing += len(found)
        self.told(self.newest)


class _UnderWay:
    """A round that was begun."""

    def __init__(self, fields: Sequence[str], began_s: float) -> None:
        self.began_s = began_s
        self.n_chunks = 0
        self._fields = fields
        self._comparison = Comparison()
        self._of_documents: list[Differing] | None = None
        self._of_chunks: list[Differing] = []
        self._at = 0

    @property
    def found(self) -> list[Differing]:
        """What differs so far."""
        return [*(self._of_documents or ()), *self._of_chunks]

    def goes_on(self, held: InForce) -> bool:
        """Look at the record, or at the next keys; False where there are none any more, or the version is not held in memory."""
        searcher = held.searcher
        if searcher is None:
            return False
        if self._of_documents is None:
            # Where the store went on meanwhile, the record is looked at again.
            self._of_documents = self._documents(held, searcher)
            return self._of_documents is None or searcher.last_key >= 0
        differing, n_rows = self._chunks(held, searcher, self._at)
        if differing and held.store.generation().number != held.generation.number:
            return True
        self._of_chunks += differing
        self.n_chunks += n_rows
        self._at += _AT_ONCE
        # One span further than memory reaches: what came last may be what it lacks.
        return self._at <= searcher.last_key + _AT_ONCE

    def is_healed(self, held: InForce) -> bool:
        """Whether nothing of what was found is there any more."""
        searcher = held.searcher
        if searcher is None:
            return True
        spans = {each.key // _AT_ONCE * _AT_ONCE for each in self._of_chunks}
        self._comparison = Comparison()
        return not self._documents(held, searcher) and not any(self._chunks(held, searcher, at)[0] for at in spans)

    def _documents(self, held: InForce, searcher: Searcher) -> list[Differing] | None:
        """What of the record differs; None: it went on meanwhile."""
        at = held.generation.number
        try:
            rows = list(held.store.documents(at)) if at else []
        except NotFound:  # it was pruned since
            return None
        unsound = {row.id for row in rows if row.damaged}
        found = differing_documents(searcher.state.record, rows, self._fields, unsound)
        if found and held.store.generation().number != at:
            return None
        return [Differing(0, id_, kind) for id_, kind in found.items()]

    def _chunks(self, held: InForce, searcher: Searcher, first: int) -> tuple[list[Differing], int]:
        """What differs of the keys from the first on, and how many of them the store has."""
        at, end = held.generation.number, first + _AT_ONCE
        fetched = [row for row in held.store.fetch(range(first, end)) if row is not None and _is_alive(row, at)]
        rows = [row for row in fetched if checksum_of(row) == row.checksum]
        unsound = {row.key for row in fetched}.difference(row.key for row in rows)
        found = self._comparison.differing(searcher, rows, (first, end), unsound)
        names = {row.key: row.document for row in rows}
        return [Differing(key, names.get(key, ""), kind) for key, kind in found.items()], len(rows)


def _is_alive(row: ChunkRow, at: int) -> bool:
    return row.born <= at and (row.died == 0 or row.died > at)


@dataclass(frozen=True, slots=True)
class Telling:
    """Appends rounds to this process's capture segment.

    Args:
        writer: of the segment.
        now_us: domain time.
    """

    writer: CaptureWriter
    now_us: Callable[[], int]

    def tell(self, index: str, version: str, round_: Round) -> None:
        """Keep one round; what differs is told to some number, and counted whole."""
        self.writer.append(
            Compared(
                index=index,
                version=version,
                process=f"{socket.gethostname()}:{os.getpid()}",
                generation=round_.generation,
                served_us=self.now_us(),
                recorded_us=machine_us(),
                took_us=round_.took_us,
                n_chunks=round_.n_chunks,
                n_differing=len(round_.differing),
                differing=list(round_.differing[:_MOST_TOLD]),
                healed=round_.healed,
            )
        )
