"""Vectors by content that nobody asked for in half a year are forgotten, once a day: a cache that only grows fills the disk.

The last of a round looks after it. What stands in an index stays there whatever is forgotten here; only a version that is built after so
long embeds its texts again. Vectors age by the machine's time, whatever instant is replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from perdure.core.clock import machine_us
from perdure.core.units import days
from perdure.durable.schedules import fire
from perdure.loop.protocols import Workplace
from perdure.stores.vectors.embedded import EmbeddingCache

KEPT = days(180)
"""A vector, since it was used last, to a day; ours, without a source."""
_EVERY = days(1)
_US = timedelta(microseconds=1)


class Forgetting:
    """Drops what a project's cache of vectors kept for too long.

    Args:
        path: of the cache; where there is none yet, none is made.
        now_us: the clock by which vectors age.
    """

    def __init__(self, path: Path, *, now_us: Callable[[], int] = machine_us) -> None:
        self._path = path
        self._now_us = now_us

    def run(self, place: Workplace, now: datetime) -> None:
        """Forget, where that is due. Cost: a look at the ledger where it is not, else some 5 µs a vector that goes.

        Raises:
            StoreError: the cache cannot be written; the next day tries again.
            LostLease: another worker took over.
        """
        if not self._path.exists() or not fire(
            place.stores.ledger, "forget embeddings", _EVERY, now, actor=place.actor, lease=place.lease
        ):
            return
        with closing(EmbeddingCache(self._path, now_us=self._now_us)) as cache:
            cache.forget(self._now_us() - KEPT // _US)
