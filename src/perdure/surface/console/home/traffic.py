"""Requests and spend by the hour, as small charts, with what the day before was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.units import days
from perdure.surface.console.asking import address
from perdure.surface.console.counting import summed
from perdure.surface.console.records import Picture, Series
from perdure.surface.words import money

if TYPE_CHECKING:
    from perdure.surface.console.board import Board

_SHOWN = days(7)
_DAY = days(1)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The last week."""

    n_day: int
    n_day_before: int
    n_failed: int
    """Of the last day."""
    usd_day: float
    usd_day_before: float
    requests: Picture | None
    """None: nothing was asked."""
    spend: Picture | None
    """None: nothing cost anything."""
    told: str
    money_told: str
    money_href: str


def traffic_of(board: Board) -> Traffic:
    """From the board's counts by hour; nothing is read."""
    rows = summed(board.hours, board.at - _SHOWN, board.at)
    day, before = (summed(board.hours, board.at - (n + 1) * _DAY, board.at - n * _DAY) for n in (0, 1))
    n_day, n_before = sum(row[1] for row in day), sum(row[1] for row in before)
    usd, usd_before = sum(row[3] for row in day), sum(row[3] for row in before)
    failed = sum(row[2] for row in day)
    at_us = tuple(row[0] for row in rows)
    asked, cost = any(row[1] for row in rows), any(row[3] for row in rows)
    series = [Series("requests", tuple(float(row[1]) for row in rows))]
    if any(row[2] for row in rows):
        series.append(Series("failed", tuple(float(row[2]) for row in rows)))
    return Traffic(
        n_day=n_day,
        n_day_before=n_before,
        n_failed=failed,
        usd_day=usd,
        usd_day_before=usd_before,
        requests=Picture("requests-by-hour", "Requests an hour", "requests", at_us, tuple(series)) if asked else None,
        spend=Picture("spend-by-hour", "Spend an hour", "USD", at_us, (Series("spend", tuple(row[3] for row in rows)),))
        if cost
        else None,
        told=f"{n_day:,} in the last 24 hours, {n_before:,} in the 24 before"
        + (f"; {failed:,} failed" if failed else ""),
        money_told=f"{money(usd)} in the last 24 hours, {money(usd_before)} in the 24 before",
        money_href=address("/money"),
    )
