"""Censuses on schedule: a round takes those that are due before it measures, deep ones weekly, and keeps them for the signals.

What is older than an index's history is forgotten with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.index import Index
from perdure.core.clock import to_us
from perdure.core.units import days
from perdure.loop.protocols import Workplace
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.kept import census_instants, keep_census, newest_is_whole
from perdure.loop.work.indexes.opening import OpenIndex, OpensIndexes

DEEP_EVERY = days(7)


class Censuses:
    """Takes the censuses that are due.

    Args:
        indexes: those that are declared.
        opens: opens their versions.
    """

    def __init__(self, indexes: Sequence[Index], opens: OpensIndexes) -> None:
        self._indexes = indexes
        self._opens = opens

    def run(self, place: Workplace, now: datetime) -> None:
        """Take and keep what is due. Cost: a look at the ledger where nothing is.

        Raises:
            StoreError: an index's store does not answer; the next round tries again.
        """
        now_us = to_us(now)
        for index in self._indexes:
            for version in self._opens.versions(index.name):
                at_us, deep_us = census_instants(place, index.name, version)
                is_young = at_us is not None and 0 <= now_us - at_us < index.census.total_seconds() * 1e6
                # Whether a source answers again is worth a look at once: nothing else is known until it does.
                if is_young and newest_is_whole(place, index.name, version):
                    continue
                deep = deep_us is not None and now_us - deep_us >= DEEP_EVERY.total_seconds() * 1e6
                with self._opens.open(index.name, version) as opened:
                    # A version that was never filled has nothing to be held against its source yet.
                    if opened.store.generation().number:
                        keep_census(place, take_census(opened, now_us, deep))
                        prune(opened, now_us)


def prune(opened: OpenIndex, now_us: int) -> int:
    """Forget what was replaced before the index's history; how many chunks. What was the newest at its begin stays whole."""
    since_us = now_us - round(opened.index.history.total_seconds() * 1e6)
    before = [each.number for each in opened.store.generations() if each.at_us <= since_us]
    return opened.store.prune(before[-1]) if len(before) > 1 else 0
