"""One person or program: what it may, where it is signed in, its keys, and what an administrator can do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address
from perdure.surface.console.people.standing import (
    Choice,
    duty_choices,
    permitted,
    role_choices,
    sessions_table,
    state_of,
    stores,
)
from perdure.surface.console.records import Asked, Cell, Table, View

if TYPE_CHECKING:
    from perdure.surface.peopling import ServiceKey

_MOST_DONE = 20


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key of a program, with where it is taken away."""

    id: str
    label: str
    made_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    state: str
    revoke: str


@dataclass(frozen=True, slots=True)
class PersonShown:
    """What the page of a person shows."""

    name: str
    shown: str
    service: bool
    closed_at: datetime | None
    created_at: datetime
    state: Cell
    own: bool
    """Whoever looks is this person."""
    held: tuple[str, ...]
    permitted: tuple[str, ...]
    roles: tuple[Choice, ...]
    duties: tuple[Choice, ...]
    sessions: Table
    keys: tuple[KeyShown, ...]
    done: Table
    to: str
    """Address that its deeds begin with."""


def person_page(asked: Asked) -> View:
    """A person by name, closed or not."""
    parts = stores(asked)
    person = asked.project.person(asked.path["name"])
    keys = asked.project.list_service_keys(person.name) if person.service else []
    data = PersonShown(
        name=person.name,
        shown=person.shown,
        service=person.service,
        closed_at=person.closed_at,
        created_at=person.created_at,
        state=state_of(person, parts.secrets.list(person.name)),
        own=person.name == asked.person.name,
        held=person.roles,
        permitted=() if person.closed_at else permitted(person.roles, service=person.service),
        roles=role_choices(asked, person.roles),
        duties=duty_choices(person.duties),
        sessions=sessions_table(parts.sessions.list(person.name), asked.session),
        keys=tuple(_key(each) for each in keys[:200]),
        done=_done(asked, person.name),
        to=address("/people", person.name),
    )
    cli = f"perdure people keys {person.name}" if person.service else "perdure people list"
    return View(person.shown or person.name, data, (("People", "/people"),), cli, ("people",))


def _key(key: ServiceKey) -> KeyShown:
    return KeyShown(
        key.id,
        key.label,
        key.made_at,
        key.expires_at,
        key.used_at,
        key.state,
        address("/people", key.person, "keys", key.id, "revoke"),
    )


def _done(asked: Asked, name: str) -> Table:
    """The newest that the board knows of."""
    rows = [
        (Cell("", at=each.at), each.action, each.subject, each.reason)
        for each in asked.board.recent
        if each.actor == name or each.subject == f"person:{name}"
    ]
    headings = ("When", "What", "About", "Reason")
    return Table(
        headings,
        rows[:_MOST_DONE],
        "Newest entries by or about this person",
        empty="Nothing among the newest entries of the ledger.",
    )
