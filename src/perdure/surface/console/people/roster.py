"""Everybody who may come in, and the form that lets somebody in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.clock import from_us
from perdure.surface.console.asking import address, one_of, whole
from perdure.surface.console.people.standing import Choice, duty_choices, role_choices, state_of, stores
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.governance.handing import DUTIES

if TYPE_CHECKING:
    from perdure.stores.ledger.people_protocols import PersonRecord
    from perdure.surface.console.parts import ConsoleParts

_MOST = 100
_WHO = ("open", "all")


@dataclass(frozen=True, slots=True)
class Roster:
    """What the page of people shows."""

    people: Table
    n_people: int
    n_programs: int
    n_admins: int
    who: str
    roles: tuple[Choice, ...]
    duties: tuple[Choice, ...]


def people_page(asked: Asked) -> View:
    """People and programs, by name."""
    who = one_of(asked.query, "who", _WHO, "open")
    first = whole(asked.query, "from", 0, most=1_000_000)
    found = asked.project.list_people(open_only=who == "open")
    parts = stores(asked)
    rows = [_row(parts, each) for each in found[first : first + _MOST]]
    more = address("/people", who="" if who == "open" else who, **{"from": first + _MOST})
    headings = ("Name", "Full name", "Roles", "Looks after", "State", "Last seen")
    empty = "Nobody yet: perdure console prints an address that lets the first person in."
    table = Table(headings, rows, "People", more=more if len(found) > first + _MOST else "", empty=empty)
    opened = [each for each in found if each.closed_at is None]
    data = Roster(
        table,
        sum(not each.service for each in opened),
        sum(each.service for each in opened),
        sum("admin" in each.roles and not each.service for each in opened),
        who,
        role_choices(asked),
        duty_choices(),
    )
    return View("People", data, cli="perdure people list" + (" --all" if who == "all" else ""), live=("people",))


def _row(parts: ConsoleParts, person: PersonRecord) -> tuple[Cell | str, ...]:
    secrets = parts.secrets.list(person.name)
    seen_us = max(
        [each.seen_us for each in parts.sessions.list(person.name)]
        + [each.used_us for each in secrets if each.kind == "key"],
        default=0,
    )
    return (
        Cell(person.name, href=address("/people", person.name)),
        person.shown or ("a program" if person.service else ""),
        ", ".join(person.roles),
        ", ".join(DUTIES.get(each, each) for each in person.duties),
        state_of(person, secrets),
        Cell("", at=from_us(seen_us)) if seen_us else "",
    )
