"""`/ledger/alerts`: whom incidents were told to, what came of each try, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address
from perdure.surface.console.chronicle.cells import LEDGER, NONE, when
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.words import words

if TYPE_CHECKING:
    from perdure.surface.alerting import Tried, Waiting

_LIMIT = 100


@dataclass(frozen=True, slots=True)
class AlertsTold:
    """Alerts as they stand."""

    to: str
    """The receiver's host; empty: nobody is told."""
    format: str
    n_given_up: int
    problem: str
    waiting: Table
    tried: Table


def alerts_page(asked: Asked) -> View:
    """The newest tries, and what waits."""
    told = asked.project.alerts(limit=_LIMIT)
    nobody = "Nobody is told of incidents: set `url` under [alerts] of perdure.toml, or PERDURE_ALERTS_URL."
    idle = "No alert was sent yet." if told.to else nobody
    data = AlertsTold(
        to=told.to,
        format=told.format,
        n_given_up=told.n_given_up,
        problem=told.problem,
        waiting=_waiting(told.waiting),
        tried=_tried(list(reversed(told.tried)), idle),
    )
    return View("Alerts", data, crumbs=(LEDGER,), cli="perdure alerts", live=("incidents",))


def _waiting(waiting: Sequence[Waiting]) -> Table:
    rows = [
        (
            _about(each.incident, each.asset),
            _events(each.events),
            when(each.since),
            f"{each.attempts:,}",
            when(each.next_at),
        )
        for each in waiting[:_LIMIT]
    ]
    headings = ("About", "What", "Waits since", "Tries", "Not before")
    return Table(headings, rows, "Alerts that wait", frozenset({3}), empty="None waits.")


def _tried(tried: Sequence[Tried], empty: str) -> Table:
    rows = [
        (
            when(each.at),
            _about(each.incident, each.asset),
            _events(each.events),
            f"{each.attempt:,}",
            _came(each),
            when(each.again_at),
        )
        for each in tried
    ]
    headings = ("Sent", "About", "What", "Try", "Came to", "Again")
    return Table(headings, rows, "Tries, newest first", frozenset({3}), empty=empty)


def _about(incident: str | None, asset: str) -> Cell | str:
    return Cell(asset or incident, href=address("/incidents", incident)) if incident else asset or NONE


def _events(events: Sequence[str]) -> str:
    return ", ".join(words(each) for each in events)


def _came(tried: Tried) -> Cell:
    if tried.delivered:
        return Cell(f"delivered, HTTP {tried.status}", tone="good")
    return Cell(tried.error, tone="warn" if tried.again_at else "bad")
