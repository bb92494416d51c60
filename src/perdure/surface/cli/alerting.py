"""`perdure alerts`: what was told, what waits; and a test of the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from perdure.surface.cli.options import HERE, Actor, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put
from perdure.surface.words import counted, instant, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.surface.alerting import Told, Tried, Waiting

_TRIED = {
    "at": Column("sent", ()),
    "asset": Column("asset", ()),
    "events": Column("what", ()),
    "attempt": Column("try", (), right=True, spare=1),
    "came": Column("came to", ()),
    "again": Column("again", (), spare=1),
    "incident": Column("incident", (), spare=3),
    "delivery": Column("delivery", (), spare=4),
}
_WAITING = {
    "since": Column("waits since", ()),
    "asset": Column("asset", ()),
    "events": Column("what", ()),
    "attempts": Column("tries", (), right=True, spare=1),
    "next": Column("not before", ()),
    "incident": Column("incident", (), spare=3),
    "delivery": Column("delivery", (), spare=4),
}


def alerts(
    project: Folder = HERE,
    test: Annotated[bool, typer.Option("--test", help="Send a test now; exit code 7 when it does not arrive.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", help="How many tries, the newest.")] = 20,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Whom incidents were told to, what came of it, and what waits."""
    found = opened(project, actor)
    if test:
        return _tested(found.test_alert(), as_json=json)
    return _shown(found.alerts(limit=limit), as_json=json)


def _tested(tried: Tried, *, as_json: bool) -> None:
    if as_json:
        return print_json(tried)
    put(f"[green]delivered[/]  a test, HTTP {tried.status}  [dim]{tried.delivery}[/]")
    return None


def _shown(found: Told, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if found.to:
        put(f"[bold]alerts[/] to {escape(found.to)} [dim]({found.format})[/]")
    else:
        put("Nobody is told of incidents: set url under \\[alerts].")
    if found.tried:
        put(Fitted(of_rows(_TRIED, [_try(each) for each in found.tried]), indent=2))
    if found.waiting:
        put(Fitted(of_rows(_WAITING, [_wait(each) for each in found.waiting]), indent=2))
    if found.n_given_up:
        given_up = counted(found.n_given_up, "alert")
        put(f"[bold red]{given_up} given up[/] since the last one that arrived: {escape(found.problem)}")
    return None


def _try(each: Tried) -> dict[str, str]:
    status = f"HTTP {each.status}" if each.status is not None else ""
    return {
        "at": instant(each.at),
        "asset": escape(each.asset),
        "events": _events(each.events),
        "attempt": str(each.attempt),
        "came": f"[green]{status}[/]" if each.delivered else f"[red]{escape(each.error)}[/]",
        "again": instant(each.again_at) if each.again_at else "" if each.delivered else "never",
        "incident": each.incident or "",
        "delivery": each.delivery,
    }


def _wait(each: Waiting) -> dict[str, str]:
    return {
        "since": instant(each.since),
        "asset": escape(each.asset),
        "events": _events(each.events),
        "attempts": str(each.attempts),
        "next": instant(each.next_at),
        "incident": each.incident or "",
        "delivery": each.delivery,
    }


def _events(events: Sequence[str]) -> str:
    return ", ".join(words(event) for event in events)
