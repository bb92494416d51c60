"""One version of an index as it is served: what of it is in memory, and how that follows the store.

A store is polled for its generation, which costs some 10 µs; a new one is read as what was born and what died since, made into another
searcher beside the old one, and put in force whole. Searches go on meanwhile on the old one, and each works with one state to its end.

What surprised us: a process that only reads meets a store that is younger than its memory for up to a poll's time, in which the whole
index may have been written anew. Who finds that much of what he found is gone follows at once, and asks again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perdure.assets.index import Index
from perdure.core.documents import Content
from perdure.core.errors import BadIndex, BadRequest, NotFound, PerdureError
from perdure.engines.retrieval.embedders.asked import AskedVectors
from perdure.engines.retrieval.protocols import Embedder, Unparsable
from perdure.engines.retrieval.searching.dumping import dump, load
from perdure.engines.retrieval.searching.reranking import FunctionScores
from perdure.engines.retrieval.searching.searcher import Searcher, Tuning
from perdure.serve.retrieval.billing import Payer
from perdure.serve.retrieval.comparing import Comparing, Round
from perdure.serve.retrieval.measuring import measured
from perdure.stores.vectors.protocols import ChunkRow, Generation, IndexStore

log = logging.getLogger("perdure.serve")

_KEPT_QUERIES = 2_048
_TRIES = 5
_WORTH_A_FILE = 2_000
"""Chunks; fewer are built within a fifth of a second."""
_PATIENCE_S = 2.0
"""A search that finds much gone waits so long for the newest generation."""


class OpenStore:
    """A store that was opened, closed when nobody holds it any more, searches under way among them."""

    def __init__(self, opened: Callable[[], IndexStore], path: Path | None) -> None:
        self.file = file_at(path)
        """Which file it was."""
        self.store = opened()
        weakref.finalize(self, self.store.close)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What of a generation is in memory, and the store that it is of."""

    opened: OpenStore
    generation: Generation
    searcher: Searcher | None
    """None: the store searches itself."""

    @property
    def store(self) -> IndexStore:
        """What has its chunks."""
        return self.opened.store


@dataclass(frozen=True, slots=True, eq=False)
class HeldParts:
    """What a served version is made of.

    Args:
        index: as the version has it.
        version: its id.
        opened: opens its store to be read.
        embedder: of the version; an error where there is none here: then it is found by words alone.
        resident: whether it is held in memory; None: as its store says.
        path: the store's file; beside it what is in memory is kept, to be there at once the next time; None: nothing is kept, and no
            other file can take its place.
        moved: told the index's name when another generation is in force.
        compared: told index, version and what a round found that held memory against the store.
    """

    index: Index
    version: str
    opened: Callable[[], IndexStore]
    embedder: Embedder | PerdureError
    resident: bool | None = None
    path: Path | None = None
    moved: Callable[[str], None] | None = None
    compared: Callable[[str, str, Round], None] | None = None


