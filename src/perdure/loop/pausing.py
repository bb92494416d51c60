"""A person may pause an asset: it is measured and diagnosed as ever, and nothing is repaired or released."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from perdure.core.clock import iso, parse_at
from perdure.core.errors import DeclarationError
from perdure.loop.protocols import Workplace
from perdure.stores.ledger.protocols import LedgerSession

_PREFIX = "paused/"


def pause(place: Workplace, asset: str, now: datetime, reason: str, until: datetime | None = None) -> None:
    """Pause an asset until an instant, or until somebody resumes it.

    Raises:
        DeclarationError: no reason, or an instant that has passed.
    """
    if not reason.strip():
        raise DeclarationError("A pause needs a reason.", hint="Say why: whoever is on call reads it.")
    if until is not None and until <= now:
        raise DeclarationError(f"The pause ends at {iso(until)}, before it begins.", hint="Give a later instant.")
    facts = {"reason": reason, "actor": place.actor, "at": iso(now), "until": iso(until) if until else ""}
    with place.transaction(now, reason) as session:
        session.cursors.put(_PREFIX + asset, facts)
        session.audit.append("loop.pause", asset, facts)


def resume(place: Workplace, asset: str, now: datetime, reason: str) -> bool:
    """End a pause; False when there was none."""
    with place.transaction(now, reason) as session:
        if paused(session, asset, now) == "":
            return False
        session.cursors.put(_PREFIX + asset, None)
        session.audit.append("loop.resume", asset, {"reason": reason, "actor": place.actor})
    return True


def paused(session: LedgerSession, asset: str, now: datetime) -> str:
    """Why an asset is paused at an instant, with who did it; empty when it is not."""
    return _told(session.cursors.get(_PREFIX + asset), now)


def list_paused(session: LedgerSession, now: datetime) -> dict[str, str]:
    """Every asset that is paused at an instant, with why; in one read."""
    told = {name.removeprefix(_PREFIX): _told(kept, now) for name, kept in session.cursors.list(_PREFIX).items()}
    return {asset: why for asset, why in told.items() if why}


def _told(kept: dict[str, Any] | None, now: datetime) -> str:
    if not kept or (kept["until"] and now >= parse_at(kept["until"])):
        return ""
    until = f", until {kept['until']}" if kept["until"] else ""
    return f"{kept['reason']} ({kept['actor']} at {kept['at']}{until})"
