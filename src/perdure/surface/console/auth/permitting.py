"""Who asks, and whether they may: a cookie or a key becomes a person, whose roles the ledger knows at this very moment.

The application calls `admit` for every path but the open ones, then `require` with the permit of the page or deed, and for a deed
`check_deed` before that. Nothing is remembered between two requests: a role taken away is gone with the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.errors import NotFound, Refused, Unauthorized
from perdure.surface.console.auth import csrf
from perdure.surface.console.auth.calling import Caller, cookie_name
from perdure.surface.console.records import NEVER_BY_KEY, PERMITS, ROLES, Permit, Person, Role
from perdure.surface.peopling import digest_of

if TYPE_CHECKING:
    from perdure.stores.ledger.people_protocols import PersonRecord
    from perdure.stores.sessions.protocols import Session
    from perdure.surface.console.parts import ConsoleParts

HOUR_US = 3_600_000_000
_BEARER = "bearer "
OPEN_PATHS = ("/sign-in", "/sign-in/{invite}", "/static/{path:path}", "/healthz")
"""What anybody may ask for; tested to be exactly these. `/sign-out`, `/me` and `/live` need a person, and no permit but `look`."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who asks."""

    person: Person
    session: Session | None
    """None for a key of a program."""

    @property
    def digest(self) -> str:
        """Of the session, as `Asked.session` has it; empty for a key."""
        return self.session.digest if self.session else ""

    def csrf(self) -> str:
        """A token for one form, another each time; empty for a key, which needs none."""
        return csrf.masked(self.session.csrf) if self.session else ""


def admit(parts: ConsoleParts, caller: Caller, now_us: int) -> Admitted:
    """The person that a key or else a session stands for; a request with a key is never admitted by its cookie.

    Args:
        parts: the console's stores.
        caller: the request.
        now_us: the machine's clock, which sessions and keys go by.

    Raises:
        Unauthorized: neither a known key nor a session that goes on: sign in first.
    """
    said = caller.headers.get("authorization")
    if said is not None:
        return _by_key(parts, said, now_us)
    token = caller.cookies.get(cookie_name("session", parts.settings), "")
    idle_us = int(parts.settings.idle_h * HOUR_US)
    session = parts.sessions.find(digest_of(token), now_us, idle_us) if token else None
    if session is None:
        raise Unauthorized("Sign in first.", hint="Open /sign-in; a program sends Authorization: Bearer KEY.")
    found = _open_person(parts, session.person)
    if found is None or found.service:
        parts.sessions.end(person=session.person)
        raise Unauthorized("Sign in first.", hint="Open /sign-in.")
    return Admitted(person_of(found), session)


def require(person: Person, permit: Permit) -> None:
    """Refuse who has no role that permits it, and a program what no program does.

    Raises:
        Refused: which role permits it.
    """
    if not person.may(permit):
        never = person.service and permit in NEVER_BY_KEY
        raise Refused(
            f"{person.name} may not do this.", hint="A person does this, no key." if never else who_may(permit)
        )


def who_may(permit: Permit) -> str:
    """The roles that permit something, in words.

    >>> who_may("keys")
    'Needs the role admin.'
    """
    roles = [role for role in ROLES if permit in PERMITS[role]]
    return f"Needs the role {' or '.join(roles)}."


def check_deed(parts: ConsoleParts, caller: Caller, admitted: Admitted, form: Mapping[str, str]) -> None:
    """Refuse a deed that another site sends in somebody's name. A key needs no token: no browser sends it by itself.

    Args:
        parts: the console's stores.
        caller: the request; under `/api` the token is its header `perdure-csrf`.
        admitted: who asks.
        form: what was sent, the token in the field `csrf`. Nothing of the query belongs in here.

    Raises:
        Refused: not from a page of ours, or without the token of this session.
    """
    if admitted.session is None:
        return
    csrf.check_page_is_ours(caller, parts.settings)
    csrf.check_token(form.get(csrf.FIELD) or caller.headers.get(csrf.HEADER, ""), admitted.session.csrf)


def person_of(found: PersonRecord) -> Person:
    """As pages see a person: with the console's roles alone, the project's own stay with the ledger."""
    roles: frozenset[Role] = frozenset(role for role in ROLES if role in found.roles)
    return Person(found.name, roles, found.duties, service=found.service)  # type: ignore[arg-type]


def _by_key(parts: ConsoleParts, said: str, now_us: int) -> Admitted:
    token = said[len(_BEARER) :].strip() if said[: len(_BEARER)].lower() == _BEARER else ""
    secret = parts.secrets.find("key", digest_of(token)) if token else None
    found = None
    if secret is not None and not 0 < secret.expires_us <= now_us:
        found = _open_person(parts, secret.person)
    if secret is None or found is None or not found.service:
        raise Unauthorized("This key is not known, or its time is over.", hint="An administrator makes a new one.")
    parts.secrets.used(secret.id, now_us)
    return Admitted(person_of(found), None)


def _open_person(parts: ConsoleParts, name: str) -> PersonRecord | None:
    try:
        found = parts.project.person(name)
    except NotFound:
        return None
    return None if found.closed_at else found
