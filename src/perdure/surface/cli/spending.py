"""`perdure spend` and `perdure budgets`: what calls cost, and how full limits are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from perdure.surface.cli.options import HERE, At, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put
from perdure.surface.cli.taking import taking
from perdure.surface.words import counted, instant, money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perdure.surface.drained import AsOf
    from perdure.surface.spending import Anomalies, AnomalyRow, BudgetRow, Budgets, Spend, SpendRow

Since = Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back, such as 24h, 7d.")]

_SPEND = {
    "calls": Column("calls", (), right=True),
    "tokens": Column("tokens", (), right=True, spare=1),
    "cost": Column("cost (USD)", (), right=True),
    "unknown": Column("price unknown (calls)", (), right=True, spare=2),
    "saved": Column("saved by the cache (USD)", (), right=True, spare=3),
    "cut": Column("cut (calls)", (), right=True, spare=4),
    "cancelled": Column("cancelled (calls)", (), right=True, spare=5),
}
_ANOMALIES = {
    "cost": Column("cost (USD)", (), right=True),
    "expected": Column("expected (USD)", (), right=True),
    "score": Column("deviations", (), right=True),
}
_BUDGETS = {
    "team": Column("team", ()),
    "key": Column("key", (), spare=2),
    "what": Column("limit", ()),
    "route": Column("route", (), spare=1),
    "used": Column("used", (), right=True),
    "held": Column("held", (), right=True, spare=4),
    "ceiling": Column("of", (), right=True),
    "share": Column("full", (), right=True, spare=3),
    "ends": Column("window ends", (), spare=5),
    "rate": Column("USD an hour", (), right=True, spare=6),
    "gone": Column("gone by", ()),
}
_ALMOST = 0.9
_HOURS = "%Y-%m-%d %H:%M"
_PERIOD = {"hour": _HOURS, "day": "%Y-%m-%d", "month": "%Y-%m"}
_WHAT = {"requests": "requests a minute", "tokens": "tokens a minute", "concurrency": "calls at a time"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which report of spend is wanted."""

    by: Annotated[
        str,
        typer.Option("--by", metavar="NAME,…", help="team, route, model, key, prompt, tag:NAME …", show_default=False),
    ] = ""
    per: Annotated[
        Literal["hour", "day", "month"] | None, typer.Option("--per", metavar="PERIOD", help="hour, day or month.")
    ] = None
    since: Since = "7d"
    anomalies: Annotated[
        bool, typer.Option("--anomalies", help="Hours that cost far more or less than such hours do.")
    ] = False
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="Of the periods.")] = "UTC"


@taking(_Asked)
def spend(asked: _Asked, project: Folder = HERE, at: At = None, json: Json = False) -> None:
    """What the gateway's calls cost, by any dimension and period."""
    from perdure.core.errors import BadRequest
    from perdure.core.units import parse_duration

    found, names = opened(project), [name.strip() for name in asked.by.split(",") if name.strip()]
    span, zone = parse_duration(asked.since), asked.timezone
    if not asked.anomalies:
        return _spent(found.spend(names, per=asked.per, since=span, timezone=zone, at=at), as_json=json)
    if asked.per is not None:
        raise BadRequest("--per goes not with --anomalies, which are hours.", hint="Leave --per out.")
    return _odd(found.spend_anomalies(names, since=span, timezone=zone, at=at), as_json=json)


def budgets(
    project: Folder = HERE,
    team: Annotated[str | None, typer.Option("--team", metavar="TEAM", help="Only of this team and its keys.")] = None,
    at: At = None,
    json: Json = False,
) -> None:
    """How full limits and budgets are, and when a budget will be gone at the rate of the last 24 hours."""
    _full(opened(project).budgets(team, at=at), as_json=json)


def as_of(found: AsOf) -> None:
    """A line where the newest calls are missing."""
    if not found.whole:
        reach = f"the calls recorded until {instant(found.at)} UTC" if found.at else "no call that was recorded"
        put(f"[yellow]as of[/]  {reach}: another process runs the loop, and moves the newest to the lake soon")


