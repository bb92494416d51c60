"""People and their roles.

A role is a name in `[roles]` of perdure.toml with the people that have it; people of the ledger have theirs beside
that, a program none of them, and who is closed there none at all. Where no role is declared and nobody is in the
ledger, one person works alone: the project's actor has every role, and nobody else has any. Names are
what a caller says they are: whoever can write to the ledger's file can sign as anybody, so roles keep
honest people from mistakes, and the chain of hashes keeps what was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.errors import DeclarationError, Refused, not_found

if TYPE_CHECKING:
    from perdure.core.settings import Settings
    from perdure.stores.ledger.people_protocols import PersonRecord


@dataclass(frozen=True, slots=True)
class People:
    """Who has which role."""

    roles: Mapping[str, tuple[str, ...]]
    owner: str
    """The project's actor."""

    @classmethod
    def of(cls, settings: Settings, granted: Sequence[PersonRecord] = ()) -> People:
        """The people of a project.

        Args:
            settings: with `[roles]`.
            granted: people of the ledger, closed ones too.
        """
        closed = {person.name for person in granted if person.closed_at is not None}
        roles = {role: [name for name in names if name not in closed] for role, names in settings.roles.items()}
        for person in granted:
            if person.service or person.closed_at is not None:
                continue
            for role in person.roles:
                held = roles.setdefault(role, [])
                if person.name not in held:
                    held.append(person.name)
        return cls({role: tuple(names) for role, names in roles.items()}, settings.project.actor)

    def holders(self, role: str) -> tuple[str, ...]:
        """The people that have a role.

        Raises:
            NotFound: there are roles, and this is none of them.
        """
        if not self.roles:
            return (self.owner,)
        if role not in self.roles:
            raise not_found("role", role, self.roles)
        return self.roles[role]

    def has(self, actor: str, role: str) -> bool:
        """Whether a person has a role.

        Raises:
            NotFound: there are roles, and this is none of them.
        """
        return actor in self.holders(role)

    def require(self, actor: str, role: str) -> None:
        """Refuse who has not the role.

        Raises:
            NotFound: there are roles, and this is none of them.
            Refused: the person has it not.
        """
        if self.has(actor, role):
            return
        holders = ", ".join(self.holders(role)) or "an administrator for somebody who has it"
        alone = "" if self.roles else " No roles are declared, so the project's actor alone has every role."
        raise Refused(
            f"{actor!r} has not the role {role!r}, which is needed here.",
            hint=f"Ask {holders}; who acts is told by --as NAME or PERDURE_ACTOR.{alone}",
            actor=actor,
            role=role,
        )


def reason_of(text: str, what: str) -> str:
    """The reason that a person gives, without spaces around it.

    Raises:
        DeclarationError: there is none.
    """
    if not text.strip():
        raise DeclarationError(f"{what} needs a reason.", hint='Say why: --reason "…". It is kept in the history.')
    return text.strip()
