"""Brings the lake's tables of calls up to date before a verb reads them, or says how far they reach.

A verb that tells of calls drains first, as a round of the loop would, if nobody holds the loop's lease. While another process
does, its own rounds drain, and what the verb tells may be some seconds behind.
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


def drained(opened: Opened, now: datetime) -> AsOf:
    """Drain if the loop's lease is free; tell how far the tables reach.

    Args:
        opened: the project.
        now: domain time of what the ledger records.
    """
    from perdure.loop.drain import Drain

    stores = opened.place.stores
    drain, at = Drain(stores.capture, stores.lake, stores.ledger), machine_now()
    if not drain.behind():
        return AsOf(at, whole=True)
    try:
        with opened.hold_lease() as held:
            drain.run(now=now, actor=opened.actor, lease=held.lease)
    except (LeaseHeld, LostLease):
        return AsOf(_newest(opened), whole=False)
    return AsOf(at, whole=True)


def _newest(opened: Opened) -> datetime | None:
    from perdure.loop.work.calls import read_calls

    newest = read_calls(opened.place.stores.lake, None, None, None, ["recorded_at"])["recorded_at"].max()
    return newest if isinstance(newest, datetime) else None
