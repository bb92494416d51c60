"""An incident that is snoozed asks for nobody until an instant: it leaves the inbox, and its page says until when and why.

Nothing else changes: it stays open, it is measured, and the loop repairs what it may. To hold repairs is a pause (`loop.pausing`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.core.clock import iso, parse_at
from perdure.core.errors import DeclarationError, Refused

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Incident, LedgerSession

SNOOZED, WOKEN = "incident.snoozed", "incident.woken"
"""Actions of the audit chain."""
_PREFIX = "snoozed/"


@dataclass(frozen=True, slots=True)
class Snoozed:
    """An incident that asks for nobody until an instant of domain time."""

    incident: str
    actor: str
    at: datetime
    until: datetime
    reason: str


def put_snooze(session: LedgerSession, incident: Incident, made: Snoozed) -> None:
    """Snooze an incident; a later snooze replaces the one before.

    Raises:
        DeclarationError: an end that has passed.
        Refused: the incident is closed.
    """
    if incident.closed_at is not None:
        raise Refused(
            f"The incident {incident.id!r} is closed.", hint="perdure incidents lists those that are open.",
            incident=incident.id,
        )  # fmt: skip
    if made.until <= made.at:
        raise DeclarationError(
            f"The snooze ends at {iso(made.until)}, before it begins at {iso(made.at)}.", hint="Give a later instant."
        )
    session.cursors.put(_PREFIX + incident.id, {**asdict(made), "at": iso(made.at), "until": iso(made.until)})
    session.audit.append(SNOOZED, incident.asset, {"incident": incident.id, "until": iso(made.until)})


def end_snooze(session: LedgerSession, incident: Incident, now: datetime) -> bool:
    """End a snooze before its time; False where there is none."""
    if find_snooze(session, incident.id, now) is None:
        return False
    session.cursors.put(_PREFIX + incident.id, None)
    session.audit.append(WOKEN, incident.asset, {"incident": incident.id})
    return True


def find_snooze(session: LedgerSession, incident: str, now: datetime) -> Snoozed | None:
    """The snooze of an incident at an instant; None where it is awake."""
    return _asleep(session.cursors.get(_PREFIX + incident), now)


def list_snoozed(session: LedgerSession, now: datetime) -> dict[str, Snoozed]:
    """Incident's id → its snooze, of those that are asleep at an instant."""
    found = (_asleep(kept, now) for kept in session.cursors.list(_PREFIX).values())
    return {each.incident: each for each in found if each is not None}


def _asleep(kept: dict[str, Any] | None, now: datetime) -> Snoozed | None:
    if not kept:
        return None
    made = Snoozed(**{**kept, "at": parse_at(kept["at"]), "until": parse_at(kept["until"])})
    return made if now < made.until else None
