"""What of an incident's course is worth telling: read off the audit chain, put in words and figures.

Called by `alerts`. An incident opens, gets another leading cause, is decided about, asks a person, gets
a release or a way back, is mended, or closes; everything else stays in the ledger. What an incident
merely affects has no incident of its own, and so is not told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perdure.core.clock import iso
from perdure.loop.cases import DECIDED
from perdure.loop.repair import OUTCOME
from perdure.stores.ledger.protocols import AuditEntry, Incident, LedgerSession

QUESTION = "question"
"""Kind of what is told of a question that belongs to no incident, such as a release on a schedule."""
_N_CAUSES = 3
_LONGEST = 600
"""Characters of a text; more of it is in `perdure explain`."""
_ENDS = {
    "rolled_back": "rolled_back",
    "mended": "mended",
    **dict.fromkeys(("rejected", "refused", "withdrawn", "overtaken", "failed"), "not_repaired"),
}
"""Outcome of a repair → what is told of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to an incident."""

    about: str
    """The incident's id; of a question without one, the question's."""
    asset: str
    event: str
    """`opened`, `cause_changed`, `decided`, `asked`, `released`, `rolled_back`, `mended`, `not_repaired` or `closed`."""
    text: str
    at: str
    """Domain time, ISO 8601."""
    key: str = ""
    """Told once an incident under a key; empty: it cannot come again."""


def changes(session: LedgerSession, entries: Sequence[AuditEntry], told: Mapping[str, Collection[str]]) -> list[Change]:
    """What is new and worth telling, in the order in which it happened.

    Args:
        session: where the records are that the entries name.
        entries: of the chain, oldest first.
        told: incident → keys of what was told before.
    """
    wanted = [entry for entry in entries if entry.action in _READ]
    if not wanted:
        return []
    known = _Known(session, {incident.id: incident for incident in session.incidents.list()})
    found = [change for entry in wanted if (change := _READ[entry.action](known, entry)) is not None]
    return list(_unrepeated(found, told))


def standing(session: LedgerSession) -> list[Change]:
    """What is open, for whoever was never told of anything."""
    return [_opening(incident) for incident in session.incidents.list(open_only=True)]


def _unrepeated(found: Sequence[Change], told: Mapping[str, Collection[str]]) -> Iterator[Change]:
    seen = {(about, key) for about, keys in told.items() for key in keys}
    for change in found:
        if not change.key:
            yield change
        elif (change.about, change.key) not in seen:
            seen.add((change.about, change.key))
            yield change


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Where the records are that entries name."""

    session: LedgerSession
    incidents: Mapping[str, Incident]

    def incident(self, entry: AuditEntry) -> Incident:
        """The incident that an entry is about, as it is now."""
        return self.incidents[entry.facts["incident"]]


def _opening(incident: Incident) -> Change:
    """With the cause that leads by now, so that it is not told a second time."""
    cause = _leading(incident)
    key = _key(cause) if cause else ""
    return Change(incident.id, incident.asset, "opened", incident.summary, iso(incident.opened_at), key)


def _leading(incident: Incident) -> Mapping[str, Any] | None:
    return next(iter(incident.facts.get("causes", ())), None)


def _key(cause: Mapping[str, Any]) -> str:
    return f"cause/{cause['name']}"


def _opened(known: _Known, entry: AuditEntry) -> Change:
    return _opening(known.incident(entry))


def _updated(known: _Known, entry: AuditEntry) -> Change | None:
    """Another leading cause than all that led before: two of equal weight may swap for ever."""
    incident = known.incident(entry)
    cause = _leading(incident)
    if cause is None:
        return None
    return Change(incident.id, incident.asset, "cause_changed", str(cause["text"]), iso(entry.at), _key(cause))


def _closed(known: _Known, entry: AuditEntry) -> Change:
    incident = known.incident(entry)
    return Change(incident.id, incident.asset, "closed", incident.closing, iso(entry.at))