class ServedIndex:
    """A version of an index, ready to be searched; safe to share between threads.

    Raises:
        StoreError: the store cannot be read.
    """

    def __init__(self, parts: HeldParts) -> None:
        self.index = parts.index
        self.version = parts.version
        self._open = parts.opened
        self._path = parts.path
        self.n_failed = 0
        """Looks at the store that failed since it was loaded."""
        self.last_error = ""
        """Of the last look; empty where it succeeded."""
        self._embedder = parts.embedder
        declared = parts.index.reranker
        self.reranker = None if declared is None else FunctionScores(declared)
        """What orders anew what was found, where a search asks for it; None: there is none."""
        self._moved = parts.moved
        self._dumped = None if parts.path is None else parts.path.with_suffix(".search")
        self._undumped = False
        self._doubted = False
        self._resident = parts.resident
        self.comparing = Comparing(tuple(parts.index.fields), partial(_tell, parts))
        """Rounds that hold memory against the store."""
        self._following = threading.Lock()
        self._queries: OrderedDict[Content, NDArray[np.float32]] = OrderedDict()
        self._kept = threading.Lock()
        self._tuning = Tuning()
        self._held = self._loaded(OpenStore(self._open, self._path))

    @property
    def held(self) -> Held:
        """What is in force."""
        return self._held

    @property
    def fingerprint(self) -> str:
        """Of its embedder; empty where there is none here."""
        return "" if isinstance(self._embedder, PerdureError) else self._embedder.fingerprint

    def embedded(self, query: Content, payer: Payer | None = None) -> NDArray[np.float32]:
        """The vector of a question, in words or by a picture; those asked last are kept. Cost: what the embedder takes, else 1 µs.

        Raises:
            MissingExtra, NotReady: there is no embedder here.
            UpstreamError: it does not answer.
            LimitReached, BudgetSpent, Refused: an upstream is to be asked, and the payer cannot pay it.
            BadRequest: it cannot read words, as one of pictures, or this picture.
        """
        if isinstance(self._embedder, PerdureError):
            raise self._embedder
        key = query if isinstance(query, str) else hashlib.blake2b(query, digest_size=32).digest()
        with self._kept:
            found = self._queries.get(key)
            if found is not None:
                self._queries.move_to_end(key)
                return found
        try:
            made = _made(self._embedder, query, payer)
        except Unparsable as error:
            raise self._unasked(query, error) from error
        with self._kept:
            self._queries[key] = made
            while len(self._queries) > _KEPT_QUERIES:
                self._queries.popitem(last=False)
        return made

    def _unasked(self, query: Content, error: Unparsable) -> BadRequest:
        """That the embedder cannot read what is asked."""
        what, hint = "this picture", "Send a picture that is whole, to an index whose embedder reads pictures."
        if isinstance(query, str):
            what, hint = "words", "Search it by mode lexical, or declare an embedder that reads words, too."
        return BadRequest(f"Index {self.index.name!r} cannot be asked by {what}: {error.message}", hint=hint)

    def follow(self, *, anew: bool = True, patience_s: float = _PATIENCE_S) -> bool:
        """Put the newest generation in force; whether it is, after no longer than the patience where somebody else is at it.

        Args:
            anew: read all anew where memory is doubted; a search leaves that to the thread that follows.
            patience_s: longest wait for somebody else.

        Raises:
            StoreError: the store cannot be read.
        """
        if not self._following.acquire(timeout=patience_s):
            return False
        try:
            if not self._moved_to(self._held, anew=anew):
                return True
        finally:
            self._following.release()
        if self._moved is not None:
            self._moved(self.index.name)
        return True

    def _moved_to(self, before: Held, *, anew: bool) -> bool:
        """Put what the store has now in force; whether it is something else than before."""
        if before.opened.file != (file := file_at(self._path)) and file is not None:
            self._held = self._loaded(OpenStore(self._open, self._path))
            return True
        newest = before.store.generation()
        self.last_error = ""
        doubted = anew and self._doubted
        if newest.number == before.generation.number and not doubted:
            return False
        try:
            self._held = self._load(before.opened, newest) if doubted else self._followed(before, newest)
            self._doubted = self._doubted and not doubted
        except (NotFound, BadIndex):  # what it was at was pruned: all is read anew
            self._held = self._loaded(before.opened)
        return True

    def compare(self) -> None:
        """Go on for a moment with holding memory against the store, where it is due; see `comparing`.

        Raises:
            StoreError: the store cannot be read.
        """
        self.comparing.step(self)

    def reread(self) -> None:
        """Read all anew from the store now.

        Raises:
            StoreError: it cannot be read.
        """
        self.doubt()
        self.follow()

    def doubt(self) -> None:
        """Read all anew at the next look: what is in memory is not what the store has."""
        self._doubted = True

    def lighten(self) -> None:
        """Make one segment of what came bit by bit, where it is worth it, and keep it in a file; searches go on meanwhile."""
        held = self._held
        if held.searcher is not None and held.searcher.heavy:
            merged = held.searcher.merged()
            with self._following:
                now = self._held
                if now.searcher is not None and now.searcher is not held.searcher:
                    merged = now.searcher.onto(merged)
                held = self._held = Held(now.opened, now.generation, merged)
            self._undumped = True
            self.comparing.hasten()
        if self._undumped and self._dumped is not None and held.searcher is not None:
            self._undumped = False
            if held.generation.n_chunks >= _WORTH_A_FILE:
                dump(held.searcher, self._dumped, version=self.version, stamp=_stamp(held.opened, held.generation))
                self._dumped.chmod(0o600)  # what documents say is for their owner alone, in numbers too

    def failed(self, error: Exception) -> None:
        """Take note of a look that failed: what is in force stays, and is told once until a look succeeds."""
        self.n_failed += 1
        told, self.last_error = self.last_error, f"{type(error).__name__}: {error}"
        if told != self.last_error:
            log.error("Index %r cannot follow its store: %s", self.version, error)

    def _loaded(self, opened: OpenStore) -> Held:
        """The newest generation, read whole."""
        for _ in range(_TRIES - 1):
            try:
                return self._load(opened, opened.store.generation())
            except NotFound:  # it was pruned while it was read
                continue
        return self._load(opened, opened.store.generation())

    def _load(self, opened: OpenStore, newest: Generation) -> Held:
        store = opened.store
        if not (store.resident if self._resident is None else self._resident):
            return Held(opened, newest, None)
        searcher = measured(self._from_file(opened, newest) or self._from_rows(store, newest), store, self._embedder)
        self._tuning = replace(
            Tuning(), oversample=searcher.state.tuning.oversample, recall=searcher.state.tuning.recall
        )
        return Held(opened, newest, searcher)

    def _from_rows(self, store: IndexStore, newest: Generation) -> Searcher:
        at = newest.number
        self._undumped = True
        return Searcher.of(
            store.chunks(at) if at else (),
            store.documents(at) if at else (),
            generation=at,
            fields=self.index.fields,
            tuning=self._tuning,
            fetch=_vectors_of(store),
        )

    def _from_file(self, opened: OpenStore, newest: Generation) -> Searcher | None:
        """What was in memory some time ago, brought up to now; None where there is none, or it is of another store.

        Raises:
            NotFound: generations were pruned meanwhile.
        """
        if self._dumped is None or self._doubted or not self._dumped.exists():
            return None
        store = opened.store
        stamps = {each.number: _stamp(opened, each) for each in store.generations()}
        found = load(
            self._dumped,
            store.documents(newest.number),
            version=self.version,
            stamps=stamps,
            fields=self.index.fields,
            fetch=_vectors_of(store),
        )
        if found is None or not 0 < found.generation <= newest.number:
            return None
        return found if found.generation == newest.number else moved_on(store, found, found.generation, newest.number)

    def _followed(self, before: Held, newest: Generation) -> Held:
        """What was born and died since.

        Raises:
            NotFound: what it was at is not there any more.
            BadIndex: keys came that cannot follow.
        """
        after, at = before.generation.number, newest.number
        if before.searcher is None or not 0 < after < at:
            return self._load(before.opened, newest)
        return Held(before.opened, newest, moved_on(before.store, before.searcher, after, at))


