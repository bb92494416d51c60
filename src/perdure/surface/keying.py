"""Verbs of callers' keys: issue one for a team, list them, revoke one.

The secret is made here, given back once, and kept nowhere: the ledger has its hash, the audit the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from perdure.assets.team import Limits
from perdure.core.errors import DeclarationError, Refused, not_found
from perdure.core.ids import new_id
from perdure.core.units import duration_text
from perdure.surface.governance.entries import by_beginning
from perdure.surface.governance.roles import reason_of
from perdure.surface.opened import Opened, When, instant_of
from perdure.surface.records import KeyRow

if TYPE_CHECKING:
    from perdure.assets.team import Budget
    from perdure.stores.ledger.protocols import Key


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a new key is for, and how far it goes.

    Args:
        label: what a person calls it.
        expires: how long it can be used; None: until it is revoked.
        admin: its holder answers for the gateway; one is needed before it is reached from outside this machine.
        limits: of this key alone, instead of its team's `key_limits`.
        budgets: of this key alone, beside its team's.
    """

    label: str = ""
    expires: timedelta | None = None
    admin: bool = False
    limits: Limits = field(default_factory=Limits)
    budgets: Sequence[Budget] = ()

    def __post_init__(self) -> None:
        if self.expires is not None and self.expires <= timedelta(0):
            raise DeclarationError(
                f"A key that expires after {duration_text(self.expires)} can never be used.",
                hint="Give a longer time, such as days(90), or none.",
            )


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its secret, which nobody can show again."""

    secret: str
    key: KeyRow


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("gateway.example")
    (True, True, False, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Keying(Opened):
    """Callers' keys of a project."""

    def create_key(self, team: str, terms: KeyTerms | None = None, *, at: When = None) -> IssuedKey:
        """Issue a key for a team; its secret is in what is returned, and nowhere else.

        Raises:
            NotFound: no such team; the message names the nearest.
        """
        from perdure.serve.gateway.keys import digest_of, new_secret
        from perdure.stores.ledger.protocols import Key

        declared, now, terms = self.project.team(team), instant_of(at), terms or KeyTerms()
        key_id = new_id("key")
        secret = new_secret(key_id)
        key = Key(
            id=key_id,
            team=declared.name,
            digest=digest_of(secret.encode()),
            label=terms.label,
            created_at=now,
            expires_at=None if terms.expires is None else now + terms.expires,
            admin=terms.admin,
            limits=_limits(terms),
            actor=self.actor,
        )
        with self._ledger.transaction(actor=self.actor, at=now, reason="key create") as session:
            session.keys.put(key)
        return IssuedKey(secret, _row(key, now))

    def list_keys(self, team: str | None = None, *, at: When = None) -> list[KeyRow]:
        """Keys in the order in which they were issued, revoked ones too; of one team, also of one not declared any more.

        Raises:
            NotFound: no such team, and none that has a key; the message names the nearest.
        """
        now = instant_of(at)
        with self._ledger.read() as session:
            keys = session.keys.list()
        teams = {*self.project.teams, *(key.team for key in keys)}
        if team is not None and team not in teams:
            raise not_found("team", team, teams)
        return [_row(key, now) for key in keys if team in (None, key.team)]

    def _check_admin(self, host: str) -> None:
        """Refuse to be reached from outside while nobody answers for it.

        Raises:
            Refused: no key of an administrator may be used.
        """
        if not any(key.admin and key.state == "good" for key in self.list_keys()):
            raise Refused(
                f"The gateway would be reached from outside this machine ({host}), and no administrator has a key.",
                hint="Issue one: perdure key create --team TEAM --admin. Or serve on 127.0.0.1.",
                host=host,
            )

    def revoke_key(self, key: str, *, reason: str, at: When = None) -> KeyRow:
        """Take a key away for good; servers see it with their next look at the ledger. One that is revoked stays so.

        Args:
            key: its id, or how it begins.
            reason: why; kept in the history.
            at: domain time.

        Raises:
            DeclarationError: no reason.
            NotFound: no such key; the message names the nearest.
        """
        why, now = reason_of(reason, "Revoking a key"), instant_of(at)
        with self._ledger.read() as session:
            known = {each.id: each for each in session.keys.list()}
        found = known[by_beginning("key", key, known)]
        if found.revoked_at is None:
            found = replace(found, revoked_at=now)
            with self._ledger.transaction(actor=self.actor, at=now, reason=why) as session:
                session.keys.put(found)
        return _row(found, now)


def _limits(terms: KeyTerms) -> dict[str, Any]:
    """As the ledger keeps them: what is not set is not there."""
    rates = {each.name: getattr(terms.limits, each.name) for each in fields(terms.limits)}
    budgets = [{each.name: getattr(budget, each.name) for each in fields(budget)} for budget in terms.budgets]
    return {name: value for name, value in {**rates, "budgets": budgets or None}.items() if value is not None}


def _row(key: Key, now: datetime) -> KeyRow:
    return KeyRow(
        id=key.id,
        team=key.team,
        label=key.label,
        state=_state(key, now),
        admin=key.admin,
        limits=key.limits,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        actor=key.actor,
    )


def _state(key: Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "good"
