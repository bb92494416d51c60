"""Policies: when to act, how to train, how far the loop may go alone. Three separate settings.

    policy = Policy.act(retrains=per_month(10), cool_down=days(3), approve_by="reviewer", watch=days(2))

Every duration is domain time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypedDict, Unpack

from perdure.core.errors import DeclarationError
from perdure.core.units import Rate, days, hours, per_month

Trigger = Literal["manual", "schedule", "evidence"]
Training = Literal["stateless", "stateful"]
Autonomy = Literal["observe", "propose", "act"]
AUTONOMY: tuple[Autonomy, ...] = ("observe", "propose", "act")
"""From the least to the most that the loop may do alone."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """The way of traffic to a candidate: shadow, then canary, then all. A stage of no length is left out.

    Args:
        shadow: how long it answers beside the champion, unseen by callers.
        canary: how long it answers a share of the keys.
        share: that share, above 0 and below 1. The same keys stay with it while the ramp grows.
    """

    shadow: timedelta = hours(12)
    canary: timedelta = hours(12)
    share: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise DeclarationError(f"A canary share of {self.share!r} means nothing.", hint="Use 0 to 1, exclusive.")
        if min(self.shadow, self.canary) < timedelta(0):
            raise DeclarationError("A stage of a ramp is shorter than nothing.", hint="Use hours(12), or hours(0).")


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of each week in which releases may begin, in UTC; `end` before `start` runs over midnight.

    Args:
        start: first hour, 0 to 23.
        end: hour at which it is over, 0 to 24.
        weekdays: 0 is Monday; the day on which the stretch begins.
    """

    start: int
    end: int
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)

    def __post_init__(self) -> None:
        if not (0 <= self.start <= 23 and 0 <= self.end <= 24 and self.start != self.end):
            raise DeclarationError(
                f"A maintenance window from {self.start} to {self.end} means nothing.", hint="Use hours 0 to 24."
            )
        if not self.weekdays or not set(self.weekdays) <= set(range(7)):
            raise DeclarationError(f"Weekdays {self.weekdays!r} are not 0 to 6.", hint="0 is Monday.")

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies inside.

        >>> from datetime import UTC
        >>> Hours(22, 4, weekdays=(0,)).holds(datetime(2013, 3, 5, 3, tzinfo=UTC))  # Tuesday at 3
        True
        """
        if self.start < self.end:
            return self.start <= at.hour < self.end and at.weekday() in self.weekdays
        if at.hour >= self.start:
            return at.weekday() in self.weekdays
        return at.hour < self.end and (at - days(1)).weekday() in self.weekdays


class PolicySettings(TypedDict, total=False):
    """What may be set beside the autonomy: the fields of `Policy`."""

    trigger: Trigger
    training: Training
    retrains: Rate
    every: timedelta | None
    approve_by: str | None
    four_eyes: bool
    watch: timedelta
    ramp: Ramp
    cool_down: timedelta
    breaker: int
    rest: timedelta
    windows: tuple[Hours, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """How the loop treats one asset. Make one by `Policy.observe`, `.propose` or `.act`."""

    autonomy: Autonomy = "observe"
    trigger: Trigger = "manual"
    training: Training = "stateless"
    """`stateful`: candidates go on from the champion's checkpoint, and each row is used once."""
    retrains: Rate = per_month(4)
    """Budget of repairs that make new candidates; versions that are there already may compete beyond it."""
    every: timedelta | None = None
    """Period of a scheduled trigger; beside the trigger `evidence`, of a routine competition while nothing is broken."""
    approve_by: str | None = None
    """Role that must say yes before a release; None: nobody."""
    four_eyes: bool = False
    """Two people of that role must say yes; who asked for the repair is not one of them."""
    watch: timedelta = days(2)
    """How long a release is watched before its incident may be closed."""
    ramp: Ramp = field(default_factory=Ramp)
    cool_down: timedelta = days(3)
    """Least time from one repair to the next of the same asset."""
    breaker: int = 5
    """After so many repairs in a row that were rejected or rolled back, a person is asked instead. A routine
    competition that nobody won does not count."""
    rest: timedelta = days(14)
    """After so long the breaker lets one more repair try."""
    windows: tuple[Hours, ...] = ()
    """Maintenance windows: releases begin only inside one; none: at any time."""

    def __post_init__(self) -> None:
        if self.trigger == "schedule" and self.every is None:
            raise DeclarationError("A policy on a schedule has no period.", hint="Give every=days(7), for example.")
        if self.four_eyes and self.approve_by is None:
            raise DeclarationError("Four eyes need a role to approve.", hint='Give approve_by="reviewer".')
        if self.breaker < 1:
            raise DeclarationError(f"A breaker of {self.breaker} rejections means nothing.", hint="Use 1 or more.")

    @classmethod
    def observe(cls) -> Policy:
        """Measure and report; change nothing."""
        return cls()

    @classmethod
    def propose(cls, **settings: Unpack[PolicySettings]) -> Policy:
        """Prepare repairs on evidence; a person releases each, by default a `reviewer`."""
        usual: PolicySettings = {"trigger": "evidence", "approve_by": "reviewer"}
        usual.update(settings)
        return cls("propose", **usual)

    @classmethod
    def act(cls, **settings: Unpack[PolicySettings]) -> Policy:
        """Repair and release on evidence, within the budget."""
        usual: PolicySettings = {"trigger": "evidence"}
        usual.update(settings)
        return cls("act", **usual)


def least(first: Autonomy, second: Autonomy) -> Autonomy:
    """The lesser of two autonomies.

    >>> least("act", "propose")
    'propose'
    """
    return min(first, second, key=AUTONOMY.index)
