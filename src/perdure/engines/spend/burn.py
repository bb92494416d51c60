"""How fast a budget is spent, and when it will be gone at that rate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from perdure.core.errors import TooFewRows
from perdure.core.units import hours
from perdure.core.usage import PICO


@dataclass(frozen=True, slots=True)
class Burn:
    """Where a budget stands at an instant."""

    spent_usd: float
    left_usd: float
    """Below zero where more was spent."""
    rate_usd_per_h: float
    """Over the newest hours, also those before the budget's window began."""
    burn_ratio: float
    """Rate to the even one that spends the budget in its window: 1 just does, 2 is through at half time."""
    projected_usd: float
    """Spent by the window's end at this rate."""
    spent_at: datetime | None
    """When it was, or will be, all spent; None: not in this window."""
    n_unknown: int
    """Calls of the window whose price is not known: all the rest is that much too low."""


def burn(
    calls: pl.DataFrame,
    budget_usd: float,
    window: tuple[datetime, datetime],
    at: datetime,
    *,
    over: timedelta = hours(24),
) -> Burn:
    """The burn of one budget.

    Alerts on it do well to ask twice, over an hour and over a day: the first is quick, the second sure (Beyer et al., The
    Site Reliability Workbook, 2018, chapter 5).

    Args:
        calls: rows of `calls` that the budget pays for, from `over` before `at` and from the window's begin on.
        budget_usd: what may be spent in the window.
        window: its first instant, and the first after it.
        at: the instant; later calls are not looked at.
        over: the newest stretch that the rate is taken from.

    Raises:
        TooFewRows: the budget, the window or `over` is empty.

    Cost: one sort of the window's calls.
    """
    start, end = window
    if not budget_usd > 0.0 or end <= start or over <= timedelta(0):
        raise TooFewRows("A burn needs a budget, a window and a stretch that are not empty.", n=0, n_needed=1)
    before = calls.filter(pl.col("served_at") < at)
    inside = before.filter((pl.col("served_at") >= start) & (pl.col("served_at") < end)).sort("served_at")
    spent = _picos(inside["cost_pusd"]) / PICO
    newest = before.filter(pl.col("served_at") >= at - over)
    rate = _picos(newest["cost_pusd"]) / PICO / (over / hours(1))
    still_h = max(0.0, (end - at) / hours(1))
    return Burn(
        spent_usd=spent,
        left_usd=budget_usd - spent,
        rate_usd_per_h=rate,
        burn_ratio=rate * ((end - start) / hours(1)) / budget_usd,
        projected_usd=spent + rate * still_h,
        spent_at=_reached(inside, budget_usd) if spent >= budget_usd else _ahead(at, budget_usd - spent, rate, still_h),
        n_unknown=inside["cost_pusd"].null_count(),
    )


def _picos(costs: pl.Series) -> int:
    return int(costs.cast(pl.Int128).sum())


def _reached(inside: pl.DataFrame, budget_usd: float) -> datetime:
    """The call with which the budget was gone."""
    total = inside["cost_pusd"].fill_null(0).cast(pl.Int128).cum_sum()
    found: datetime = inside.filter(total >= int(budget_usd * PICO))["served_at"][0]
    return found


def _ahead(at: datetime, left_usd: float, rate: float, still_h: float) -> datetime | None:
    return at + hours(1) * (left_usd / rate) if rate * still_h >= left_usd and rate > 0.0 else None
