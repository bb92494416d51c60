"""Verbs of money: what calls cost by any dimension, hours that cost what they should not, how full budgets are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.core.clock import from_us, to_us
from perdure.core.errors import NotFound, nearest
from perdure.core.units import days, hours
from perdure.core.usage import PICO
from perdure.surface.drained import AsOf, drained
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    import polars as pl

    from perdure.engines.spend.report import Per
    from perdure.serve.gateway.allowance_levels import LevelReport
    from perdure.stores.ledger.protocols import Key

OF_ATTEMPTS = ("target", "upstream", "model")
"""Dimensions of the attempts of a call, which may have gone to several."""
DIMENSIONS = (
    *("team", "key", "route", *OF_ATTEMPTS, "version", "arm", "prompt", "endpoint", "outcome", "finish", "status"),
    *("cache", "stream", "affinity", "generation"),
)
"""What calls can be told apart by, beside `tag:NAME`."""
_NEEDED = ("cost_pusd", "saved_pusd", "n_input", "n_output", "outcome", "tags")
_RATE_OVER = hours(24)
_YEAR = days(365)
_TAG = "tag:"
_NOBODYS = ("shadow", "probe")
"""Arms whose calls are billed by upstreams, and count in no budget."""


@dataclass(frozen=True, slots=True)
class SpendRow:
    """What one group of calls cost."""

    period: datetime | None
    """First instant of the hour, day or month; None where none was asked for."""
    of: Mapping[str, str | None]
    """Dimension → its value."""
    calls: int
    tokens: int
    cost_usd: float | None
    """Of the calls whose price is known; None where none is."""
    n_unknown: int
    """Calls whose price is not known: the cost is that much too low."""
    saved_usd: float
    """By the cache."""
    cut: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class Spend:
    """A report of spend."""

    since: datetime
    until: datetime
    by: Sequence[str]
    per: str | None
    rows: Sequence[SpendRow]
    total: SpendRow
    as_of: AsOf


@dataclass(frozen=True, slots=True)
class AnomalyRow:
    """An hour that cost far more or far less than such hours do."""

    hour: datetime
    of: Mapping[str, str | None]
    cost_usd: float
    expected_usd: float
    score: float
    """Robust standard deviations; below zero for an hour that cost too little."""


@dataclass(frozen=True, slots=True)
class Anomalies:
    """The hours that stand out, the farthest first."""

    since: datetime
    until: datetime
    by: Sequence[str]
    rows: Sequence[AnomalyRow]
    as_of: AsOf


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """One limit or budget, and how full it is: US dollars, requests, tokens, or calls at a time, by `what`."""

    team: str
    key: str
    """Id of the key that has it for itself; empty: the team shares it."""
    what: str
    """`usd`, `requests`, `tokens`, `concurrency`."""
    per: str
    """`day`, `week`, `month`, `total`, `minute`; empty for calls at a time."""
    route: str
    """Of a budget for one route; else empty."""
    used: float
    held: float
    """Kept aside by workers, for calls under way and those to come soon."""
    ceiling: float
    ends_at: datetime | None
    """When the window ends; None: never."""
    rate_usd_per_h: float | None = None
    """Over the last 24 hours; of budgets only, as the rest."""
    burn_ratio: float | None = None
    """Rate to the even one that spends the budget in its window."""
    gone_by: datetime | None = None
    """When it was, or at this rate will be, all spent; None: not in this window (a `total`: not in a year)."""

    @property
    def left(self) -> float:
        """What nobody has taken yet."""
        return max(self.ceiling - self.used - self.held, 0.0)


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits and budgets as they stand."""

    at: datetime
    rows: Sequence[BudgetRow]
    as_of: AsOf
    """Of the calls that rates are taken from; how full each is comes from the shared counters."""


