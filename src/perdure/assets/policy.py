"""Policies: when to act, how to train, how far the loop may go alone. Three separate settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from perdure.core.errors import DeclarationError
from perdure.core.units import Rate, days, per_month

Trigger = Literal["manual", "schedule", "evidence"]
Training = Literal["stateless", "stateful"]
Autonomy = Literal["observe", "propose", "act"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How the loop treats one asset. Make one by `Policy.observe`, `.propose` or `.act`."""

    autonomy: Autonomy = "observe"
    trigger: Trigger = "manual"
    training: Training = "stateless"
    retrains: Rate = per_month(4)
    """Budget of retrainings."""
    every: timedelta | None = None
    """Period of a scheduled trigger."""
    approve_by: str | None = None
    """Role that must say yes before a release; None: nobody."""
    watch: timedelta = days(2)
    """How long a release is watched before its incident is closed, in domain time."""

    def __post_init__(self) -> None:
        if self.trigger == "schedule" and self.every is None:
            raise DeclarationError("A policy on a schedule has no period.", hint="Give every=days(7), for example.")

    @classmethod
    def observe(cls) -> Policy:
        """Measure and report; change nothing."""
        return cls()

    @classmethod
    def propose(
        cls, *, retrains: Rate = per_month(4), approve_by: str = "reviewer", watch: timedelta = days(2)
    ) -> Policy:
        """Prepare repairs on evidence; a person releases each."""
        return cls("propose", "evidence", "stateless", retrains, None, approve_by, watch)

    @classmethod
    def act(cls, *, retrains: Rate = per_month(4), approve_by: str | None = None, watch: timedelta = days(2)) -> Policy:
        """Repair and release on evidence, within the budget."""
        return cls("act", "evidence", "stateless", retrains, None, approve_by, watch)