def _made(embedder: Embedder, query: Content, payer: Payer | None) -> NDArray[np.float32]:
    if payer is not None and isinstance(query, str) and isinstance(embedder, AskedVectors):
        return payer.embedded(embedder, query)
    made: NDArray[np.float32] = embedder.embed([query], "query")[0]
    return made


def _tell(parts: HeldParts, round_: Round) -> None:
    if round_.differing:
        kinds = sorted({each.kind for each in round_.differing})
        ending = "It was read anew." if round_.healed else "It still is after it was read anew."
        log.error(
            "Memory of %s is not what its store has: %d %s. %s", parts.version, len(round_.differing), kinds, ending
        )
    if parts.compared is not None:
        parts.compared(parts.index.name, parts.version, round_)


def moved_on(store: IndexStore, searcher: Searcher, after: int, at: int) -> Searcher:
    """A searcher of a generation, moved to a later one by what was born and died since.

    Raises:
        NotFound: one of the generations is not there any more.
        BadIndex: keys came that cannot follow.
    """
    born: list[ChunkRow] = []
    dead: list[int] = []
    for row in store.chunks(at, after):
        if 0 < row.died <= at:
            dead.append(row.key)
        else:
            born.append(row)
    return searcher.moved(born, dead, at, documents=store.documents(at))


def _stamp(opened: OpenStore, generation: Generation) -> str:
    """What tells a generation from one of the same number in another file, such as one that was built anew at the same domain time."""
    return f"{opened.file} {generation.at_us}"


def file_at(path: Path | None) -> tuple[int, int] | None:
    """Which file lies there, by device and inode; None: none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def _vectors_of(store: IndexStore) -> Callable[[Sequence[int]], list[bytes]]:
    """Exact vectors by key. It does not know who asks: a searcher that did would keep its index from ever being let go."""

    def fetch(keys: Sequence[int]) -> list[bytes]:
        return [b"" if row is None else row.vector for row in store.fetch(keys)]

    return fetch
