"""What an owner looks at: money by month, budgets that run out, how far care is automated, and a quarter's ill health."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.core.clock import from_us
from perdure.core.errors import StoreError
from perdure.core.units import days
from perdure.surface.console.asking import address
from perdure.surface.console.inbox.panels import FEW, Panel, caption
from perdure.surface.console.questions import asset_cell
from perdure.surface.console.records import Cell, Table
from perdure.surface.words import counted, instant, money

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Incident
    from perdure.surface.console.board import Tile
    from perdure.surface.console.records import Asked

_QUARTER = days(90)
_MOST_ASSETS = 100
"""Above that many, the stage of each is told by the command: it is read asset by asset."""
_MOST_INCIDENTS = 800
"""The newest that are looked at: some 45 µs each."""


def panels(asked: Asked) -> tuple[Panel, ...]:
    """Money, budgets, maturity, health."""
    found = [_ill_health(asked), _maturity(asked)]
    if asked.project.project.routes:
        found = [_months(asked, paid=True), *_budgets(asked), *found]
    elif asked.board.hours:
        found = [_months(asked, paid=False), *found]
    return tuple(found)


def _months(asked: Asked, *, paid: bool) -> Panel:
    """By calendar month in UTC, of the 90 days that the board has; what a project's own models answer costs no model's price."""
    by_month: dict[str, tuple[int, int, float]] = {}
    for hour in (each for many in asked.board.hours.values() for each in many):
        month = f"{from_us(hour.at_us):%Y-%m}"
        n, failed, cost = by_month.get(month, (0, 0, 0.0))
        by_month[month] = (n + hour.n, failed + hour.n_failed, cost + hour.cost_usd)
    rows = [
        (month, f"{n:,}", f"{failed:,}", *([money(cost)] if paid else ()))
        for month, (n, failed, cost) in sorted(by_month.items())[::-1]
    ]
    title = "Requests and money by month" if paid else "Requests by month"
    note = "Of the newest 90 days: the oldest month is not whole." if len(rows) > 2 else ""
    empty = "Nothing was asked yet: perdure up answers."
    headings = ("Month", "Requests", "Failed", *(["Cost"] if paid else ()))
    table = Table(headings, rows, caption(title), frozenset(range(1, len(headings))), "/money" if paid else "", empty)
    return Panel("months", title, table, note)


def _budgets(asked: Asked) -> list[Panel]:
    title = "Budgets, those first that will be gone first"
    try:
        found = [row for row in asked.project.budgets(at=asked.now, drains=False).rows if row.what == "usd"]
    except StoreError as error:
        return [
            Panel("budgets", title, Table(("Team",), (), caption(title), empty=f"They cannot be read now: {error}"))
        ]
    found.sort(key=lambda row: (row.gone_by is None, row.gone_by or asked.now, row.team))
    rows = [
        (
            row.team,
            row.route or "all",
            row.per,
            money(row.used),
            money(row.ceiling),
            Cell(instant(row.gone_by), at=row.gone_by) if row.gone_by else "not at this rate",
        )
        for row in found[:FEW]
    ]
    headings = ("Team", "Route", "Per", "Used", "Budget", "Gone by")
    empty = "No team has a budget: declare one in a Team."
    return [Panel("budgets", title, Table(headings, rows, caption(title), frozenset({3, 4}), empty=empty))]


def _maturity(asked: Asked) -> Panel:
    title = "What the next stage of automation lacks"
    headings = ("Asset", "Stage", "Lacks")
    if sum(tile.declared for tile in asked.board.tiles) > _MOST_ASSETS:
        empty = f"More than {_MOST_ASSETS} assets: perdure maturity lists them."
        return Panel("maturity", title, Table(headings, (), caption(title), empty=empty))
    found = sorted(asked.project.maturity(), key=lambda each: (each.stage, each.asset))
    rows = [
        (asset_cell(asked, each.asset), f"{each.stage} {each.name}", "; ".join(each.missing))
        for each in found
        if each.missing
    ]
    empty = "Every asset is at the last stage, or none is declared."
    return Panel("maturity", title, Table(headings, rows[:FEW], caption(title), empty=empty))


def _ill_health(asked: Asked) -> Panel:
    """Hours with an open incident, by asset; several at once count once."""
    since = asked.now - _QUARTER
    with asked.project.place.stores.ledger.read() as session:
        known = session.incidents.list(limit=_MOST_INCIDENTS)
    by_asset: dict[str, list[Incident]] = {}
    for each in (*known, *asked.board.incidents):
        if (each.closed_at is None or each.closed_at > since) and each.opened_at < asked.now:
            mine = by_asset.setdefault(each.asset, [])
            if each.id not in {other.id for other in mine}:
                mine.append(each)
    ill = {asset: _covered(asked, many) for asset, many in by_asset.items()}
    rows = [
        (
            asset_cell(asked, asset),
            f"{1 - ill[asset] / _QUARTER:.2%}",
            f"{ill[asset] / timedelta(hours=1):,.0f} h",
            Cell(counted(len(by_asset[asset]), "incident"), href=address("/incidents", state="all", asset=asset)),
        )
        for asset in sorted(ill, key=lambda each: ill[each], reverse=True)[:FEW]
    ]
    title = "Health over the last 90 days, the worst first"
    headings = ("Asset", "Without an incident", "Ill for", "Incidents")
    empty = "No asset was ill in the last 90 days."
    watched = [each.name for each in asked.board.tiles if each.declared and _has_objectives(each)]
    n_well = sum(name not in ill for name in watched)
    note = f"{n_well:,} of {counted(len(watched), 'asset')} with objectives had no incident." if ill else ""
    if len(known) == _MOST_INCIDENTS:
        note = f"Of the newest {_MOST_INCIDENTS:,} incidents. {note}".strip()
    return Panel("quarter", title, Table(headings, rows, caption(title), frozenset({1, 2}), empty=empty), note)


def _has_objectives(tile: Tile) -> bool:
    """Its own: a feature view is as well as its source."""
    return tile.kind != "feature_view" and tile.state != "no objective"


def _covered(asked: Asked, incidents: list[Incident]) -> timedelta:
    """Time within the quarter that any of them was open."""
    since, until = asked.now - _QUARTER, asked.now
    spans = sorted((max(each.opened_at, since), min(each.closed_at or until, until)) for each in incidents)
    whole, end = timedelta(0), since
    for start, stop in spans:
        if stop > end:
            whole += stop - max(start, end)
            end = stop
    return whole