class Spending(Opened):
    """What the gateway's calls cost."""

    def spend(
        self,
        by: Sequence[str] = (),
        *,
        per: Per | None = None,
        since: timedelta = days(7),
        timezone: str = "UTC",
        at: When = None,
        drains: bool = True,
    ) -> Spend:
        """What calls cost, by dimensions and period. Drains first, if nobody else runs the loop.

        Args:
            by: of `DIMENSIONS`, or `tag:NAME`. By `model`, `upstream` or `target` (`upstream/model`) a call counts at
                each that it tried, and what the cache answered is left out.
            per: `hour`, `day` or `month`; None: the whole stretch.
            since: how far back from `at`.
            timezone: of the periods.
            at: domain time; calls from then on are not counted.
            drains: False: nothing is written, and what is captured and not yet in the lake is not counted.

        Raises:
            NotFound: a dimension that there is not.
            BadTeam: a time zone that there is not.
        """
        from perdure.engines.spend import spend
        from perdure.serve.gateway.windows import zone

        zone(timezone)
        until = instant_of(at)
        names = _checked(by)
        as_of = drained(self, until, drains=drains)
        calls = self._spent(names, until - since, until)
        rows = [_row(each, names) for each in spend(calls, names, per, timezone=timezone).iter_rows(named=True)]
        [total] = [_row(each, []) for each in spend(calls).iter_rows(named=True)]
        return Spend(until - since, until, names, per, rows, total, as_of)

    def spend_anomalies(
        self,
        by: Sequence[str] = (),
        *,
        since: timedelta = days(7),
        timezone: str = "UTC",
        at: When = None,
        drains: bool = True,
    ) -> Anomalies:
        """Hours that cost far more or less than the same hours of the four weeks before; see `engines.spend.anomalies`.

        Args:
            by: as of `spend`, but no tags: each group is judged by itself, once it is two weeks old.
            since: the hours that are judged.
            timezone: of hours and days of the week.
            at: domain time.
            drains: as of `spend`.

        Raises: as `spend`.
        """
        from perdure.engines.spend import Rule, anomalies
        from perdure.serve.gateway.windows import zone

        zone(timezone)
        until, rule = instant_of(at), Rule(timezone=timezone)
        names, start = _checked(by, tags=False), until - since
        as_of = drained(self, until, drains=drains)
        calls = self._spent(names, start - days(7 * rule.weeks), until)
        rows = [
            AnomalyRow(each["hour"], {name: each[name] for name in names}, each["cost_usd"], each["expected_usd"], each["score"])
            for each in anomalies(calls, start, until, by=names, rule=rule).iter_rows(named=True)
        ]  # fmt: skip
        return Anomalies(start, until, names, rows, as_of)

    def budgets(self, team: str | None = None, *, at: When = None, drains: bool = True) -> Budgets:
        """How full limits and budgets are, and when a budget will be gone at the rate of the last 24 hours.

        Args:
            team: only of this team and its keys; None: of every declared team.
            at: domain time.
            drains: as of `spend`; rates are of calls.

        Raises:
            NotFound: no such team; the message names the nearest.
            StoreError: the shared counters cannot be reached.
        """
        from perdure.serve.gateway.allowance_levels import levels_of
        from perdure.surface.compose import stores_root
        from perdure.surface.compose_gateway import open_counters

        now = instant_of(at)
        teams = [self.project.team(team)] if team else list(self.project.teams.values())
        as_of = drained(self, now, drains=drains)
        counters = open_counters(stores_root(self.folder, self.settings), self.settings)
        try:
            levels = [
                (each.name, level)
                for each in teams
                for level in levels_of(counters, each, to_us(now), self._keys(each.name, now))
            ]
        finally:
            counters.close()
        calls = self._budgeted([level for _, level in levels], now)
        return Budgets(now, [_budget(name, level, calls, now) for name, level in levels], as_of)

    def _spent(self, by: Sequence[str], start: datetime, until: datetime) -> pl.DataFrame:
        """Rows for the engines: calls, or attempts where a dimension is one of theirs."""
        from perdure.engines.spend import by_target
        from perdure.loop.work.calls import read_attempts, read_calls
        from perdure.loop.work.captured_calls import CALLS_SCHEMA

        lake = self.place.stores.lake
        own = [name for name in by if name in CALLS_SCHEMA]
        calls = read_calls(lake, None, start, until, [*_NEEDED, *own])
        if not any(name in OF_ATTEMPTS for name in by):
            return calls
        return by_target(calls, read_attempts(lake, None, start, until, ["target", "n_input", "n_output", "cost_pusd"]))

    def _keys(self, team: str, now: datetime) -> list[Key]:
        """Keys that can be used."""
        with self._ledger.read() as session:
            keys = session.keys.list(team=team)
        return [key for key in keys if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)]

    def _budgeted(self, levels: Sequence[LevelReport], now: datetime) -> pl.DataFrame:
        """Calls that count in some budget, as far back as the oldest window."""
        import polars as pl

        from perdure.loop.work.calls import read_calls

        windows = [level.limit.window(to_us(now)) for level in levels if level.limit.kind == "usd"]
        start = min([now - _RATE_OVER, *(from_us(window.starts_us) for window in windows)])
        calls = read_calls(self.place.stores.lake, None, start, now, ["team", "key", "route", "arm", "cost_pusd"])
        return calls.filter(~pl.col("arm").is_in(_NOBODYS))


