"""Who asks an index, and what he may find: the caller's key, its team, the team's groups. A request may only narrow them.

Where a project declares no team there is nobody to be told apart: whoever reaches this server may find everything, as with models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perdure.assets.team import Team
from perdure.core.clock import machine_now
from perdure.core.errors import Refused, not_found
from perdure.serve.gateway.asking import check_address, secret_of, team_of
from perdure.serve.gateway.keys import authenticate
from perdure.serve.live import Live
from perdure.stores.ledger.protocols import Key

PREFIX = "index:"
"""Before the name of an index in `Team.routes`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    key: str
    """Id of the key; empty where nobody is told apart."""
    team: Team | None
    record: Key | None = None
    """Of his key; None where nobody is told apart."""

    @property
    def groups(self) -> Sequence[str] | None:
        """That he belongs to; None: everything may be found."""
        return None if self.team is None else self.team.groups

    def may_search(self, index: str) -> bool:
        """Whether he may ask this index."""
        return self.team is None or self.team.may_call(PREFIX + index)

    def check_write(self, index: str) -> None:
        """See that he may put and delete documents of an index.

        Raises:
            Refused: he may not.
        """
        if self.team is not None and not self.team.may_write(index):
            raise Refused(
                f"The team {self.team.name!r} may not change the documents of {index!r}.",
                hint=f"Declare it: Team({self.team.name!r}, writes=({index!r},)).",
            )


def caller_of(live: Live, teams: Mapping[str, Team], headers: Mapping[bytes, bytes], query: bytes) -> Caller:
    """Who sends a request.

    Raises:
        Unauthorized: teams are declared, and no good key came.
        BadRequest: the key stands in the address.
        Refused: the key's team is not declared any more.
    """
    check_address(query)
    if not teams:
        return Caller("", None)
    key = authenticate(live.keys, secret_of(headers, query), machine_now())
    return Caller(key.id, team_of(key, teams), key)


def allowed(name: str, indexes: Sequence[str], caller: Caller) -> str:
    """The name of an index that the caller may ask.

    Raises:
        NotFound: there is none that he may; the others are not told.
    """
    mine = [each for each in indexes if caller.may_search(each)]
    if name not in mine:
        raise not_found("index", name, mine)
    return name
