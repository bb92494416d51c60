"""Builds a version of an index beside the one that answers: registered, filled in slices, counted, and ready to be judged.

Each slice is a generation and each batch of vectors is kept before the next, so a build that was killed goes on where it was, and one
that is done has nothing left to do. While it is tried, pointers name it, and whoever follows the source keeps both filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from perdure.core.clock import to_us
from perdure.core.errors import NotReady
from perdure.core.ids import new_id
from perdure.durable.lease import hold
from perdure.engines.retrieval.skew import Census
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.following import LEASE
from perdure.loop.work.indexes.kept import keep_census
from perdure.loop.work.indexes.opening import OpenIndex, OpensIndexes
from perdure.loop.work.indexes.resyncing import resync
from perdure.loop.work.indexes.sentinels import look_at_sentinels

_WAIT_S = 60.0


def build(place: Workplace, opens: OpensIndexes, asset: Watched, version: str, now: datetime) -> Census:
    """Fill a version with what its source has, and count it; the census, which is kept.

    Raises:
        NotReady: its source does not answer whole.
        UpstreamError: its embedder does not answer; what was embedded is kept.
        StoreError: its store does not answer.
    """
    at_us = to_us(now)
    with writing(place, asset.name), opens.open(asset.name, version) as opened:
        census, plan, _ = resync(place, opened, at_us)
        if not census.whole:
            raise NotReady(
                f"{version} cannot be built: its source does not answer whole. {census.why_not}",
                hint="It is tried again in the next round.",
            )
        if plan.held_back:
            raise NotReady(
                f"{version} cannot be built: {plan.held_back_why}", hint="Say whether they are gone for good."
            )
        look_at_sentinels(place, opened, at_us)
        return counted(place, opened, at_us)


def counted(place: Workplace, opened: OpenIndex, at_us: int) -> Census:
    """A whole census of a version, taken and kept."""
    return keep_census(place, take_census(opened, at_us))


@contextmanager
def writing(place: Workplace, index: str) -> Iterator[None]:
    """While nobody else writes an index: its follower waits.

    Raises:
        LeaseHeld: somebody else wrote it for a minute.
    """
    ttl_s = place.settings.loop.lease_ttl_s
    with hold(place.stores.leases, LEASE + index, new_id("wrk"), ttl_s, wait_s=_WAIT_S):
        yield
