"""Verbs of people: who may come in and as what, invites, keys of programs.

Authority stands in the ledger's chain; what people prove who they are by stands beside it in `people.db`. A secret is made here, given
back once, and kept nowhere. Instants of the ledger are domain time; invites and keys go by the machine's clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from perdure.core.clock import from_us, machine_us
from perdure.core.errors import DeclarationError, Refused, not_found
from perdure.core.ids import new_id
from perdure.core.units import duration_text
from perdure.stores.ledger.people_protocols import PersonRecord
from perdure.stores.sessions.protocols import Secret
from perdure.surface.governance.handing import DUTIES
from perdure.surface.governance.roles import reason_of
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    from perdure.stores.sessions.sqlite import SqlitePeople

INVITE_S = 900
"""An invite is good for 15 minutes, and once."""
FIRST_ROLES = ("admin", "engineer", "reviewer")
"""Of whoever comes in first: one person alone does everything."""


@dataclass(frozen=True, slots=True)
class Invited:
    """An invite with its secret, which nobody can show again."""

    person: str
    path: str
    """Behind the console's address, such as `/sign-in/…`."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A key of a program, as far as it is kept."""

    id: str
    person: str
    label: str
    made_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    state: str
    """`good` or `expired`."""


@dataclass(frozen=True, slots=True)
class IssuedServiceKey:
    """A new key of a program with its secret, which nobody can show again."""

    secret: str
    key: ServiceKey


