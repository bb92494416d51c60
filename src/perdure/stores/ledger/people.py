"""The people role: who may come in, and as what. Each change stands in the chain, so nobody gives himself a role unseen.

No secret comes here: what people prove who they are by is kept beside the ledger, and losing that costs nobody a role. A name is
never given to somebody else: who is closed stays in the history, and stays closed.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, select

from perdure.core.clock import from_us, to_us
from perdure.core.errors import DeclarationError, Refused, not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.people_protocols import PersonRecord
from perdure.stores.ledger.schema import people
from perdure.stores.ledger.scope import Change, Scope, Write

ADMIN = "admin"
"""The role that gives roles: somebody always has it, once anybody had."""
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_MOST_SHOWN = 100


class SqlPersons:
    """People by name, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def put(self, person: PersonRecord) -> PersonRecord:
        """Insert, or replace the earlier state of that name; an equal one changes nothing.

        Raises:
            DeclarationError: no legal name, role or duty.
            Refused: the person is closed; a person would become a program, or the other way; or the last open
                administrator would be none any more.
        """
        author = self._scope.writing()
        person = replace(person, roles=_sorted(person.roles), duties=tuple(dict.fromkeys(person.duties)))
        _check(person)
        stored = self._find(person.name)
        if stored == person:
            return person
        if stored is not None:
            self._check_change(stored, person)
        action = "people.add" if stored is None else "people.close" if person.closed_at else "people.change"
        said: dict[str, Any] = {"person": person.name, "roles": person.roles, "duties": person.duties}
        said |= {"service": person.service, "shown": person.shown}
        said |= {} if stored is None else {"before": {"roles": stored.roles, "duties": stored.duties}}
        row = _person_row(self._scope.project, person, author.actor)
        change = Change(action, f"person:{person.name}", said)
        self._scope.save(change, [Write(people, row, replaces=stored is not None)])
        return person

    def get(self, name: str) -> PersonRecord:
        """The person of a name, closed or not.

        Raises:
            NotFound: nobody has that name.
        """
        found = self._find(name)
        if found is None:
            known = select(people.c.name).where(people.c.project == self._scope.project)
            raise not_found("person", name, self._scope.connection.scalars(known))
        return found

    def list(self, *, open_only: bool = True) -> builtins.list[PersonRecord]:
        """In the order of their names."""
        query = select(people).where(people.c.project == self._scope.project)
        if open_only:
            query = query.where(people.c.closed_us.is_(None))
        return [_person(row) for row in self._scope.connection.execute(query.order_by(people.c.name))]

    def generation(self) -> int:
        """Sequence number of the newest change of anybody; 0 when there is none."""
        newest = select(func.max(people.c.sequence)).where(people.c.project == self._scope.project)
        return int(self._scope.connection.scalar(newest) or 0)

    def _find(self, name: str) -> PersonRecord | None:
        query = select(people).where(people.c.project == self._scope.project, people.c.name == name)
        row = self._scope.connection.execute(query).one_or_none()
        return None if row is None else _person(row)

    def _check_change(self, stored: PersonRecord, person: PersonRecord) -> None:
        if stored.closed_at is not None:
            raise Refused(f"{stored.name!r} was closed, which is for good.", hint="Add the person under another name.")
        if (stored.service, stored.created_at) != (person.service, person.created_at):
            raise Refused(
                f"{stored.name!r} is a {'program' if stored.service else 'person'} since {stored.created_at:%Y-%m-%d}.",
                hint="Add another name.",
            )
        if _administers(stored) and not _administers(person):
            others = [each for each in self.list() if each.name != stored.name and _administers(each)]
            if not others:
                raise Refused(
                    f"{stored.name!r} is the last administrator: nobody could let anybody in any more.",
                    hint="Give the role admin to somebody else first.",
                )


def legal_name(name: str) -> bool:
    """Whether a person or program can be called so.

    >>> [legal_name(each) for each in ("ann", "deploy.bot-2", "Ann", "key:1", "")]
    [True, True, False, False, False]
    """
    return _NAME.fullmatch(name) is not None


def _administers(person: PersonRecord) -> bool:
    return ADMIN in person.roles and person.closed_at is None and not person.service


def _check(person: PersonRecord) -> None:
    for what, name in [("name", person.name), *(("role", each) for each in person.roles)]:
        if not legal_name(name):
            raise DeclarationError(
                f"{name!r} is no {what} of a person.",
                hint="It begins with a-z, and goes on with a-z, 0-9, `.`, `_`, `-`; 64 at most.",
            )
    if len(person.shown) > _MOST_SHOWN or not person.shown.isprintable():
        raise DeclarationError(
            "This full name cannot be kept.", hint=f"Give {_MOST_SHOWN} characters at most, on one line."
        )


def _sorted(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _person_row(project: str, person: PersonRecord, actor: str) -> dict[str, Any]:
    return {
        "project": project,
        "name": person.name,
        "roles": json_text(list(person.roles)),
        "duties": json_text(list(person.duties)),
        "shown": person.shown,
        "service": int(person.service),
        "created_us": to_us(person.created_at),
        "closed_us": None if person.closed_at is None else to_us(person.closed_at),
        "actor": actor,
    }


def _person(row: Row[Any]) -> PersonRecord:
    return PersonRecord(
        name=row.name,
        roles=tuple(json.loads(row.roles)),
        created_at=from_us(row.created_us),
        duties=tuple(json.loads(row.duties)),
        service=bool(row.service),
        shown=row.shown,
        closed_at=None if row.closed_us is None else from_us(row.closed_us),
    )
