"""`perdure key`: issue, list and revoke callers' keys of the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from perdure.surface.cli.options import HERE, Actor, Folder, Json, Reason, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put
from perdure.surface.cli.taking import taking
from perdure.surface.cli.usage import Command, Group
from perdure.surface.words import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.surface.keying import IssuedKey
    from perdure.surface.records import KeyRow

group = typer.Typer(name="key", cls=Group, help="Callers' keys of the gateway.", no_args_is_help=True)

_HEADINGS = {
    "id": Column("key", ()),
    "team": Column("team", ()),
    "label": Column("label", (), spare=2),
    "state": Column("state", ()),
    "limits": Column("limits", (), spare=3),
    "created": Column("issued", (), spare=4),
    "expires": Column("expires", (), spare=1),
    "by": Column("by", (), spare=5),
}
_STATE = {"good": "[green]good[/]", "expired": "[dim]expired[/]", "revoked": "[red]revoked[/]"}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is said of a new key."""

    team: Annotated[str, typer.Option(metavar="TEAM", help="The team that calls with it.")]
    label: Annotated[str, typer.Option(metavar="TEXT", help="What a person calls it.", show_default=False)] = ""
    expires: Annotated[
        str | None, typer.Option(metavar="SPAN", help="How long it can be used, such as 90d. Default: no end.")
    ] = None
    admin: Annotated[bool, typer.Option("--admin", help="It may change what others may do.")] = False
    requests: Annotated[int | None, typer.Option(metavar="N", help="Requests a minute.")] = None
    tokens: Annotated[int | None, typer.Option(metavar="N", help="Tokens a minute, input and output.")] = None
    concurrency: Annotated[int | None, typer.Option(metavar="N", help="Calls under way at a time.")] = None


@group.command(cls=Command)
@taking(_Wanted)
def create(wanted: _Wanted, project: Folder = HERE, actor: Actor = None, json: Json = False) -> None:
    """Issue a key for a team, and print its secret: this once, and never again."""
    from perdure.assets.team import Limits
    from perdure.core.units import parse_duration
    from perdure.surface.keying import KeyTerms

    terms = KeyTerms(
        label=wanted.label,
        expires=parse_duration(wanted.expires) if wanted.expires else None,
        admin=wanted.admin,
        limits=Limits(wanted.requests, wanted.tokens, wanted.concurrency),
    )
    _created(opened(project, actor).create_key(wanted.team, terms), as_json=json)


@group.command("list", cls=Command)
def list_keys(
    team: Annotated[str | None, typer.Option(metavar="TEAM", help="Only keys of this team.")] = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """List keys in the order in which they were issued, those that are over too; no secret is kept."""
    _listed(opened(project).list_keys(team), as_json=json)


@group.command(cls=Command)
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, or how it begins.")],
    reason: Reason = "",
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Take a key away for good: servers refuse it with their next look at the ledger."""
    revoked = opened(project, actor).revoke_key(key, reason=reason)
    if json:
        return print_json(revoked)
    put(f"[red]revoked[/]  {escape(revoked.id)}  of {escape(revoked.team)}")
    return None


def _created(issued: IssuedKey, *, as_json: bool) -> None:
    if as_json:
        return print_json(issued)
    key = issued.key
    put(f"[green]issued[/]  {escape(key.id)}  for {escape(key.team)}")
    put(escape(issued.secret))
    put("[dim]The secret is shown this once: only its hash is kept.[/]")
    return None


def _listed(found: Sequence[KeyRow], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if not found:
        return put("No key: perdure key create --team TEAM issues one.")
    return put(Fitted(of_rows(_HEADINGS, [_cells(key) for key in found])))


def _cells(key: KeyRow) -> dict[str, str]:
    limits = [f"{name} {value}" for name, value in key.limits.items() if name != "budgets"]
    limits += ["budgets"] if "budgets" in key.limits else []
    return {
        "id": escape(key.id),
        "team": escape(key.team) + (" [bold](admin)[/]" if key.admin else ""),
        "label": escape(key.label),
        "state": _STATE[key.state],
        "limits": ", ".join(limits),
        "created": instant(key.created_at),
        "expires": instant(key.expires_at) if key.expires_at else "",
        "by": escape(key.actor),
    }
