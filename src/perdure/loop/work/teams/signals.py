"""What is measured of a team: money that it spent, and how fast its budgets go. Hours that stand out are in `work.dear_hours`.

Calls of shadows and probes are nobody's: they count in no budget, and are left out. What surprised us: the share of a budget
that is spent, held against the share of the window that has passed, goes on to alarm for weeks after one dear day. What
matters is where the budget will stand at the end of its window at the present rate; a day that is over has no rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.team import Budget, Period, Team
from perdure.core.clock import from_us, iso
from perdure.core.stats import Interval
from perdure.core.units import days
from perdure.core.usage import PICO
from perdure.engines.spend import burn
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.calls import read_calls
from perdure.loop.work.readings import exactly, reading_of
from perdure.stores.ledger.protocols import Key

WindowOf = Callable[[Period, str, datetime], tuple[datetime, datetime]]
"""Period, time zone and instant → the window's begin and end."""
_NOBODYS = ("shadow", "probe")
_EVER = from_us(0)
_AHEAD = days(30)
"""So far ahead a budget for all time is looked at, which has no end of a window."""
_COLUMNS = ("team", "key", "route", "arm", "cost_pusd")


def read_spent(place: Workplace, team: str, start: datetime, end: datetime) -> pl.DataFrame:
    """What a team's own calls of a window cost: `key`, `route`, `cost_pusd`, by time."""
    calls = read_calls(place.stores.lake, None, start, end, _COLUMNS)
    return calls.filter((pl.col("team") == team) & ~pl.col("arm").is_in(_NOBODYS))


def _known(value: float | None, n: int) -> Interval | None:
    """What was spent is known exactly: the interval is the value."""
    return None if value is None else exactly(value, n)


class SpendUsd:
    """Money that the team spent in the window."""

    name = "spend_usd"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, exact but for calls of unknown price, which are counted; none while nothing was called."""
        calls = read_spent(place, asset.declaration.name, now - spec.over, now)
        if calls.is_empty():
            return []
        n_unknown = calls["cost_pusd"].null_count()
        value = None if n_unknown == calls.height else _usd(calls)
        n, facts = calls.height, {"n_unpriced": n_unknown}
        return [reading_of(asset, spec, now, _known(value, n), n=n, unit="USD", facts=facts)]


@dataclass(frozen=True, slots=True)
class _Paid:
    """One budget, and whose calls it pays for."""

    budget: Budget
    key: str = ""

    @property
    def name(self) -> str:
        """Tells the budgets of a team apart, such as `20 USD a day for support of key_1`."""
        route = f" for {self.budget.route}" if self.budget.route else ""
        per = "in total" if self.budget.per == "total" else f"a {self.budget.per}"
        return f"{self.budget.usd:g} USD {per}{route}{f' of {self.key}' if self.key else ''}"

    def of(self, calls: pl.DataFrame) -> pl.DataFrame:
        """The calls that it pays for."""
        for column, value in (("key", self.key), ("route", self.budget.route)):
            calls = calls.filter(pl.col(column) == value) if value else calls
        return calls


@dataclass(frozen=True, slots=True)
class _Window:
    """A budget in its present window."""

    paid: _Paid
    bounds: tuple[datetime, datetime]


class BurnRatio:
    """What will have been spent of a budget at the end of its window, to the budget: above 1 it will be gone before.

    A budget for all time is held against what will have been spent of it in 30 days. What was spent of it before is on record as
    far back as the lake keeps calls.
    """

    name = "burn_ratio"

    def __init__(self, window_of: WindowOf) -> None:
        self._window_of = window_of

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading a budget (without `by`: the worst); none where there is no budget or no call."""
        team: Team = asset.declaration
        windows = [_Window(paid, self._bounds(paid.budget.per, team, now)) for paid in _budgets(place, team, now)]
        if not windows:
            return []
        start = min(now - spec.over, *(window.bounds[0] for window in windows))
        calls = read_spent(place, team.name, start, now)
        if calls.is_empty():
            return []
        readings = [_of_budget(asset, spec, now, window, window.paid.of(calls)) for window in windows]
        if spec.by == "budget":
            return readings
        worst = max(readings, key=lambda reading: (reading.value or 0.0, reading.slice))
        return [reading_of(asset, spec, now, _known(worst.value, worst.n), n=worst.n, unit="", facts=worst.facts)]

    def _bounds(self, per: Period, team: Team, now: datetime) -> tuple[datetime, datetime]:
        return (_EVER, now + _AHEAD) if per == "total" else self._window_of(per, team.timezone, now)


def _of_budget(asset: Watched, spec: SignalSpec, now: datetime, window: _Window, calls: pl.DataFrame) -> Reading:
    budget, found = window.paid.budget, burn(calls, window.paid.budget.usd, window.bounds, now, over=spec.over)
    facts = {
        "budget": window.paid.name,
        "spent_usd": round(found.spent_usd, 6),
        "rate_usd_per_h": round(found.rate_usd_per_h, 6),
        "gone_by": iso(found.spent_at) if found.spent_at else None,
        "n_unpriced": found.n_unknown,
    }
    ratio, part = found.projected_usd / budget.usd, f"budget={window.paid.name}"
    measured = _known(ratio, calls.height)
    return reading_of(asset, spec, now, measured, n=calls.height, unit="", slice=part, facts=facts)


def _budgets(place: Workplace, team: Team, now: datetime) -> list[_Paid]:
    """Each budget: the team's own, and of each key that can be used."""
    with place.stores.ledger.read() as session:
        keys = session.keys.list(team=team.name)
    good = [key for key in keys if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)]
    shared = [_Paid(budget) for budget in team.budgets if not budget.each_key]
    apart = [_Paid(budget, key.id) for key in good for budget in (*_each(team), *_own(key))]
    return [*shared, *apart]


def _each(team: Team) -> Iterator[Budget]:
    return (budget for budget in team.budgets if budget.each_key)


def _own(key: Key) -> Iterator[Budget]:
    return (Budget(**told) for told in key.limits.get("budgets", ()))


def over_of(readings: Sequence[Reading]) -> timedelta:
    """The shortest window of some readings."""
    return min(each.window_end - each.window_start for each in readings)


def _usd(calls: pl.DataFrame) -> float:
    return int(calls["cost_pusd"].cast(pl.Int128).sum() or 0) / PICO