def digest_of(token: str) -> str:
    """What is kept of 256 random bits: nobody finds them from their SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


class Peopling(Opened):
    """People of a project."""

    def list_people(self, *, open_only: bool = True) -> list[PersonRecord]:
        """People and programs in the order of their names; closed ones too where `open_only` is false."""
        with self._ledger.read() as session:
            return session.people.list(open_only=open_only)

    def person(self, name: str) -> PersonRecord:
        """The person or program of a name, closed or not.

        Raises:
            NotFound: nobody has that name; the message names the nearest.
        """
        with self._ledger.read() as session:
            return session.people.get(name)

    def add_person(
        self, name: str, *, roles: Sequence[str], duties: Sequence[str] = (), shown: str = "", service: bool = False,
        at: When = None,
    ) -> PersonRecord:  # fmt: skip
        """Let a person or a program in. A person needs an invite next, a program a key.

        Args:
            name: what stands on every record; a-z, 0-9, `.`, `_`, `-`.
            roles: the console's (`viewer`, `scientist`, `engineer`, `reviewer`, `admin`) and the project's own.
            duties: what the person looks after: chooses the inbox, permits nothing.
            shown: full name.
            service: a program.
            at: domain time.

        Raises:
            DeclarationError: no legal name, role or duty, or no role.
            Refused: the name is taken.
        """
        now = instant_of(at)
        _check_duties(duties)
        _check_roles(roles)
        with self._ledger.transaction(actor=self.actor, at=now, reason="let in") as session:
            if any(each.name == name for each in session.people.list(open_only=False)):
                raise Refused(f"The name {name!r} is taken.", hint="A name is never given twice: choose another one.")
            return session.people.put(
                PersonRecord(name, tuple(roles), now, tuple(duties), service=service, shown=shown.strip())
            )

    def change_person(
        self, name: str, *, reason: str, roles: Sequence[str] | None = None, duties: Sequence[str] | None = None,
        at: When = None,
    ) -> PersonRecord:  # fmt: skip
        """Give a person other roles or duties in the place of all the former; it holds from the next request on.

        Raises:
            DeclarationError: no reason, no role, or one that is not legal.
            NotFound: nobody has that name.
            Refused: the person is closed, or the last administrator.
        """
        why = reason_of(reason, "A change of roles")
        _check_duties(duties or ())
        if roles is not None:
            _check_roles(roles)
        with self._ledger.transaction(actor=self.actor, at=instant_of(at), reason=why) as session:
            found = session.people.get(name)
            wanted = replace(
                found,
                roles=found.roles if roles is None else tuple(roles),
                duties=found.duties if duties is None else tuple(duties),
            )
            return session.people.put(wanted)

    def close_person(self, name: str, *, reason: str, at: When = None) -> PersonRecord:
        """Let a person or program in no more, for good; sessions end, and passwords, invites and keys are forgotten.

        Raises:
            DeclarationError: no reason.
            NotFound: nobody has that name.
            Refused: the last administrator.
        """
        why, now = reason_of(reason, "Closing a person"), instant_of(at)
        with self._ledger.transaction(actor=self.actor, at=now, reason=why) as session:
            found = session.people.get(name)
            if found.closed_at is None:
                found = session.people.put(replace(found, closed_at=now))
        for secret in self.people_file.secrets.list(name):
            self.people_file.secrets.drop(secret.id)
        self.people_file.sessions.end(person=name)
        return found

    def invite_person(self, name: str, *, at: When = None) -> Invited:
        """An address where the person chooses a password: good once, for 15 minutes; an earlier one is void.

        Raises:
            NotFound: nobody has that name.
            Refused: closed, or a program.
        """
        now_us, token = machine_us(), token_urlsafe(32)
        self._open_one(name, service=False)
        secrets = self.people_file.secrets
        for each in secrets.list(name):
            if each.kind == "invite":
                secrets.drop(each.id)
        expires_us = now_us + INVITE_S * 1_000_000
        secrets.put(Secret(new_id("invite"), name, "invite", digest_of(token), now_us, expires_us))
        self._told("people.invite", name, "invite", at)
        return Invited(name, f"/sign-in/{token}", from_us(expires_us))

    def create_service_key(
        self, name: str, *, label: str = "", expires: timedelta | None = None, at: When = None
    ) -> IssuedServiceKey:
        """Make a key for a program; its secret is in what is returned, and nowhere else.

        Raises:
            NotFound: nobody has that name.
            Refused: closed, or a person: people sign in.
            DeclarationError: it would expire before it can be used.
        """
        if expires is not None and expires <= timedelta(0):
            raise DeclarationError(
                f"A key that expires after {duration_text(expires)} can never be used.", hint="Give a longer time."
            )
        self._open_one(name, service=True)
        now_us, key_id = machine_us(), new_id("service")
        token = f"pc-perdure-{key_id}-{token_urlsafe(32)}"
        expires_us = 0 if expires is None else now_us + int(expires / timedelta(microseconds=1))
        secret = Secret(key_id, name, "key", digest_of(token), now_us, expires_us, label.strip())
        self.people_file.secrets.put(secret)
        self._told("people.key", name, "service key", at, key=key_id, label=secret.label)
        return IssuedServiceKey(token, _key(secret, now_us))

    def list_service_keys(self, name: str | None = None) -> list[ServiceKey]:
        """Keys of one program, or of all; those that expired too.

        Raises:
            NotFound: nobody has that name.
        """
        names = [each.name for each in self.list_people() if each.service] if name is None else [self.person(name).name]
        now_us = machine_us()
        return [_key(each, now_us) for of in names for each in self.people_file.secrets.list(of) if each.kind == "key"]

    def revoke_service_key(self, key: str, *, reason: str, at: When = None) -> ServiceKey:
        """Take a program's key away: its next request is refused.

        Raises:
            DeclarationError: no reason.
            NotFound: no such key.
        """
        why = reason_of(reason, "Revoking a key")
        known = {each.id: each for each in self.list_service_keys()}
        if key not in known:
            raise not_found("service key", key, known)
        self.people_file.secrets.drop(key)
        self._told("people.key_revoked", known[key].person, why, at, key=key)
        return known[key]

    def end_sessions(self, name: str, *, reason: str, at: When = None) -> int:
        """End every session of a person, who must sign in again; how many there were.

        Raises:
            DeclarationError: no reason.
            NotFound: nobody has that name.
        """
        why = reason_of(reason, "Ending sessions")
        self.person(name)
        ended = self.people_file.sessions.end(person=name)
        self._told("people.sessions_ended", name, why, at, n=ended)
        return ended

    def invite_first(self, *, at: When = None) -> Invited | None:
        """Where no administrator has a password yet: an invite for one, who is the project's actor where nobody is there.

        None where somebody can sign in and let others in.
        """
        from perdure.stores.ledger.people import ADMIN, legal_name

        people = self.list_people(open_only=False)
        admins = [each for each in people if ADMIN in each.roles and not each.service and each.closed_at is None]
        if any(self.people_file.secrets.password(each.name) for each in admins):
            return None
        if admins:
            return self.invite_person(admins[0].name, at=at)
        taken = {each.name for each in people}
        wanted = (self.settings.project.actor, ADMIN, *(f"{ADMIN}{number}" for number in range(2, 100)))
        name = next(each for each in wanted if legal_name(each) and each not in taken)
        self.add_person(name, roles=FIRST_ROLES, at=at)
        return self.invite_person(name, at=at)

    def check_outside(self, host: str) -> None:
        """Refuse to be reached from outside while nobody answers for it, or while passwords would travel in the clear.

        Raises:
            Refused: no TLS before it, or no administrator has a password.
        """
        from perdure.stores.ledger.people import ADMIN
        from perdure.surface.keying import is_loopback

        if is_loopback(host):
            return
        if not self.settings.console.behind_tls:
            raise Refused(
                f"The console would be reached from outside this machine ({host}) without TLS.",
                hint="Put a proxy that speaks TLS before it and set [console] behind_tls = true; or use 127.0.0.1.",
                host=host,
            )
        admins = [each.name for each in self.list_people() if ADMIN in each.roles and not each.service]
        if not any(self.people_file.secrets.password(name) for name in admins):
            raise Refused(
                f"The console would be reached from outside this machine ({host}), and no administrator has a password.",
                hint="Run it on 127.0.0.1 first, open the address that it prints, and choose one.",
                host=host,
            )

    @cached_property
    def people_file(self) -> SqlitePeople:
        """Secrets, sessions and failed tries; opened when first asked for."""
        from perdure.surface.compose_people import open_people

        return open_people(self.folder, self.settings)

    def _open_one(self, name: str, *, service: bool) -> PersonRecord:
        found = self.person(name)
        if found.closed_at is not None:
            raise Refused(f"{name!r} was closed, which is for good.", hint="Add the person under another name.")
        if found.service != service:
            what, hint = ("a program", "Make a key for it.") if found.service else ("a person", "Invite the person.")
            raise Refused(f"{name!r} is {what}.", hint=hint)
        return found

    def _told(self, action: str, name: str, why: str, at: When, **facts: object) -> None:
        """Write an entry about what stands in no record of the ledger."""
        with self._ledger.transaction(actor=self.actor, at=instant_of(at), reason=why) as session:
            session.audit.append(action, f"person:{name}", {"person": name, **facts})


def _check_duties(duties: Sequence[str]) -> None:
    for duty in duties:
        if duty not in DUTIES:
            raise DeclarationError(f"{duty!r} is no duty.", hint=f"Known: {', '.join(DUTIES)}.")


def _check_roles(roles: Sequence[str]) -> None:
    if not roles:
        raise DeclarationError("Somebody without a role may do nothing.", hint="Give the role viewer, or close it.")


def _key(secret: Secret, now_us: int) -> ServiceKey:
    return ServiceKey(
        secret.id,
        secret.person,
        secret.label,
        from_us(secret.made_us),
        from_us(secret.expires_us) if secret.expires_us else None,
        from_us(secret.used_us) if secret.used_us else None,
        "expired" if 0 < secret.expires_us <= now_us else "good",
    )
