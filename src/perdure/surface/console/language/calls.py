"""`/language/calls`: calls of the gateway, newest first, by route and by how they ended. Nothing is drained by looking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.surface.calls import OUTCOMES, CallRow
from perdure.surface.console.asking import address, instant, one_of, text
from perdure.surface.console.language.cells import NONE, OVERVIEW, at, count, ms, page_of, usd
from perdure.surface.console.records import Asked, Cell, Table, Tone, View

_PAGE = 100
SPANS: dict[str, timedelta] = {
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
TONES: dict[str, Tone] = {
    "answered": "good",
    "cut": "warn",
    "cancelled": "mute",
    "blocked": "bad",
    "refused": "warn",
    "failed": "bad",
}


@dataclass(frozen=True, slots=True)
class CallsPage:
    """The whole page."""

    route: str
    routes: tuple[str, ...]
    outcome: str
    outcomes: tuple[str, ...]
    since: str
    spans: tuple[str, ...]
    n: int
    as_of: datetime | None
    """Machine time up to which every recorded call is told."""
    whole: bool
    calls: Table


def view(asked: Asked) -> View:
    """The page.

    Raises:
        NotFound: no such route, now or on record.
    """
    route = text(asked.query, "route", most=200)
    outcome = one_of(asked.query, "outcome", OUTCOMES)
    since = one_of(asked.query, "since", tuple(SPANS), "1d")
    start, until = asked.now - SPANS[since], instant(asked.query, "before", asked.now)
    found = asked.project.calls(
        route=route or None,
        outcome=outcome or None,
        limit=_PAGE,
        since=max(until - start, timedelta(0)),
        at=until,
        drains=False,
    )
    last = found.rows[-1].at if found.rows else until
    more = address("/language/calls", route=route, outcome=outcome, since=since, before=last.isoformat())
    data = CallsPage(
        route=route,
        routes=tuple(sorted({*asked.project.project.routes, *filter(None, [route])})),
        outcome=outcome,
        outcomes=OUTCOMES,
        since=since,
        spans=tuple(SPANS),
        n=found.n,
        as_of=found.as_of.at,
        whole=found.as_of.whole,
        calls=Table(
            headings=(
                "Call",
                "Began",
                "Route",
                "Arm",
                "Team",
                "Ended",
                "Tokens",
                "Cost",
                "Took",
                "First byte",
                "Cache",
                "Tries",
            ),
            rows=[_row(each) for each in found.rows],
            caption="Calls of the gateway, newest first",
            numeric=frozenset({6, 7, 8, 9, 11}),
            more=more if found.n > len(found.rows) else "",
            empty="No such call. Wider: another stretch or outcome; none at all: perdure up serves the gateway, and each "
            "round brings its calls here.",
        ),
    )
    cli = "perdure calls" + (f" --route {route}" if route else "") + (f" --outcome {outcome}" if outcome else "")
    return View("Calls", data, (OVERVIEW,), f"{cli} --since {since}")


def _row(row: CallRow) -> tuple[Cell | str, ...]:
    return (
        Cell(row.id, address("/language/calls", row.id)),
        at(row.at),
        Cell(row.route, page_of("route", row.route)) if row.route else NONE,
        row.arm or NONE,
        row.team or NONE,
        Cell(row.outcome, tone=TONES.get(row.outcome, "mute"), hint=f"status {row.status}"),
        count(row.tokens.get("input", 0) + row.tokens.get("output", 0)),
        usd(row.cost_usd),
        ms(row.latency_ms),
        ms(row.first_ms),
        row.cache or NONE,
        count(row.n_attempts),
    )
