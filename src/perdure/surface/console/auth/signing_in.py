"""Signs people in: by a password, by an invite that lets them choose one, and anew when they change it.

Called by `routes`, two at a time, for each costs the work of a password. What was wrong is never told: a name that nobody has, one
without a password, a program's and a wrong password end in the same words after the same work.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from perdure.core.clock import from_us
from perdure.core.errors import NotFound, Refused, Unauthorized
from perdure.core.ids import new_id
from perdure.stores.sessions.protocols import Secret
from perdure.surface.console.auth.passwords import Passwords, check_new
from perdure.surface.console.auth.sessions import Begun, begin
from perdure.surface.console.auth.trying import Told, Tried
from perdure.surface.peopling import digest_of

if TYPE_CHECKING:
    from perdure.stores.ledger.people_protocols import PersonRecord
    from perdure.surface.console.auth.calling import Caller
    from perdure.surface.console.auth.permitting import Admitted
    from perdure.surface.console.parts import ConsoleParts

_STRANGER = "(nobody)"
"""Who failed to sign in, in the ledger: no name that anybody can have, for it was not proven to be anybody."""


class SigningIn:
    """Over one console's stores.

    Args:
        parts: the project, its people's secrets, sessions and tries.
        passwords: how they are kept.
    """

    def __init__(self, parts: ConsoleParts, passwords: Passwords | None = None) -> None:
        self._parts = parts
        self._passwords = passwords or Passwords()
        self._tried = Tried(parts.tries)
        self._told = Told()
        self._untold = deque[tuple[str, int, int]]()

    def sign_in(self, caller: Caller, name: str, password: str, now_us: int) -> Begun:
        """A session for who knows a person's password. Cost: 190 ms CPU, whoever is named.

        Raises:
            Unauthorized: they do not fit, or there is nobody of that name who may sign in.
            LimitReached: too many tries failed, by name or by address.
        """
        name = name.strip()
        self._tried.begin(name, caller.address, now_us)
        found = self._person(name)
        kept = self._parts.secrets.password(name) if found is not None else None
        if not self._passwords.fits(None if kept is None else kept.digest, password) or kept is None:
            self._tried.failed(caller.address, now_us)
            self._tell_refused(name if found else "", now_us)
            raise Unauthorized("Name and password do not fit.", hint="An administrator can invite you anew.")
        self._tried.succeeded(name)
        if self._passwords.is_dated(kept.digest):
            self._keep(name, password, now_us)
        return self._begun(caller, name, now_us)

    def invited(self, token: str, now_us: int) -> PersonRecord:
        """Whom an invite is for; it stays good.

        Raises:
            Refused: it was used, its time is over, or it never was.
        """
        return self._invited(token, now_us)[1]

    def accept(self, caller: Caller, token: str, password: str, now_us: int) -> Begun:
        """Choose a password by an invite, which is good once, and begin a session.

        Raises:
            Refused: it was used, its time is over, or it never was.
            BadRequest: no good password; the invite stays good.
        """
        invite, person = self._invited(token, now_us)
        check_new(password, person.name)
        if not self._parts.secrets.take(invite.id, now_us):
            raise _void()
        self._keep(person.name, password, now_us)
        self._write("session.password", person.name, "password chosen by an invite")
        return self._begun(caller, person.name, now_us)

    def change(self, caller: Caller, admitted: Admitted, old: str, new: str, now_us: int) -> Begun:
        """Another password for who knows the present one; every other session of the person ends.

        Raises:
            Unauthorized: not the present one.
            LimitReached: too many tries failed.
            BadRequest: no good password.
        """
        name = admitted.person.name
        check_new(new, name)
        self._tried.begin(name, caller.address, now_us)
        kept = self._parts.secrets.password(name)
        if not self._passwords.fits(None if kept is None else kept.digest, old):
            self._tried.failed(caller.address, now_us)
            self._tell_refused(name, now_us)
            raise Refused("This is not your present password.", hint="An administrator can invite you anew.")
        self._tried.succeeded(name)
        self._keep(name, new, now_us)
        self._write("session.password", name, "password changed")
        return begin(self._parts, caller, name, now_us)

    def sign_out(self, admitted: Admitted) -> None:
        """End the session."""
        if admitted.session is not None and self._parts.sessions.end(digest=admitted.session.digest):
            self._write("session.ended", admitted.person.name, "signed out", n=1)

    def _invited(self, token: str, now_us: int) -> tuple[Secret, PersonRecord]:
        invite = self._parts.secrets.find("invite", digest_of(token))
        if invite is None or invite.used_us or 0 < invite.expires_us <= now_us:
            raise _void()
        person = self._person(invite.person)
        if person is None:
            raise _void()
        return invite, person

    def _person(self, name: str) -> PersonRecord | None:
        """Who may sign in."""
        try:
            found = self._parts.project.person(name)
        except NotFound:
            return None
        return None if found.closed_at is not None or found.service else found

    def _keep(self, name: str, password: str, now_us: int) -> None:
        secret = Secret(new_id("password"), name, "password", self._passwords.digest(password), now_us)
        self._parts.secrets.put(secret)

    def _begun(self, caller: Caller, name: str, now_us: int) -> Begun:
        begun = begin(self._parts, caller, name, now_us)
        self._write("session.began", name, "signed in")
        return begun

    def tell(self) -> None:
        """Write down which tries failed. Called once the answer is sent: that it is written for somebody would else be felt."""
        for _ in range(len(self._untold)):
            try:
                name, n_failed, now_us = self._untold.popleft()
            except IndexError:  # another answer's turn told it
                return
            self._write("session.refused", name, "failed to sign in", n=n_failed, until=from_us(now_us))

    def _tell_refused(self, name: str, now_us: int) -> None:
        n_failed = self._told.due(name, now_us)
        if n_failed:
            self._untold.append((name, n_failed, now_us))

    def _write(self, action: str, name: str, why: str, **facts: object) -> None:
        """An entry of the ledger; the acting person's where there is one. No address stands in it: the chain forgets nothing."""
        parts, ledger = self._parts, self._parts.project.place.stores.ledger
        actor = _STRANGER if action == "session.refused" else name
        with ledger.transaction(actor=actor, at=parts.boards.now().at, reason=why) as session:
            session.audit.append(action, f"person:{name}" if name else "person", {"person": name, **facts})


def _void() -> Refused:
    return Refused(
        "This invite was used, or its time is over.",
        hint="An administrator makes a new one: perdure people invite NAME",
    )
