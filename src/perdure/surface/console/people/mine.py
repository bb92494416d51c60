"""Whoever asks: their roles and what these permit, where they are signed in, their password."""

from __future__ import annotations

from dataclasses import dataclass

from perdure.core.errors import NotFound
from perdure.surface.console.auth.passwords import LEAST, MOST
from perdure.surface.console.people.standing import PERMIT_WORDS, permitted, sessions_table, stores
from perdure.surface.console.records import NEVER_BY_KEY, PERMITS, Asked, Permit, Table, View
from perdure.surface.governance.handing import DUTIES


@dataclass(frozen=True, slots=True)
class Mine:
    """What one's own page shows."""

    name: str
    shown: str
    service: bool
    roles: tuple[str, ...]
    duties: tuple[str, ...]
    permitted: tuple[str, ...]
    not_permitted: tuple[tuple[str, str], ...]
    """(what, which roles permit it)."""
    sessions: Table
    n_sessions: int
    least: int = LEAST
    most: int = MOST


def mine_page(asked: Asked) -> View:
    """The person that asks."""
    person, parts = asked.person, stores(asked)
    try:
        shown, roles = (kept := asked.project.person(person.name)).shown, kept.roles
    except NotFound:
        shown, roles = "", tuple(sorted(person.roles))
    sessions = [] if person.service else parts.sessions.list(person.name)
    lacking = [permit for permit in PERMIT_WORDS if not person.may(permit)]
    data = Mine(
        name=person.name,
        shown=shown,
        service=person.service,
        roles=tuple(roles),
        duties=tuple(DUTIES.get(each, each) for each in person.duties),
        permitted=permitted(roles, service=person.service),
        not_permitted=tuple((PERMIT_WORDS[permit], _who(permit, service=person.service)) for permit in lacking),
        sessions=sessions_table(sessions, asked.session),
        n_sessions=len(sessions),
    )
    return View("You", data, live=("people",))


def _who(permit: Permit, *, service: bool) -> str:
    if service and permit in NEVER_BY_KEY:
        return "people only"
    return " or ".join(role for role, permits in PERMITS.items() if permit in permits)
