"""An index as the loop watches it: its declaration, the version that answers, and what opens both.

Every index is also healthy only while its source answers whole, whatever else is declared: of a source that does not, nothing else
that is measured says anything.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Protocol

from perdure.assets.index import Index
from perdure.assets.objective import SignalSpec
from perdure.assets.version import Version
from perdure.core.clock import to_us
from perdure.core.units import hours
from perdure.engines.retrieval.skew import Census
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.indexes.kept import newest_census
from perdure.loop.work.indexes.opening import OpensIndexes
from perdure.loop.work.versions import find_champion
from perdure.stores.vectors.protocols import IndexStore

SOURCE_DOWN = "source_down"
"""The signal of a source that does not answer whole, and the cause."""


class IndexesAtWork(OpensIndexes, Protocol):
    """Opens versions of indexes, whole or their stores alone."""

    def open_store(self, name: str, version: str, *, read_only: bool = False) -> IndexStore:
        """The store of a version, to be closed by whoever asks.

        Raises:
            NotFound: no such index or version.
            StoreError: it is not there, or cannot be opened.
        """
        ...


def watched_index(index: Index) -> Watched:
    """The index as the loop sees it."""
    # A shadow of an index is asked what was captured when it is judged, so that stage would prove nothing more.
    policy = replace(index.policy, ramp=replace(index.policy.ramp, shadow=hours(0)))
    return Watched(index.name, "index", (*index.healthy, source_down() <= 0.0), policy, index)


def source_down() -> SignalSpec:
    """1 while the newest census could not list the source whole, else 0."""
    return SignalSpec(SOURCE_DOWN, hours(1))


def index_of(asset: Watched) -> Index:
    """The declared index."""
    declared: Index = asset.declaration
    return declared


def census_of(place: Workplace, asset: Watched, now: datetime) -> tuple[Version | None, Census | None]:
    """What answers, and its newest census up to now."""
    champion = find_champion(place.stores.ledger, asset.name)
    if champion is None:
        return None, None
    census = newest_census(place, asset.name, champion.id)
    return champion, census if census is not None and census.at_us <= to_us(now) else None
