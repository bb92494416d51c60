"""Who looks after what: an incident that a person took, and what one person gave to another to look after.

A hand-off is open until somebody takes it; then it leaves the inbox, and stays in the history. Each is a value of the ledger that stands
there now, beside an entry of the audit chain that stays, in one transaction. Neither holds the loop up: it repairs what it may.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.core.clock import iso, parse_at
from perdure.core.errors import DeclarationError, Refused, not_found
from perdure.core.ids import new_id

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Incident, LedgerSession

DUTIES: Mapping[str, str] = {
    "data_engineer": "data engineer",
    "analyst": "business analyst",
    "data_scientist": "data scientist",
    "ml_engineer": "ML engineer",
    "reviewer": "reviewer",
    "on_call": "on-call",
    "prompt_author": "prompt author",
    "owner": "owner",
}
"""What a person may look after → in words: the stages of the lifecycle and their owners."""
TAKEN, HANDED, ACCEPTED = "incident.taken", "handed_off", "hand_off.taken"
"""Actions of the audit chain."""
_TAKEN, _HANDED = "taken/", "handoffs/"


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody who looks after an incident."""

    incident: str
    actor: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class HandOff:
    """What one person asks another, or whoever has a duty, to look after."""

    id: str
    about: str
    """An incident's id, or an asset's name."""
    asset: str
    giver: str
    to: str
    """A person; empty where it is for a duty."""
    duty: str
    """One of `DUTIES`; empty where it is for a person."""
    reason: str
    at: datetime


def take_incident(session: LedgerSession, incident: Incident, taken: Taken) -> None:
    """Write down who looks after an incident; hand-offs about it are taken by that.

    Raises:
        Refused: it is closed.
    """
    if incident.closed_at is not None:
        raise Refused(
            f"The incident {incident.id!r} is closed.", hint="perdure incidents lists those that are open.",
            incident=incident.id,
        )  # fmt: skip
    before = _taken(session.cursors.get(_TAKEN + incident.id))
    said = {"incident": incident.id, "from": before.actor if before else ""}
    session.cursors.put(_TAKEN + incident.id, _kept(taken))
    session.audit.append(TAKEN, incident.asset, said)
    for each in list_hand_offs(session):
        if each.about == incident.id:
            _accept(session, each)


def find_taken(session: LedgerSession, incident: str) -> Taken | None:
    """Who looks after an incident; None where nobody took it, or who did is here no more."""
    taken = _taken(session.cursors.get(_TAKEN + incident))
    return None if taken is None or taken.actor in _gone(session) else taken


def list_taken(session: LedgerSession) -> dict[str, Taken]:
    """Incident's id → who took it, closed ones too; without those that are here no more."""
    found, gone = map(_taken, session.cursors.list(_TAKEN).values()), _gone(session)
    return {each.incident: each for each in found if each is not None and each.actor not in gone}


def give(session: LedgerSession, made: HandOff, names: Mapping[str, Any]) -> HandOff:
    """Hand something off; the same to the same while it is open is told once.

    Args:
        session: of a transaction.
        made: what is handed off.
        names: people that it may be given to.

    Raises:
        DeclarationError: neither a person nor a duty, or both; or to oneself.
        NotFound: no such person or duty.
    """
    if bool(made.to) == bool(made.duty):
        raise DeclarationError(
            "A hand-off is for one person or for one duty.",
            hint=f"Give one of them; duties: {', '.join(DUTIES)}.",
        )
    if made.duty and made.duty not in DUTIES:
        raise not_found("duty", made.duty, DUTIES)
    if made.to and made.to not in names:
        raise not_found("person", made.to, names)
    if made.to == made.giver:
        raise DeclarationError("Nobody hands off to themselves.", hint="Name another person, or a duty.")
    for each in list_hand_offs(session):
        if (each.about, each.to, each.duty) == (made.about, made.to, made.duty):
            return each
    session.cursors.put(_HANDED + made.id, _kept(made))
    session.audit.append(HANDED, made.asset, {name: value for name, value in _kept(made).items() if name != "at"})
    return made


def take_hand_off(session: LedgerSession, hand_off: str) -> HandOff:
    """Take a hand-off that is no open incident's; it is on the list no longer.

    Raises:
        NotFound: no such open one.
    """
    known = {each.id: each for each in list_hand_offs(session)}
    if hand_off not in known:
        raise not_found("open hand-off", hand_off, known)
    _accept(session, known[hand_off])
    return known[hand_off]


def list_hand_offs(session: LedgerSession) -> list[HandOff]:
    """Open ones, in the order in which they were given; what was for somebody who is here no more has come back."""
    found = (HandOff(**{**kept, "at": parse_at(kept["at"])}) for kept in session.cursors.list(_HANDED).values() if kept)
    gone = _gone(session)
    return sorted((_come_back(each, gone) for each in found), key=lambda each: (each.at, each.id))


def new_hand_off_id() -> str:
    """An id of its own."""
    return new_id("hnd")


def _come_back(each: HandOff, gone: Collection[str]) -> HandOff:
    """To the giver; where the giver has gone, too, to who is on call."""
    if each.to not in gone:
        return each
    reason = f"{each.to} is here no more: {each.reason}"
    lost = each.giver in gone
    return replace(each, to="" if lost else each.giver, duty="on_call" if lost else "", reason=reason)


def _gone(session: LedgerSession) -> Collection[str]:
    """People who were closed: what they had must not wait for them."""
    return {each.name for each in session.people.list(open_only=False) if each.closed_at is not None}


def _taken(kept: Mapping[str, Any] | None) -> Taken | None:
    return Taken(**{**kept, "at": parse_at(kept["at"])}) if kept else None


def _accept(session: LedgerSession, taken: HandOff) -> None:
    session.cursors.put(_HANDED + taken.id, None)
    session.audit.append(ACCEPTED, taken.asset, {"hand_off": taken.id, "about": taken.about, "from": taken.giver})


def _kept(what: Taken | HandOff) -> dict[str, Any]:
    return {**asdict(what), "at": iso(what.at)}
