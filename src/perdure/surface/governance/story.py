"""The story of an incident, gathered from the ledger: what was seen, thought, decided, done, and what it gave.

Called by `perdure explain` and by the evidence pack. The story is data; `telling` puts it in words.
An asset without an incident has a story too: repairs on a schedule or by hand need none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.core.clock import parse_at
from perdure.core.errors import NotFound, not_found
from perdure.surface.governance.entries import by_beginning, entries
from perdure.surface.governance.history import HistoryRow, history

if TYPE_CHECKING:
    from perdure.assets.health import Reading
    from perdure.stores.ledger.protocols import Approval, AuditEntry, Incident, Ledger, LedgerSession
    from perdure.stores.telemetry.protocols import Readings

DECIDED, VERIFIED, OUTCOME = "loop.decide", "loop.verify", "loop.outcome"
"""Actions of the loop's entries in the audit chain."""
_FEW, _ALL = 20, 100_000
_INCIDENT = "inc_"
"""What ids of incidents begin with."""


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of the chain that belongs to a story."""

    sequence: int
    at: datetime
    actor: str
    asset: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """A reading that was broken, and the newest one like it since."""

    objective: str
    slice: str
    unit: str
    before: float | None
    before_at: datetime
    after: float | None
    after_at: datetime | None
    """None: not measured since."""


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that the records say of one incident, or of an asset that has none."""

    asset: str
    incident: Incident | None
    decisions: Sequence[Told]
    verdicts: Sequence[Told]
    approvals: Sequence[Approval]
    moves: Sequence[HistoryRow]
    outcomes: Sequence[Told]
    effects: Sequence[Effect]

    @property
    def symptoms(self) -> Sequence[Mapping[str, Any]]:
        """What was broken when the loop first decided; before that, what the incident says."""
        for decision in self.decisions:
            return [each for each in decision.facts["situation"]["symptoms"] if each["state"] == "broken"]
        return [] if self.incident is None else list(self.incident.facts.get("symptoms", ()))


def find_story(ledger: Ledger, readings: Readings, target: str) -> Story:
    """The story of an incident (its id or how it begins), or of an asset's newest one.

    Raises:
        NotFound: neither an incident nor an asset of that name.
        BadRequest: several incidents begin so.
    """
    with ledger.read() as session:
        incident, asset = _target(session, target)
        told = _told(session, asset, incident)
        jobs = {str(each.facts.get("job", "")) for each in (*told[VERIFIED], *told[OUTCOME])}
        jobs |= set(incident.facts.get("jobs", ())) if incident else set()
        approvals = [each for each in session.approvals.list() if each.facts.get("job") in jobs - {""}]
        moves = [each for each in history(session, asset) if each.job in jobs - {""}]
    story = Story(asset, incident, told[DECIDED], told[VERIFIED], approvals, moves, told[OUTCOME], ())
    effects = [_effect(readings, asset, symptom, incident) for symptom in story.symptoms]
    return Story(asset, incident, told[DECIDED], told[VERIFIED], approvals, moves, told[OUTCOME], effects)


def find_incident(session: LedgerSession, text: str) -> Incident:
    """The incident of an id, or of how it begins.

    Raises:
        NotFound: none; the message names the nearest.
        BadRequest: several begin so.
    """
    exact = _of_id(session, text)
    if exact is not None:
        return exact
    known = {incident.id: incident for incident in session.incidents.list()}
    return known[by_beginning("incident", text, known)]


def _of_id(session: LedgerSession, text: str) -> Incident | None:
    """The incident of a whole id, without reading the others."""
    if not text.startswith(_INCIDENT):
        return None
    try:
        return session.incidents.get(text)
    except NotFound:
        return None


def _target(session: LedgerSession, text: str) -> tuple[Incident | None, str]:
    exact = _of_id(session, text)
    if exact is not None:
        return exact, exact.asset
    newest = session.incidents.list(asset=text, limit=1)
    if newest:
        return newest[0], text
    incidents = session.incidents.list()
    assets = {record.name for record in session.registry.list_assets()} | {each.asset for each in incidents}
    if text in assets:
        return None, text
    if not any(text and text in each.id for each in incidents):
        raise not_found("incident or asset", text, [*assets, *(each.id for each in incidents)])
    incident = find_incident(session, text)
    return incident, incident.asset


def _told(session: LedgerSession, asset: str, incident: Incident | None) -> dict[str, list[Told]]:
    """The loop's entries of an incident, those about the assets that it affects included."""
    wanted = incident.id if incident else ""
    about = [asset, *(incident.facts.get("affects", ()) if incident else ())]
    found: dict[str, list[Told]] = {DECIDED: [], VERIFIED: [], OUTCOME: []}
    for entry in _ordered(entries(session, subject=each, actions=tuple(found)) for each in dict.fromkeys(about)):
        if entry.facts.get("incident", "") == wanted:
            found[entry.action].append(Told(entry.sequence, entry.at, entry.actor, entry.subject, entry.facts))
    return found


def _ordered(parts: Iterable[Iterable[AuditEntry]]) -> list[AuditEntry]:
    return sorted({entry.sequence: entry for part in parts for entry in part}.values(), key=lambda each: each.sequence)


def _effect(readings: Readings, asset: str, symptom: Mapping[str, Any], incident: Incident | None) -> Effect:
    """What was broken beside the newest reading of the same objective, up to the incident's end."""
    at = parse_at(symptom["at"])
    until = incident.closed_at if incident else None
    newest = _newest_like(readings, (asset, symptom["signal"], symptom["slice"]), at, until)
    return Effect(
        objective=symptom["objective"],
        slice=symptom["slice"],
        unit=symptom["unit"],
        before=symptom["value"],
        before_at=at,
        after=newest.value if newest else None,
        after_at=newest.at if newest else None,
    )


def _newest_like(readings: Readings, of: tuple[str, str, str], at: datetime, until: datetime | None) -> Reading | None:
    """The newest reading since `at` of an (asset, signal, slice) and of a width that it was measured over at `at`."""
    spans = {_span(each) for each in readings.list(*of, since=at, until=at)}
    # One of the newest is of that width, but for an objective that is measured no more: of a series there may be thousands.
    for limit in (_FEW, _ALL) if spans else ():
        found = readings.list(*of, since=at, until=until, limit=limit)
        later = [each for each in found if each.at > at and _span(each) in spans]
        if later or len(found) < limit:
            return later[-1] if later else None
    return None


def _span(reading: Reading) -> timedelta:
    return reading.window_end - reading.window_start
