"""People and their roles.

A role is a name in `[roles]` of perdure.toml with the people that have it. Where no role is declared
at all, one person works alone: the project's actor has every role, and nobody else has any. Names are
what a caller says they are: whoever can write to the ledger's file can sign as anybody, so roles keep
honest people from mistakes, and the chain of hashes keeps what was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.errors import DeclarationError, Refused, not_found

if TYPE_CHECKING:
    from perdure.core.settings import Settings


@dataclass(frozen=True, slots=True)
class People:
    """Who has which role."""

    roles: Mapping[str, tuple[str, ...]]
    owner: str
    """The project's actor."""

    @classmethod
    def of(cls, settings: Settings) -> People:
        """The people of a project's settings."""
        return cls(settings.roles, settings.project.actor)

    def holders(self, role: str) -> tuple[str, ...]:
        """The people that have a role.

        Raises:
            NotFound: roles are declared, and this is none of them.
        """
        if not self.roles:
            return (self.owner,)
        if role not in self.roles:
            raise not_found("role", role, self.roles)
        return self.roles[role]

    def has(self, actor: str, role: str) -> bool:
        """Whether a person has a role.

        Raises:
            NotFound: roles are declared, and this is none of them.
        """
        return actor in self.holders(role)

    def require(self, actor: str, role: str) -> None:
        """Refuse who has not the role.

        Raises:
            NotFound: roles are declared, and this is none of them.
            Refused: the person has it not.
        """
        if self.has(actor, role):
            return
        holders = ", ".join(self.holders(role))
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