def _decided(_known: _Known, entry: AuditEntry) -> Change | None:
    incident, decision = entry.facts["incident"], entry.facts["decision"]
    if not incident or decision["choice"] not in ("repair", "ask"):
        return None
    if decision["choice"] == "ask":
        why = decision["reasons"][0]
        return Change(incident, entry.subject, "asked", f"A person must decide. {why}", iso(entry.at), f"ask/{why}")
    plan = "; ".join(action["text"] for action in decision["actions"])
    return Change(incident, entry.subject, "decided", f"To be done: {plan}.", iso(entry.at))


def _asked(known: _Known, entry: AuditEntry) -> Change | None:
    """A question that still waits; one that was answered meanwhile is moot."""
    question = known.session.approvals.get(entry.facts["approval"])
    if question.status != "open":
        return None
    about = str(question.facts.get("incident", "")) or question.id
    who = f"{question.n_needed} of the role {question.role} must say yes"
    text = f"{question.text}? {who}: perdure approve {question.id}"
    return Change(about, question.asset, "asked", text, iso(entry.at))


def _moved(_known: _Known, entry: AuditEntry) -> Change | None:
    evidence = entry.facts.get("evidence", {})
    if not evidence.get("incident") or evidence.get("stage") != "all":
        return None
    versions = ", ".join(move["version"] for move in entry.facts.get("moves", ()))
    return Change(evidence["incident"], entry.subject, "released", f"{versions} answers everything.", iso(entry.at))


def _came_to(_known: _Known, entry: AuditEntry) -> Change | None:
    """How a repair ended. One that held was told when it was released."""
    facts = entry.facts
    event = _ENDS.get(facts["outcome"])
    if event is None or not facts["incident"]:
        return None
    return Change(facts["incident"], entry.subject, event, str(facts["why"]), iso(entry.at))


_READ: Mapping[str, Callable[[_Known, AuditEntry], Change | None]] = {
    "incidents.open": _opened,
    "incidents.update": _updated,
    "incidents.close": _closed,
    DECIDED: _decided,
    "approvals.ask": _asked,
    "pointers.set": _moved,
    OUTCOME: _came_to,
}


def headline(events: Sequence[str]) -> str:
    """Which of several events a receiver should act on: an end, else a beginning, else the newest.

    >>> headline(["opened", "decided"]), headline(["asked", "released"]), headline(["opened", "closed"])
    ('opened', 'released', 'closed')
    """
    return next((event for event in ("closed", "opened") if event in events), events[-1])


def message(about: Incident | None, happened: Sequence[Change], doing: str) -> dict[str, Any]:
    """What is told of an incident: words and figures of its causes, and never a row of data.

    Args:
        about: the incident as it is now; None for a question that belongs to none.
        happened: to it, oldest first; at least one.
        doing: what is being done about it.
    """
    first = happened[0]
    events = [{"event": each.event, "at": each.at, "text": _short(each.text)} for each in happened]
    told: dict[str, Any] = {
        "event": headline([each.event for each in happened]),
        "events": events,
        "asset": about.asset if about else first.asset,
        "kind": about.kind if about else QUESTION,
        "incident": about.id if about else None,
        "summary": _short(about.summary if about else first.text),
        "opened_at": iso(about.opened_at) if about else first.at,
        "closed_at": iso(about.closed_at) if about and about.closed_at else None,
        "causes": [_told(cause) for cause in (about.facts.get("causes", ()) if about else ())[:_N_CAUSES]],
        "doing": _short(doing),
        "look": f"perdure explain {about.id}" if about else "perdure approvals",
    }
    return told


def _told(cause: Mapping[str, Any]) -> dict[str, Any]:
    """A cause with the numbers of its evidence. Words and tables of it may hold values of rows: they stay here."""
    figures = {name: value for name, value in cause["evidence"].items() if isinstance(value, bool | int | float)}
    return {
        "name": cause["name"],
        "weight": cause["weight"],
        "text": _short(str(cause["text"])),
        "figures": figures,
    }


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
