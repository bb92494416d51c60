"""The people role of the ledger: who may come in, and as what. In the chain, so that nobody gives himself a role unseen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person, or a program with keys of its own."""

    name: str
    """What stands as `actor` on every record: a-z, 0-9, `.`, `_`, `-`, 64 at most; never somebody else's later."""
    roles: tuple[str, ...]
    """The console's roles and the project's own (those that a policy's `approve_by` names), sorted."""
    created_at: datetime
    duties: tuple[str, ...] = ()
    """What the person looks after: chooses the inbox, permits nothing."""
    service: bool = False
    """A program: it has keys, and no password."""
    shown: str = ""
    """Full name; empty: `name` is shown."""
    closed_at: datetime | None = None
    """For good: the name stays in the history."""


class Persons(Protocol):
    """People by name."""

    def put(self, person: PersonRecord) -> PersonRecord:
        """Insert, or replace the earlier state of that name; an equal one changes nothing.

        :raises Refused: the person is closed, or the last open administrator would be none any more.
        :raises DeclarationError: no legal name.
        """
        ...

    def get(self, name: str) -> PersonRecord:
        """The person of a name, closed or not.

        :raises NotFound: nobody has that name.
        """
        ...

    def list(self, *, open_only: bool = True) -> list[PersonRecord]:
        """In the order of their names."""
        ...

    def generation(self) -> int:
        """Sequence number of the newest change of anybody; 0 when there is none."""
        ...
