"""`/money/anomalies`: hours that cost far more or less than the same hours of the four weeks before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.core.errors import NotFound, nearest
from perdure.core.units import parse_duration
from perdure.surface.console.asking import address, one_of, text
from perdure.surface.console.money.cells import NONE, usd
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.spending import DIMENSIONS
from perdure.surface.words import instant

if TYPE_CHECKING:
    from perdure.surface.spending import AnomalyRow

STRETCHES = ("1d", "7d", "30d")
_MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class OddHours:
    """Hours that stand out."""

    since: datetime
    until: datetime
    stretch: str
    by: str
    dimensions: tuple[str, ...]
    stretches: tuple[str, ...]
    rows: Table


def anomalies_page(asked: Asked) -> View:
    """The hours that stand out, the farthest first.

    Raises:
        NotFound: no such dimension.
    """
    stretch, by = one_of(asked.query, "since", STRETCHES, "7d"), text(asked.query, "by", most=100) or "team"
    if by not in DIMENSIONS:
        near = nearest(by, DIMENSIONS)
        raise NotFound(f"There is no dimension of spend {by!r}.", hint=f"Did you mean {near!r}?" if near else "")
    found = asked.project.spend_anomalies([by], since=parse_duration(stretch), at=asked.now, drains=False)
    headings = ("Hour", by, "Cost", "Expected", "Deviations")
    empty = (
        "No hour stands out. A group is judged once it has calls of two weeks, and where it is off by a dollar or more."
    )
    rows = [_line(row, by) for row in found.rows[:_MOST_ROWS]]
    table = Table(headings, rows, "Hours that stand out, the farthest first", frozenset({2, 3, 4}), empty=empty)
    data = OddHours(found.since, found.until, stretch, by, DIMENSIONS, STRETCHES, table)
    cli = f"perdure spend --anomalies --by {by} --since {stretch}"
    return View("Hours that stand out", data, crumbs=(("Money", "/money"),), cli=cli, live=("money",))


def _line(row: AnomalyRow, by: str) -> tuple[Cell | str, ...]:
    dear = row.cost_usd > row.expected_usd
    calls = address("/money", by=by, since="7d", per="hour")
    return (
        Cell(f"{instant(row.hour)} UTC", at=row.hour),
        Cell(row.of.get(by) or NONE, href=calls),
        Cell(usd(row.cost_usd), tone="bad" if dear else "info"),
        usd(row.expected_usd),
        f"{row.score:+,.1f}",
    )
