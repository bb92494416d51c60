"""Schedules that fire once a period, however many workers ask. The instant is kept as a cursor of the ledger.

A period begins where the first firing put it: a late firing does not shift the ones after it, and periods
that passed while nobody asked fire once together. What a firing starts is the caller's: begin a durable
job with it where it must survive a crash right after the firing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from perdure.core.clock import iso, parse_at
from perdure.core.errors import DeclarationError
from perdure.stores.ledger.protocols import Lease, Ledger


def fire(ledger: Ledger, name: str, every: timedelta, now: datetime, *, actor: str, lease: Lease | None = None) -> bool:
    """True for one caller a period, the very first time at once.

    Args:
        ledger: where it is kept.
        name: of the schedule.
        every: the period.
        now: domain time.
        actor: who asks.
        lease: under which the asker works.

    Raises:
        DeclarationError: `every` is no period.
        LostLease: another worker took over; nothing fired.

    Cost: one read while nothing is due.
    """
    if every <= timedelta(0):
        raise DeclarationError(f"A schedule every {every} means nothing.", hint="Use days(7), for example.")
    cursor = f"schedule/{name}"
    with ledger.read() as session:
        if _due(session.cursors.get(cursor), every, now) is None:
            return False
    with ledger.transaction(actor=actor, at=now, reason=f"schedule {name}", lease=lease) as session:
        began = _due(session.cursors.get(cursor), every, now)
        if began is not None:
            session.cursors.put(cursor, iso(began))
        return began is not None


def _due(kept: str | None, every: timedelta, now: datetime) -> datetime | None:
    """When the period of `now` began, or None when it has fired."""
    if kept is None:
        return now
    last = parse_at(kept)
    return last + (now - last) // every * every if now - last >= every else None
