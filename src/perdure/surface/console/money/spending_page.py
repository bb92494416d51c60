"""`/money`: what calls cost by team, key, route, model or anything else, over time, beside what they cost before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.core.errors import NotFound, nearest
from perdure.core.units import parse_duration
from perdure.surface.console.asking import address, one_of, text
from perdure.surface.console.money.cells import NONE, change, count, share, shown_key, usd
from perdure.surface.console.money.over_time import Per, over_time
from perdure.surface.console.money.reading import Told, read_stretch, unpriced
from perdure.surface.console.records import Asked, Bars, Cell, Picture, Table, Tone, View
from perdure.surface.spending import DIMENSIONS

if TYPE_CHECKING:
    import polars as pl

STRETCHES = {"1d": "a day", "7d": "a week", "30d": "30 days", "90d": "90 days", "365d": "a year"}
PERIODS = ("hour", "day", "month")
_OFTEN = ("team", "key", "model", "route", "target", "prompt", "outcome")
"""Offered as links; every dimension can be asked for by its name."""
_TAG = "tag:"
_MOST_ROWS, _MOST_BARS = 100, 12
_ODD: tuple[tuple[str, Callable[[Mapping[str, Any]], Any], Callable[[Any], str], Tone | None], ...] = (
    ("Saved by the cache", lambda row: row["saved_usd"], usd, None),
    ("Price unknown", lambda row: row["n_unknown"], count, "warn"),
    ("Cut or cancelled", lambda row: row["cut"] + row["cancelled"], count, None),
)
"""Columns that are there where a group has such: heading, value of a row, how it is told, and its tone."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to look at it."""

    text: str
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Money:
    """What calls cost."""

    since: datetime
    until: datetime
    stretch: str
    """As the command line writes it."""
    stretch_words: str
    by: str
    per: str
    timezone: str
    ways: tuple[Choice, ...]
    stretches: tuple[Choice, ...]
    periods: tuple[Choice, ...]
    zones: tuple[str, ...]
    dimensions: tuple[str, ...]
    cost: str
    cost_before: str
    calls: str
    tokens: str
    saved: str
    n_unpriced: int
    unpriced: Table
    """Targets whose price is not known."""
    newest: datetime | None
    """When the newest call was recorded."""
    over_time: Picture | None
    bars: Bars | None
    groups: Table


def money_page(asked: Asked) -> View:
    """What calls cost in a stretch.

    Raises:
        NotFound: no such dimension.
        BadTeam: no such time zone.
    """
    by, stretch = _by(asked), one_of(asked.query, "since", tuple(STRETCHES), "30d")
    per: Per = one_of(asked.query, "per", PERIODS, _usual(stretch))  # type: ignore[assignment]  # of PERIODS
    zone = _zone(asked)
    since = parse_duration(stretch)
    lake = asked.project.place.stores.lake
    told = read_stretch(lake, asked.now, since, (by,))
    whole = _sums(read_stretch(lake, asked.now, since))
    names = _names(asked, by)
    rows, before = _grouped(told.calls, by), {row[by]: row["cost_usd"] for row in _grouped(told.before, by)}
    data = Money(
        since=asked.now - since,
        until=asked.now,
        stretch=stretch,
        stretch_words=STRETCHES[stretch],
        by=by,
        per=per,
        timezone=zone,
        ways=tuple(Choice(each, _here(each, stretch, per, zone), each == by) for each in _OFTEN),
        stretches=tuple(Choice(said, _here(by, each, "", zone), each == stretch) for each, said in STRETCHES.items()),
        periods=tuple(Choice(f"by {each}", _here(by, stretch, each, zone), each == per) for each in PERIODS),
        zones=tuple(sorted({"UTC", zone, *(team.timezone for team in asked.project.project.teams.values())})),
        dimensions=DIMENSIONS,
        cost=usd(whole.now["cost_usd"]),
        cost_before=change(whole.now["cost_usd"], whole.before["cost_usd"]),
        calls=count(whole.now["calls"]),
        tokens=count(whole.now["tokens"]),
        saved=usd(whole.now["saved_usd"]),
        n_unpriced=whole.now["n_unknown"],
        unpriced=_unpriced(unpriced(lake, asked.now, since) if whole.now["n_unknown"] else []),
        newest=told.newest,
        over_time=over_time(told.calls, by, per, zone, names) if rows else None,
        bars=_bars(rows, before, by, names),
        groups=_groups(rows, before, by, names, whole.now["cost_usd"]),
    )
    return View("Money", data, cli=f"perdure spend --by {by} --per {per} --since {stretch}", live=("money",))


