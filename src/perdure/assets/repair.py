"""Repairs as data: what could be done, what is on trial, and where in a release a trial stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Effect = Literal["candidate", "known", "state", "question"]
Stage = Literal["verify", "shadow", "canary", "watch", "rollback"]

SCHEDULE = "schedule"
"""The cause that a scheduled trigger gives when nothing is broken: remedies that answer it are routine."""
ANY = "*"
"""A remedy that answers it is weighed whatever the cause."""
BLAMED = "blamed"
"""The cause, and the signal, of what made runs of an agent or a graph worse that use it."""


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a plan: a remedy with its parameters, as proposed before anything runs."""

    remedy: str
    text: str
    """In words, such as `fit on the newest 60 days`."""
    effect: Effect = "candidate"
    """`candidate`: it makes versions, which gates judge, and counts against the budget; `known`: versions that are
    there already compete, which costs no retraining; `state`: it mends what is under a version, such as a
    source's quarantine, and nothing is released; `question`: the same, and done only once a person said yes."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """JSON-compatible; with the remedy's name they say exactly what is done."""
    cost_s: float = 0.0
    """CPU seconds expected."""

    @property
    def key(self) -> str:
        """Its name within one plan, such as `retrain_recent days=60`."""
        return " ".join([self.remedy, *(f"{name}={value}" for name, value in sorted(self.params.items()))])


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate against what runs: what a gate judges."""

    candidate: str
    """Version id."""
    incumbent: str | None
    """Version id of the champion it would replace; in `watch` the one it has replaced."""
    stage: Stage = "verify"
    since: datetime | None = None
    """When the stage began; None for `verify`."""
    n_rivals: int = 1
    """Candidates that compete in this stage, for the correction of many comparisons."""
