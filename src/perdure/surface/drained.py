"""Brings the lake's tables of calls up to date before a verb reads them, or says how far they reach.

A verb that tells of calls drains first, as a round of the loop would, if nobody holds the loop's lease. While another process
does, its own rounds drain, and what the verb tells may be some seconds behind. So it is where the verb is told not to drain: a page
that is only looked at writes nothing, and takes no lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.core.clock import machine_now
from perdure.core.errors import LeaseHeld, LostLease

if TYPE_CHECKING:
    from perdure.surface.opened import Opened


@dataclass(frozen=True, slots=True)
class AsOf:
    """How far the lake's tables of calls reach."""

    at: datetime | None
    """Machine time up to which every recorded call is in them; None: none is."""
    whole: bool
    """Nothing that was recorded by then is missing."""


def drained(opened: Opened, now: datetime, *, drains: bool = True) -> AsOf:
    """Drain if the loop's lease is free, and only then write anything; tell how far the tables reach.

    Args:
        opened: the project.
        now: domain time of what the ledger records.
        drains: False: only look how far they reach.
    """
    from perdure.loop.drain import Drain

    stores = opened.place.stores
    drain, at = Drain(stores.capture, stores.lake, stores.ledger), machine_now()
    if not drain.behind():
        return AsOf(at, whole=True)
    if not drains:
        return AsOf(_newest(opened), whole=False)
    try:
        with opened.hold_lease() as held:
            drain.run(now=now, actor=opened.actor, lease=held.lease)
    except (LeaseHeld, LostLease):
        return AsOf(_newest(opened), whole=False)
    return AsOf(at, whole=True)


def _newest(opened: Opened) -> datetime | None:
    from perdure.loop.work.captured_calls import CALLS

    lake = opened.place.stores.lake
    if lake.version(CALLS) is None:
        return None
    newest = lake.read(CALLS, columns=["recorded_at"])["recorded_at"].max()
    return newest if isinstance(newest, datetime) else None
