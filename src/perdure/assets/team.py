"""Teams: who may call, how much, and how much it may cost. Their keys are issued by `perdure key create`.

support = Team(
    "support",
    routes=("support", "prompt:*"),
    budgets=[Budget(200, per="month"), Budget(20, per="day", route="support-large")],
    limits=Limits(requests=600, tokens=200_000, concurrency=50),
    healthy=[burn_ratio(over=days(1)) <= 1.0, cost_anomaly(over=days(1)) <= 6.0],
)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.core.errors import BadTeam

Period = Literal["day", "week", "month", "total"]
PERIODS: tuple[Period, ...] = ("day", "week", "month", "total")
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent.

    Args:
        usd: US dollars.
        per: calendar window in the team's time zone; `total`: for ever.
        route: only of calls to this route; empty: of all.
        each_key: each key of the team has its own; else the team shares it.
    """

    usd: float
    per: Period = "month"
    route: str = ""
    each_key: bool = False

    def __post_init__(self) -> None:
        if not self.usd > 0.0:
            raise BadTeam(f"A budget of {self.usd!r} USD allows nothing.", hint="Give an amount above zero.")
        if self.per not in PERIODS:
            raise BadTeam(f"A budget per {self.per!r} means nothing.", hint=f"Use {', '.join(PERIODS)}.")
        if "*" in self.route:
            raise BadTeam(
                f"A budget is of one route or of all, and {self.route!r} is no name.",
                hint='Write a budget for each route, or one with route="" for all.',
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be asked for at once; None: as much as one likes.

    Args:
        requests: a minute.
        tokens: a minute, input and output.
        concurrency: calls under way at a time.
    """

    requests: int | None = None
    tokens: int | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        if any(each is not None and each < 1 for each in (self.requests, self.tokens, self.concurrency)):
            raise BadTeam("A limit below one allows nothing.", hint="Leave it out, or give one or more.")


@dataclass(frozen=True, slots=True)
class Team:
    """Who shares budgets and limits.

    Args:
        name: lower case.
        routes: what its keys may call; `*` at the end of a name stands for any ending. An index is `index:NAME` here.
        reads: groups that its keys belong to where documents of an index name their readers; `*`: all of them.
        writes: indexes of pushed documents whose documents its keys may put and delete; `*` as in `routes`.
        budgets: each must have room.
        limits: of all its keys together.
        key_limits: of each of its keys.
        priority: of its calls when load must be shed, the higher the later.
        timezone: of the budgets' calendar windows, such as `Europe/Berlin`.
        unpriced: calls whose price is not known, where a budget applies: refused, or allowed and counted as unknown.
        healthy: objectives on what it spends, such as `burn_ratio(over=days(1)) <= 1.0`.
        policy: by `Policy.propose()` a person is asked where one is broken; nothing of a team is repaired by itself.
    """

    name: str
    routes: Sequence[str] = ("*",)
    budgets: Sequence[Budget] = ()
    limits: Limits = field(default_factory=Limits)
    key_limits: Limits = field(default_factory=Limits)
    priority: int = 0
    timezone: str = "UTC"
    unpriced: Literal["refuse", "allow"] = "refuse"
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)
    reads: Sequence[str] = ()
    writes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("routes", "reads", "writes"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise BadTeam(f"Team {self.name!r} has {name}={value!r}.", hint=f"Write: {name}=({value!r},)")
            object.__setattr__(self, name, tuple(value))
        object.__setattr__(self, "budgets", tuple(self.budgets))
        object.__setattr__(self, "healthy", tuple(self.healthy))
        if not _NAME.fullmatch(self.name):
            raise BadTeam(f"The team name {self.name!r} is not legal.", hint="Use a-z, 0-9, _ and -, a letter first.")
        if self.unpriced not in ("refuse", "allow"):
            raise BadTeam(f"Team {self.name!r} has unpriced={self.unpriced!r}.", hint="Use refuse or allow.")

    @property
    def watched_as(self) -> str:
        """Its name among all that the loop watches: a route may have the same one.

        >>> Team("support").watched_as
        'team:support'
        """
        return f"team:{self.name}"

    def may_call(self, route: str) -> bool:
        """Whether its keys may ask for a route, or for a prompt by `prompt:name`.

        >>> Team("support", routes=("support", "prompt:*")).may_call("prompt:answer")
        True
        """
        return _covers(self.routes, route)

    def may_write(self, index: str) -> bool:
        """Whether its keys may put documents into an index, and delete them.

        >>> Team("support", writes=("news*",)).may_write("newsletter"), Team("support").may_write("newsletter")
        (True, False)
        """
        return _covers(self.writes, index)

    @property
    def groups(self) -> Sequence[str] | None:
        """Groups of readers that its keys belong to; None: all.

        >>> Team("support", reads=("staff",)).groups, Team("audit", reads=("*",)).groups
        (('staff',), None)
        """
        return None if "*" in self.reads else self.reads


def _covers(names: Sequence[str], wanted: str) -> bool:
    return any(wanted == name or (name.endswith("*") and wanted.startswith(name[:-1])) for name in names)
