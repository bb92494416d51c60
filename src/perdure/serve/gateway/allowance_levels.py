"""How full limits and budgets are, for the command line, the console and metrics: as the shared counters tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perdure.assets.team import Team
from perdure.serve.gateway.allowance_plan import Limit, limits_of_key, limits_of_team
from perdure.serve.gateway.windows import NEVER_US
from perdure.stores.counters.protocols import Counters
from perdure.stores.ledger.protocols import Key


@dataclass(frozen=True, slots=True)
class LevelReport:
    """One limit, and how full it is: calls, tokens or picodollars, by `limit.kind`."""

    limit: Limit
    used: int
    """Settled; up to a sync (half a second) behind."""
    held: int
    """Kept aside by workers, for calls under way and those to come soon."""
    ends_us: int | None
    """When the window ends; None: never."""

    @property
    def left(self) -> int:
        """What nobody has taken yet; never below 0."""
        return max(self.limit.ceiling - self.used - self.held, 0)


def levels_of(counters: Counters, team: Team, now_us: int, keys: Sequence[Key] = ()) -> list[LevelReport]:
    """The team's own limits and budgets, then those of each key, in their present windows. One read of the store.

    Raises:
        StoreError: the store cannot be reached.
        BadTeam: a limit of the team or a key means nothing.
    """
    limits = [*limits_of_team(team), *(limit for key in keys for limit in limits_of_key(team, key))]
    windows = [limit.window(now_us) for limit in limits]
    levels = counters.read([limit.bucket(window) for limit, window in zip(limits, windows, strict=True)])
    return [
        LevelReport(limit, level.used, level.held, None if window.ends_us == NEVER_US else window.ends_us)
        for limit, window, level in zip(limits, windows, levels, strict=True)
    ]
