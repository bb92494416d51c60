"""`/money/budgets`: every limit and budget, how full it is, what is left of it and when it is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.asking import text
from perdure.surface.console.money.cells import NONE, count, usd
from perdure.surface.console.records import Asked, Cell, Table, Tone, View
from perdure.surface.words import counted, instant

if TYPE_CHECKING:
    from perdure.surface.spending import BudgetRow

_ALMOST = 0.9
_FULLEST = 5
_MOST_ROWS = 200
_HEADINGS = ("Team", "Limit", "Of", "Used", "Left", "Full", "Window ends", "USD an hour", "Gone by")
_NUMERIC = frozenset({2, 3, 4, 5, 7})
_UNITS: Mapping[str, str] = {"requests": "requests", "tokens": "tokens", "concurrency": "calls at a time"}


@dataclass(frozen=True, slots=True)
class BudgetsTold:
    """Limits and budgets as they stand."""

    at: datetime
    n: int
    n_gone: int
    n_tight: int
    """Nearly full, or gone before their window ends."""
    fullest: Table
    rows: Table
    teams: tuple[str, ...]
    team: str
    whole: bool
    """False: the newest calls are not counted in the rates yet."""
    as_of: datetime | None


def budgets_page(asked: Asked) -> View:
    """Budgets of every team, or of one.

    Raises:
        NotFound: no such team.
        StoreError: the shared counters cannot be reached.
    """
    team = text(asked.query, "team")
    teams = tuple(sorted(asked.project.project.teams))
    rows: list[BudgetRow] = []
    whole, as_of = True, None
    if teams or team:
        told = asked.project.budgets(team or None, at=asked.now, drains=False)
        rows, whole, as_of = sorted(told.rows, key=_fullness, reverse=True), told.as_of.whole, told.as_of.at
    data = BudgetsTold(
        at=asked.now,
        n=len(rows),
        n_gone=sum(row.left <= 0 for row in rows),
        n_tight=sum(_tone(row, asked.now) == "warn" for row in rows),
        fullest=_table(rows[:_FULLEST], "The fullest", asked.now),
        rows=_table(rows, "Limits and budgets, the fullest first", asked.now),
        teams=teams,
        team=team,
        whole=whole,
        as_of=as_of,
    )
    cli = f"perdure budgets --team {team}" if team else "perdure budgets"
    return View("Budgets and limits", data, crumbs=(("Money", "/money"),), cli=cli, live=("money",))


def _fullness(row: BudgetRow) -> float:
    return (row.used + row.held) / row.ceiling if row.ceiling else 1.0


def _tone(row: BudgetRow, now: datetime) -> Tone:
    """Gone, soon gone, or neither."""
    if row.left <= 0 or (row.gone_by is not None and row.gone_by <= now):
        return "bad"
    soon = row.gone_by is not None and (row.ends_at is None or row.gone_by < row.ends_at)
    return "warn" if soon or _fullness(row) >= _ALMOST else "good"


def _table(rows: Sequence[BudgetRow], caption: str, now: datetime) -> Table:
    empty = "No team has a limit or a budget. Team(…, budgets=[Budget(200, per='month')]) declares one."
    if len(rows) > _MOST_ROWS:
        caption = f"{caption}, the first {_MOST_ROWS} of {counted(len(rows), 'limit')}"
    return Table(_HEADINGS, [_line(row, now) for row in rows[:_MOST_ROWS]], caption, _NUMERIC, empty=empty)


def _line(row: BudgetRow, now: datetime) -> tuple[Cell | str, ...]:
    who = f"{row.team}, key {row.key}" if row.key else row.team
    return (
        who,
        _limit(row),
        _amount(row, row.ceiling),
        _amount(row, row.used + row.held),
        _amount(row, row.left),
        Cell(f"{100 * _fullness(row):.0f}%", tone=_tone(row, now)),
        _when(row.ends_at) if row.per != "minute" else NONE,
        usd(row.rate_usd_per_h) if row.rate_usd_per_h is not None else NONE,
        _when(row.gone_by),
    )


def _limit(row: BudgetRow) -> str:
    """What is limited, in words.

    >>> from perdure.surface.spending import BudgetRow
    >>> _limit(BudgetRow("help", "", "usd", "month", "support", 1.0, 0.0, 20.0, None))
    'US dollars a month on support'
    """
    if row.what == "usd":
        said = "US dollars in total" if row.per == "total" else f"US dollars a {row.per}"
    else:
        said = _UNITS.get(row.what, row.what) + (f" a {row.per}" if row.per and row.what != "concurrency" else "")
    return f"{said} on {row.route}" if row.route else said


def _amount(row: BudgetRow, value: float) -> str:
    return usd(value) if row.what == "usd" else count(round(value))


def _when(at: datetime | None) -> Cell | str:
    return NONE if at is None else Cell(f"{instant(at)} UTC", at=at)
