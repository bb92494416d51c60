"""Processes beside this one that embed the texts of an index: started when the first batches come, ended with what asked for them.

What surprised us: a process of a pool outlives a parent that is killed, for it holds both ends of the queue that it reads. So each
watches its parent; and Ctrl-C, which a terminal sends to all of them, is the parent's alone to answer.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.errors import BadRequest

if TYPE_CHECKING:
    from perdure.assets.embedders import EmbeddedBy
    from perdure.engines.retrieval.embedders.batching import Workers

_MOST = 256


@contextmanager
def embedding_workers(declared: EmbeddedBy, n: int, cache: Path) -> Iterator[Workers | None]:
    """Who embeds with `n` processes, until the end of the block; None for one: this one does. An `Endpoint` is asked by as many threads.

    Args:
        declared: what an index is embedded by.
        n: processes.
        cache: as of `open_embedder`.

    Raises:
        BadRequest: as many processes mean nothing.
        BadIndex: the embedder has a function that no other process can find.
    """
    if not 1 <= n <= _MOST:
        raise BadRequest(f"{n} processes mean nothing.", hint=f"Say 1 to {_MOST}.")
    if n == 1:
        yield None
        return
    from perdure.assets.embedders import Endpoint
    from perdure.engines.retrieval.embedders.batching import Workers

    asked = isinstance(declared, Endpoint)
    executor: Executor = (
        ThreadPoolExecutor(n, "perdure-embed")
        if asked
        else ProcessPoolExecutor(n, mp_context=get_context("spawn"), initializer=begin)
    )
    try:
        yield Workers(executor, None if isinstance(declared, Endpoint) else declared, cache, max(8, 2 * n))
    finally:
        executor.shutdown(cancel_futures=True)


def begin() -> None:
    """Set a process up that embeds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