@dataclass(frozen=True, slots=True)
class _Sums:
    now: Mapping[str, Any]
    before: Mapping[str, Any]


def _sums(told: Told) -> _Sums:
    from perdure.engines.spend import spend

    return _Sums(spend(told.calls).row(0, named=True), spend(told.before).row(0, named=True))


def _by(asked: Asked) -> str:
    by = text(asked.query, "by", most=100) or "team"
    if by not in DIMENSIONS and not by.startswith(_TAG):
        near = nearest(by, DIMENSIONS)
        hint = f"Did you mean {near!r}?" if near else f"There are: {', '.join(DIMENSIONS)}, tag:NAME."
        raise NotFound(f"There is no dimension of spend {by!r}.", hint=hint)
    return by


def _zone(asked: Asked) -> str:
    from perdure.serve.gateway.windows import zone

    name = text(asked.query, "timezone", most=60) or "UTC"
    zone(name)
    return name


def _usual(stretch: str) -> str:
    return {"1d": "hour", "365d": "month"}.get(stretch, "day")


def _here(by: str, stretch: str, per: str, zone: str) -> str:
    return address("/money", by=by, since=stretch, per=per, timezone="" if zone == "UTC" else zone)


def _grouped(calls: pl.DataFrame, by: str) -> list[dict[str, Any]]:
    from perdure.engines.spend import spend

    return list(spend(calls, [by]).iter_rows(named=True))


def _names(asked: Asked, by: str) -> Mapping[str, str]:
    """Keys by what people call them: an id says nothing."""
    if by != "key":
        return {}
    with asked.project.place.stores.ledger.read() as session:
        keys = session.keys.list()
    shared = Counter(key.label for key in keys)
    return {key.id: key.label if shared[key.label] == 1 and key.label else shown_key(key) for key in keys}


def _bars(
    rows: Sequence[Mapping[str, Any]], before: Mapping[str, float | None], by: str, names: Mapping[str, str]
) -> Bars | None:
    priced = [row for row in rows if row["cost_usd"] is not None][:_MOST_BARS]
    if not any(row["cost_usd"] for row in priced):
        return None
    told = tuple((_name(row[by], names), row["cost_usd"], before.get(row[by])) for row in priced)
    rest = len(rows) - len(priced)
    return Bars(
        "groups",
        f"Cost by {by}, and in the stretch before" + (f", the dearest {len(priced)}" if rest else ""),
        "USD",
        told,
        "the stretch before",
    )


def _name(said: Any, names: Mapping[str, str]) -> str:
    return NONE if said is None or said == "" else names.get(str(said), str(said))


def _groups(
    rows: Sequence[Mapping[str, Any]],
    before: Mapping[str, float | None],
    by: str,
    names: Mapping[str, str],
    total: float | None,
) -> Table:
    """A line a group, the dearest first."""
    shown = rows[:_MOST_ROWS]
    odd = tuple(each for each in _ODD if any(each[1](row) for row in shown))
    told = [
        (
            Cell(_name(row[by], names), hint=str(row[by] or "")),
            usd(row["cost_usd"]),
            share(row["cost_usd"], total),
            change(row["cost_usd"], before.get(row[by])),
            count(row["calls"]),
            count(row["tokens"]),
            *(Cell(said(value), tone=tone) if (value := of(row)) else NONE for _, of, said, tone in odd),
        )
        for row in shown
    ]
    headings = (by, "Cost", "Share", "Against before", "Calls", "Tokens", *(each[0] for each in odd))
    caption = f"Cost by {by}" + (f", the dearest {_MOST_ROWS} of {len(rows):,}" if len(rows) > _MOST_ROWS else "")
    empty = (
        "No call was recorded in this stretch. Send one through the gateway: `perdure up` serves the declared routes."
    )
    return Table(headings, told, caption, frozenset(range(1, len(headings))), empty=empty)


def _unpriced(found: Sequence[tuple[str, int]]) -> Table:
    rows = [(target or NONE, count(n)) for target, n in found[:_MOST_ROWS]]
    return Table(("Target", "Calls"), rows, "Targets without a price", frozenset({1}), empty="Every price is known.")
