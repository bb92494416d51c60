"""The page of incidents: open ones from the board, those that are over from the ledger, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address, behind, one_of, text, whole
from perdure.surface.console.questions import asset_cell
from perdure.surface.console.records import Cell, Table, View
from perdure.surface.governance.handing import list_taken
from perdure.surface.governance.snoozing import list_snoozed
from perdure.surface.words import instant as told_at
from perdure.surface.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perdure.stores.ledger.protocols import Incident
    from perdure.surface.console.records import Asked
    from perdure.surface.governance.handing import Taken
    from perdure.surface.governance.snoozing import Snoozed

PAGE = 50
STATES = ("open", "closed", "all")
_DEEPEST = 20_000


@dataclass(frozen=True, slots=True)
class Incidents:
    """What the page draws."""

    state: str
    asset: str
    q: str
    n_open: int
    n_asleep: int
    n_taken: int
    rows: Table


@dataclass(frozen=True, slots=True)
class _Tended:
    taken: Mapping[str, Taken]
    asleep: Mapping[str, Snoozed]


def show_incidents(asked: Asked) -> View:
    """Incidents by state, asset and words; `at` is how many are before."""
    state = one_of(asked.query, "state", STATES, "open")
    asset, q = text(asked.query, "asset"), text(asked.query, "q", most=100)
    first = whole(asked.query, "at", 0, most=_DEEPEST)
    open_now = asked.board.incidents
    with asked.project.place.stores.ledger.read() as session:
        tended = _Tended(list_taken(session), list_snoozed(session, asked.now))
        if state == "open":
            found: Sequence[Incident] = [each for each in open_now if asset in ("", each.asset)][::-1]
        else:
            # Words are looked for in all; else enough of the newest are read for this page, however many of them are open.
            limit = None if q else first + PAGE + 1 + (len(open_now) if state == "closed" else 0)
            known = session.incidents.list(asset=asset or None, limit=limit)[::-1]
            found = [each for each in known if state == "all" or each.closed_at is not None]
    found = [each for each in found if _speaks_of(each, q)]
    rows = [_row(asked, each, tended) for each in found[first : first + PAGE]]
    rest = address("/incidents", state=state, asset=asset, q=q, at=first + PAGE) if len(found) > first + PAGE else ""
    ids = {each.id for each in open_now}
    data = Incidents(
        state=state,
        asset=asset,
        q=q,
        n_open=len(open_now),
        n_asleep=len(ids & tended.asleep.keys()),
        n_taken=len(ids & tended.taken.keys()),
        rows=Table(
            ("What", "Asset", "Since", "State", "Who looks after it", "What is done"),
            rows,
            f"{words(state).capitalize()} incidents, newest first",
            more=rest,
            empty=behind(first, _nothing(state, asset or q)),
        ),
    )
    cli = "perdure incidents" if state == "open" else "perdure incidents --all"
    return View("Incidents", data, cli=cli, live=("incidents",))


def _speaks_of(incident: Incident, q: str) -> bool:
    said = f"{incident.asset} {words(incident.kind)} {incident.kind} {incident.summary} {incident.id}"
    return q.casefold() in said.casefold()


def _row(asked: Asked, incident: Incident, tended: _Tended) -> tuple[Cell | str, ...]:
    doing = incident.closing if incident.closed_at else asked.board.doing.get(incident.id, "")
    return (
        Cell(words(incident.kind).capitalize(), href=address("/incidents", incident.id), hint=incident.summary),
        asset_cell(asked, incident.asset),
        Cell(told_at(incident.opened_at), at=incident.opened_at),
        _state(incident, tended),
        tended.taken[incident.id].actor if incident.id in tended.taken else "",
        doing or incident.summary,
    )


def _state(incident: Incident, tended: _Tended) -> Cell:
    if incident.closed_at is not None:
        return Cell("closed", tone="mute")
    if incident.id in tended.asleep:
        return Cell("asleep", tone="info")
    return Cell("open", tone="bad")


def _nothing(state: str, narrowed: str) -> str:
    if narrowed:
        return "No incident is like that: take words out of the filter."
    if state == "open":
        return "Nothing is broken: every objective that is measured holds. Objectives come from `healthy = [...]` of an asset."
    return "No incident was ever opened: perdure tick measures, and opens one where an objective is broken."