def _checked(by: Sequence[str], *, tags: bool = True) -> list[str]:
    """Dimensions that there are.

    Raises:
        NotFound: one is none; the message has them all, and the nearest.
    """
    for name in by:
        if name not in DIMENSIONS and not (tags and name.startswith(_TAG)):
            near = nearest(name, DIMENSIONS)
            known = ", ".join([*DIMENSIONS, *(["tag:NAME"] if tags else [])])
            raise NotFound(
                f"There is no dimension of spend {name!r}.",
                hint=f"{f'Did you mean {near!r}? ' if near else ''}There are: {known}.",
                name=name,
                nearest=near,
            )
    return list(by)


def _row(found: Mapping[str, Any], by: Sequence[str]) -> SpendRow:
    counts = ("calls", "tokens", "cost_usd", "n_unknown", "saved_usd", "cut", "cancelled")
    told = {name: found[name] for name in counts}
    return SpendRow(period=found.get("period"), of={name: found[name] for name in by}, **told)


def _budget(team: str, level: LevelReport, calls: pl.DataFrame, now: datetime) -> BudgetRow:
    limit = level.limit
    of_money = limit.kind == "usd"
    unit = PICO if of_money else 1
    return BudgetRow(
        team=team,
        key=limit.name if limit.scope == "key" else "",
        what=limit.kind,
        per=limit.per,
        route=limit.route,
        used=level.used / unit,
        held=level.held / unit,
        ceiling=limit.ceiling / unit,
        ends_at=None if level.ends_us is None else from_us(level.ends_us),
        **(dict(_burnt(level, calls, now)) if of_money else {}),
    )


def _burnt(level: LevelReport, calls: pl.DataFrame, now: datetime) -> Iterator[tuple[str, Any]]:
    """What the calls say of a budget: the rate, and when it is gone. The counters have the last word on what is used."""
    import polars as pl

    from perdure.engines.spend import burn

    limit = level.limit
    paid = calls.filter(pl.col(limit.scope) == limit.name)
    if limit.route:
        paid = paid.filter(pl.col("route") == limit.route)
    starts_at = from_us(limit.window(to_us(now)).starts_us)
    # A budget for all time has no even rate; whether it is gone within a year can be told.
    ends_at = now + _YEAR if level.ends_us is None else from_us(level.ends_us)
    found = burn(paid, limit.ceiling / PICO, (starts_at, ends_at), now, over=_RATE_OVER)
    yield "rate_usd_per_h", found.rate_usd_per_h
    yield "burn_ratio", None if level.ends_us is None else found.burn_ratio
    yield "gone_by", found.spent_at or (now if level.used >= limit.ceiling else None)


__all__ = ["Anomalies", "AnomalyRow", "BudgetRow", "Budgets", "Spend", "SpendRow", "Spending"]
