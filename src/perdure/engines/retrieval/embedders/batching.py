"""Embeds many contents: in batches, with progress, and on an executor where one is given. Called where indexes are built.

Nothing is cached here: who calls looks into the cache of vectors first, and puts there what comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perdure.assets.embedders import EmbeddedBy, MiniLm, WordLlama
from perdure.core.clock import monotonic_s
from perdure.core.documents import Content
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.protocols import Embedder

_AHEAD = 8
"""Batches that wait at an executor: more would only hold memory."""


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
class Workers:
    """Where batches are embedded side by side.

    Args:
        executor: threads or processes; what it is sent is picklable.
        declared: the embedder, opened once in each process. One that needs nothing but its own files: `WordLlama` or `MiniLm`.
        cache: see `open_embedder`.
    """

    executor: Executor
    declared: WordLlama | MiniLm
    cache: Path | None = None


def embedded(
    embedder: Embedder,
    contents: Sequence[Content],
    *,
    batch: int = 64,
    on_progress: OnProgress | None = None,
    workers: Workers | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The vectors of documents' contents, batch by batch in order: what came may be kept before the rest is done.

    Args:
        embedder: makes them here, where there are no workers.
        contents: in any order.
        batch: contents of one call.
        on_progress: told after each batch.
        workers: where they are made instead.

    Raises:
        Unparsable, UpstreamError, NotReady: as the embedder; what came before was given.
    """
    started = monotonic_s()
    parts = [contents[start : start + batch] for start in range(0, len(contents), batch)]
    rows = _spread(workers, parts) if workers is not None else map(embedder.embed, parts)
    n_done = 0
    for part in rows:
        n_done += len(part)
        if on_progress is not None:
            on_progress(EmbeddingProgress(n_done, len(contents), monotonic_s() - started))
        yield part


def embed_all(
    embedder: Embedder,
    contents: Sequence[Content],
    *,
    batch: int = 64,
    on_progress: OnProgress | None = None,
    workers: Workers | None = None,
) -> NDArray[np.float32]:
    """`embedded`, all of it as one matrix of shape (len(contents), dimensions).

    >>> from perdure.assets.embedders import WordLlama
    >>> told = []
    >>> embed_all(open_embedder(WordLlama(64)), ["one", "two", "three"], batch=2, on_progress=told.append).shape
    (3, 64)
    >>> [(each.n_done, each.n_all) for each in told]
    [(2, 3), (3, 3)]
    """
    parts = embedded(embedder, contents, batch=batch, on_progress=on_progress, workers=workers)
    return np.concatenate([np.zeros((0, embedder.dimensions), np.float32), *parts])


def _spread(workers: Workers, parts: Sequence[Sequence[Content]]) -> Iterator[NDArray[np.float32]]:
    waiting: deque[Future[NDArray[np.float32]]] = deque()
    try:
        for part in parts:
            waiting.append(workers.executor.submit(_embedded_there, workers.declared, workers.cache, list(part)))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()


def _embedded_there(declared: EmbeddedBy, cache: Path | None, contents: Sequence[Content]) -> NDArray[np.float32]:
    return _opened(declared, cache).embed(contents)


@lru_cache(maxsize=2)
def _opened(declared: EmbeddedBy, cache: Path | None) -> Embedder:
    return open_embedder(declared, cache=cache)
