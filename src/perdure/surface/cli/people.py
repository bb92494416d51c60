"""`perdure people`: who may come into the console, and as what; keys of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from perdure.core.errors import DeclarationError
from perdure.surface.cli.options import HERE, Actor, All, At, Folder, Json, Reason, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put
from perdure.surface.cli.usage import Command, Group
from perdure.surface.words import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.stores.ledger.people_protocols import PersonRecord
    from perdure.surface.peopling import IssuedServiceKey, ServiceKey
    from perdure.surface.sdk import Perdure

group = typer.Typer(name="people", cls=Group, help="Who may come into the console, and as what.", no_args_is_help=True)

_PEOPLE = {
    "name": Column("name", ()),
    "roles": Column("roles", ()),
    "duties": Column("looks after", (), spare=2),
    "shown": Column("full name", (), spare=3),
    "state": Column("state", ()),
}
_KEYS = {
    "id": Column("key", ()),
    "person": Column("program", ()),
    "label": Column("label", (), spare=1),
    "state": Column("state", ()),
    "made": Column("made", (), spare=3),
    "expires": Column("expires", (), spare=2),
    "used": Column("last used", (), spare=4),
}
Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's or program's name.")]
Roles = Annotated[
    str, typer.Option("--role", metavar="ROLE,…", help="Roles: viewer, scientist, engineer, reviewer, admin, your own.")
]
Duties = Annotated[
    str | None, typer.Option("--duty", metavar="DUTY,…", help="What the person looks after: chooses the inbox.")
]


@group.command("list", cls=Command)
def list_people(project: Folder = HERE, everything: All = False, json: Json = False) -> None:
    """List people and programs with their roles."""
    found = opened(project).list_people(open_only=not everything)
    if json:
        return print_json(found)
    if not found:
        return put("Nobody yet: perdure people add NAME --role admin lets the first in.")
    return put(Fitted(of_rows(_PEOPLE, [_person_cells(each) for each in found])))


@group.command(cls=Command)
def add(  # noqa: PLR0913 - a command takes what may be said with it
    name: Annotated[str, typer.Argument(metavar="NAME", help="Stands on everything that is done; a-z, 0-9, `.`, `-`.")],
    role: Roles = "viewer",
    duty: Duties = None,
    shown: Annotated[str, typer.Option("--shown", metavar="TEXT", help="Full name.", show_default=False)] = "",
    service: Annotated[bool, typer.Option("--service", help="A program: it has keys and no password.")] = False,
    project: Folder = HERE,
    at: At = None,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Let somebody in: a person gets an invite, a program its first key; either is printed this once."""
    found = opened(project, actor)
    person = found.add_person(name, roles=_split(role), duties=_split(duty), shown=shown, service=service, at=at)
    if service:
        return _issued(found.create_service_key(name, at=at), as_json=json)
    return _invited(found, person.name, at, as_json=json)


@group.command(cls=Command)
def role(  # noqa: PLR0913 - a command takes what may be said with it
    name: Name,
    role: Annotated[str | None, typer.Option("--role", metavar="ROLE,…", help="All roles from now on.")] = None,
    duty: Duties = None,
    reason: Reason = "",
    project: Folder = HERE,
    at: At = None,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Give a person other roles or duties in the place of all the former."""
    if role is None and duty is None:
        raise DeclarationError("Nothing is to change.", hint="Give --role ROLE,… or --duty DUTY,…")
    roles, duties = (None if each is None else _split(each) for each in (role, duty))
    person = opened(project, actor).change_person(name, roles=roles, duties=duties, reason=reason, at=at)
    if json:
        return print_json(person)
    return put(f"[green]changed[/]  {escape(person.name)}  {escape(', '.join(person.roles))}")


@group.command(cls=Command)
def close(
    name: Name, reason: Reason = "", project: Folder = HERE, at: At = None, actor: Actor = None, json: Json = False
) -> None:
    """Let somebody in no more, for good: sessions end, keys and password are void, the history stays."""
    person = opened(project, actor).close_person(name, reason=reason, at=at)
    if json:
        return print_json(person)
    return put(f"[red]closed[/]  {escape(person.name)}")


@group.command(cls=Command)
def invite(name: Name, project: Folder = HERE, at: At = None, actor: Actor = None, json: Json = False) -> None:
    """Print an address where a person chooses a new password: good once, for 15 minutes."""
    return _invited(opened(project, actor), name, at, as_json=json)


@group.command(cls=Command)
def keys(  # noqa: PLR0913 - a command takes what may be said with it
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The program. Default: all.")] = None,
    create: Annotated[bool, typer.Option("--create", help="Make one, and print its secret this once.")] = False,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="What it is for.", show_default=False)] = "",
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="SPAN", help="How long it can be used, such as 90d.")
    ] = None,
    revoke: Annotated[str | None, typer.Option("--revoke", metavar="ID", help="Take this one away.")] = None,
    reason: Reason = "",
    project: Folder = HERE,
    at: At = None,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """List keys of programs, make one or take one away; no secret is kept."""
    from perdure.core.units import parse_duration

    found = opened(project, actor)
    if create:
        if name is None or revoke is not None:
            raise DeclarationError("A key is made for one program.", hint="perdure people keys NAME --create")
        span = parse_duration(expires) if expires else None
        return _issued(found.create_service_key(name, label=label, expires=span, at=at), as_json=json)
    if revoke is not None:
        key = found.revoke_service_key(revoke, reason=reason, at=at)
        return print_json(key) if json else put(f"[red]revoked[/]  {escape(key.id)}  of {escape(key.person)}")
    return _listed(found.list_service_keys(name), as_json=json)


def _split(said: str | None) -> list[str]:
    return [each.strip() for each in (said or "").split(",") if each.strip()]


def _invited(found: Perdure, name: str, at: str | None, *, as_json: bool) -> None:
    invited = found.invite_person(name, at=at)
    if as_json:
        return print_json(invited)
    console = found.settings.console
    put(f"[green]invited[/]  {escape(name)}  until {instant(invited.expires_at)}")
    put(escape(f"http://{console.host}:{console.port}{invited.path}"))
    return put("[dim]Good once, for 15 minutes, on the running console; shown this once.[/]")


def _issued(issued: IssuedServiceKey, *, as_json: bool) -> None:
    if as_json:
        return print_json(issued)
    put(f"[green]made[/]  {escape(issued.key.id)}  for {escape(issued.key.person)}")
    put(escape(issued.secret))
    return put("[dim]The secret is shown this once: only its hash is kept.[/]")


def _listed(found: Sequence[ServiceKey], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if not found:
        return put("No key: perdure people add NAME --service lets a program in.")
    return put(Fitted(of_rows(_KEYS, [_key_cells(key) for key in found])))


def _person_cells(person: PersonRecord) -> dict[str, str]:
    return {
        "name": escape(person.name),
        "roles": escape(", ".join(person.roles)),
        "duties": ", ".join(each.replace("_", " ") for each in person.duties),
        "shown": escape(person.shown),
        "state": "[dim]closed[/]" if person.closed_at else "program" if person.service else "person",
    }


def _key_cells(key: ServiceKey) -> dict[str, str]:
    return {
        "id": escape(key.id),
        "person": escape(key.person),
        "label": escape(key.label),
        "state": "[green]good[/]" if key.state == "good" else "[dim]expired[/]",
        "made": instant(key.made_at),
        "expires": instant(key.expires_at) if key.expires_at else "",
        "used": instant(key.used_at) if key.used_at else "",
    }
