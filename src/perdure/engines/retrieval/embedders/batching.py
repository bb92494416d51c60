"""Embeds many contents: in batches, with progress, and on an executor where one is given. Called where indexes are built.

Nothing is cached here: who calls looks into the cache of vectors first, and puts there what comes.

What surprised us: what a process raises is pickled, and an error that cannot be made again from its arguments breaks the whole pool. So a
content that cannot be read comes back as a value. And a function is sent by its name: the module of that name may be another one by
then, which the fingerprint tells.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perdure.assets.embedders import CustomEmbedder, EmbeddedBy, MiniLm, WordLlama
from perdure.core.clock import monotonic_s
from perdure.core.documents import Content
from perdure.core.errors import BadIndex, MissingExtra, NotReady
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.protocols import Embedder, Unparsable


@dataclass(frozen=True, slots=True)
class EmbeddingProgress:
    """How far it is."""

    n_done: int
    n_all: int
    seconds: float
    """Since it began, by the wall clock."""

    @property
    def per_s(self) -> float:
        """Contents a second until now."""
        return self.n_done / self.seconds if self.seconds > 0.0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at this rate; None: nothing is done yet."""
        return (self.n_all - self.n_done) / self.per_s if self.per_s else None


OnProgress = Callable[[EmbeddingProgress], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something in a batch cannot be embedded; see `Unparsable`."""

    code: str
    message: str


Outcome = NDArray[np.float32] | Refusal | None
"""Of one batch: a row a content; or why there are none; None: it was called off, for another failed."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Where batches are embedded side by side.

    Args:
        executor: threads or processes; what it is sent is picklable.
        declared: the embedder, opened once in each process; None: the executor's threads share the one at hand.
        cache: see `open_embedder`.
        ahead: batches that are sent before the first is taken; more would only hold memory.

    Raises:
        BadIndex: it has a function that no other process can find.
    """

    executor: Executor
    declared: WordLlama | MiniLm | CustomEmbedder | None
    cache: Path | None = None
    ahead: int = 8

    def __post_init__(self) -> None:
        _packed(self.declared)


def embedded(
    embedder: Embedder,
    contents: Sequence[Content],
    *,
    batch: int = 64,
    on_progress: OnProgress | None = None,
    workers: Workers | None = None,
) -> Iterator[Outcome]:
    """What comes of each batch of documents' contents, in order: what came may be kept before the rest is done.

    Where a batch fails, those that were under way beside it are still given, and then the error is raised.

    Args:
        embedder: makes them here, where there are no workers, or one batch only.
        contents: in any order.
        batch: contents of one call.
        on_progress: told of each batch after it was taken.
        workers: where they are made instead, to the same bits.

    Raises:
        UpstreamError, NotReady: as the embedder; what came before was given.
        NotReady: a process of the workers ended, or has another embedder of this name.
    """
    started = monotonic_s()
    parts = [contents[start : start + batch] for start in range(0, len(contents), batch)]
    # To start a process for one batch costs more than the batch.
    found = _spread(workers, embedder, parts) if workers and len(parts) > 1 else map(partial(_outcome, embedder), parts)
    n_done = 0
    for outcome, part in zip(found, parts, strict=True):
        yield outcome
        n_done += 0 if outcome is None else len(part)
        if on_progress is not None:
            on_progress(EmbeddingProgress(n_done, len(contents), monotonic_s() - started))


def embed_all(
    embedder: Embedder,
    contents: Sequence[Content],
    *,
    batch: int = 64,
    on_progress: OnProgress | None = None,
    workers: Workers | None = None,
) -> NDArray[np.float32]:
    """`embedded`, all of it as one matrix of shape (len(contents), dimensions).

    Raises: as `embedded`; Unparsable: one of the contents cannot be embedded.

    >>> from perdure.assets.embedders import WordLlama
    >>> told = []
    >>> embed_all(open_embedder(WordLlama(64)), ["one", "two", "three"], batch=2, on_progress=told.append).shape
    (3, 64)
    >>> [(each.n_done, each.n_all) for each in told]
    [(2, 3), (3, 3)]
    """
    rows = [np.zeros((0, embedder.dimensions), np.float32)]
    for outcome in embedded(embedder, contents, batch=batch, on_progress=on_progress, workers=workers):
        if isinstance(outcome, Refusal):
            raise Unparsable(outcome.code, outcome.message)
        if outcome is not None:
            rows.append(outcome)
    return np.concatenate(rows)


def _outcome(embedder: Embedder, contents: Sequence[Content]) -> Outcome:
    try:
        return embedder.embed(contents)
    except Unparsable as error:
        return Refusal(error.code, error.message)


def _spread(workers: Workers, embedder: Embedder, parts: Sequence[Sequence[Content]]) -> Iterator[Outcome]:
    packed = _packed(workers.declared)
    there = (
        partial(_outcome, embedder)
        if packed is None
        else partial(_outcome_there, packed, workers.cache, embedder.fingerprint)
    )
    rest, waiting = iter(parts), deque[Future[Outcome]]()
    try:
        while True:
            room = workers.ahead - len(waiting)
            waiting.extend(_sent(workers.executor, there, list(part)) for part in islice(rest, room))
            if not waiting:
                return
            failed = waiting[0].exception()
            if failed is not None:
                break
            yield waiting.popleft().result()
        for each in waiting:
            each.cancel()
        for each in waiting:
            yield each.result() if not each.cancelled() and each.exception() is None else None
        yield from (None for _ in rest)
        raise _told(failed) from failed
    finally:
        for each in waiting:
            each.cancel()


def _sent(
    executor: Executor, there: Callable[[Sequence[Content]], Outcome], part: Sequence[Content]
) -> Future[Outcome]:
    try:
        return executor.submit(there, part)
    except BrokenExecutor as error:
        # What was sent before may have come: it is taken first.
        broken = Future[Outcome]()
        broken.set_exception(error)
        return broken


def _told(failed: BaseException) -> BaseException:
    if not isinstance(failed, BrokenExecutor):
        return failed
    return NotReady(
        "A process that embeds ended before its time: it was killed, wanted memory, or could not be started.",
        hint="Run it again: what was embedded is kept. A script that asks for processes does so under "
        "`if __name__ == '__main__':`.",
    )


def _packed(declared: EmbeddedBy | None) -> bytes | None:
    if declared is None:
        return None
    try:
        return pickle.dumps(declared)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BadIndex(
            f"No other process can open {type(declared).__name__}: its function cannot be found by a name.",
            hint="Define the function at the top of a module, or embed without other processes.",
        ) from error


def _outcome_there(packed: bytes, cache: Path | None, fingerprint: str, contents: Sequence[Content]) -> Outcome:
    try:
        embedder = _opened(packed, cache)
        if embedder.fingerprint == fingerprint:
            return _outcome(embedder, contents)
    except (MissingExtra, ImportError, AttributeError) as error:
        raise NotReady(f"Another process cannot open the embedder: {error}", hint=_HERE) from error
    raise NotReady("Another process opens another embedder than this one: its code changed meanwhile.", hint=_HERE)


_HERE = "Run it again, or embed without other processes."


@lru_cache(maxsize=2)
def _opened(packed: bytes, cache: Path | None) -> Embedder:
    return open_embedder(pickle.loads(packed), cache=cache)  # noqa: S301 - the process that sends it started this one