def _spent(found: Spend, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    put(f"[dim]{instant(found.since)} to {instant(found.until)} UTC[/]")
    as_of(found.as_of)
    if not found.rows or not found.total.calls:
        return put("No call was recorded in this stretch.")
    headings = _headings(found.by, _SPEND, "period" if found.per else "")
    rows = [_cells(row, found.per) for row in found.rows]
    if len(rows) > 1:
        rows.append(_cells(found.total, None) | {_first(found): "[bold]total[/]"})
    put(Fitted(of_rows(headings, rows)))
    if found.total.n_unknown:
        n = counted(found.total.n_unknown, "call")
        put(f"[yellow]note[/]  the price of {n} is not known: what stands here is that much too low")
    return None


def _first(found: Spend) -> str:
    return "period" if found.per else f"of:{found.by[0]}"


def _headings(by: Sequence[str], rest: Mapping[str, Column], first: str = "") -> dict[str, Column]:
    own = {first: Column(first, ())} if first else {}
    return {**own, **{f"of:{name}": Column(name, ()) for name in by}, **rest}


def _cells(row: SpendRow, per: str | None) -> dict[str, str]:
    period = {"period": format(row.period, _PERIOD[per])} if per and row.period else {}
    counts = {"unknown": row.n_unknown, "cut": row.cut, "cancelled": row.cancelled}
    return {
        **period,
        **_of(row.of),
        "calls": f"{row.calls:,}",
        "tokens": f"{row.tokens:,}",
        "cost": money(row.cost_usd),
        "saved": money(row.saved_usd) if row.saved_usd else "",
        **{name: f"{n:,}" if n else "" for name, n in counts.items()},
    }


def _of(values: Mapping[str, str | None]) -> dict[str, str]:
    return {f"of:{name}": escape(str(value)) if value not in (None, "") else "–" for name, value in values.items()}


def _odd(found: Anomalies, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    put(f"[dim]{instant(found.since)} to {instant(found.until)} UTC, against the four weeks before[/]")
    as_of(found.as_of)
    if not found.rows:
        return put("No hour stands out. What is younger than two weeks is not judged.")
    return put(Fitted(of_rows(_headings(found.by, _ANOMALIES, "hour"), [_odd_cells(row) for row in found.rows])))


def _odd_cells(row: AnomalyRow) -> dict[str, str]:
    return {
        "hour": format(row.hour, _HOURS),
        **_of(row.of),
        "cost": money(row.cost_usd),
        "expected": money(row.expected_usd),
        "score": f"[{'red' if row.score > 0 else 'yellow'}]{row.score:+.1f}[/]",
    }


def _full(found: Budgets, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    as_of(found.as_of)
    if not found.rows:
        return put("No team has a limit or a budget: Team(…, budgets=[Budget(200, per='month')]) declares one.")
    return put(Fitted(of_rows(_BUDGETS, [_level(row) for row in found.rows])))


def _level(row: BudgetRow) -> dict[str, str]:
    of_money = row.what == "usd"
    amount = money if of_money else lambda value: f"{value:,.0f}"
    share = (row.used + row.held) / row.ceiling
    colour = "red" if row.left <= 0.0 else "yellow" if share >= _ALMOST else "green"
    per = "USD in total" if row.per == "total" else f"USD a {row.per}"
    return {
        "team": escape(row.team),
        "key": escape(row.key),
        "what": per if of_money else _WHAT[row.what],
        "route": escape(row.route),
        "used": amount(row.used),
        "held": amount(row.held) if row.held else "",
        "ceiling": amount(row.ceiling),
        "share": f"[{colour}]{share:.0%}[/]",
        "ends": instant(row.ends_at) if row.ends_at and row.per != "minute" else "",
        "rate": money(row.rate_usd_per_h) if row.rate_usd_per_h is not None else "",
        "gone": f"[red]{instant(row.gone_by)}[/]" if row.gone_by else "",
    }
