"""What decide looks at and what it says: plain records that go to JSON and back without a change.

Everything that a decision rests on is in its `Situation`, and the ledger keeps both: so `perdure explain
--replay` can decide again, from the ledger alone, and compare byte for byte. Instants are ISO 8601
text and durations seconds, for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from perdure.assets.health import Cause, Finding
from perdure.assets.policy import Autonomy, Policy, Training, Trigger
from perdure.assets.repair import Action
from perdure.core.canonical import canonical_json, content_hash, plain
from perdure.core.clock import iso

Choice = Literal["nothing", "hold", "wait", "repair", "ask"]


@dataclass(frozen=True, slots=True)
class Symptom:
    """The newest finding of one objective and slice, with the digest of its reading."""

    objective: str
    state: str
    signal: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    slice: str
    version: str
    at: str
    digest: str

    @classmethod
    def of(cls, finding: Finding) -> Symptom:
        """The symptom of a finding."""
        reading = finding.reading
        return cls(
            objective=finding.objective,
            state=finding.state.value,
            signal=reading.signal,
            value=reading.value,
            low=reading.low,
            high=reading.high,
            n=reading.n,
            unit=reading.unit,
            slice=reading.slice,
            version=reading.version,
            at=iso(reading.at),
            digest=content_hash(plain(reading)),
        )


@dataclass(frozen=True, slots=True)
class Option:
    """An action that could be taken, and the causes that its remedy answers."""

    action: Action
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy, as decide reads it."""

    autonomy: Autonomy
    trigger: Trigger
    training: Training
    n_retrains: int
    """Budget of repairs that make new candidates in any stretch of `per_s`."""
    per_s: float
    cool_down_s: float
    breaker: int
    rest_s: float
    approve_by: str | None

    @classmethod
    def of(cls, policy: Policy, autonomy: Autonomy) -> Rules:
        """The rules of a policy under the autonomy that is left to the loop."""
        return cls(
            autonomy=autonomy,
            trigger=policy.trigger,
            training=policy.training,
            n_retrains=policy.retrains.times,
            per_s=policy.retrains.per.total_seconds(),
            cool_down_s=policy.cool_down.total_seconds(),
            breaker=policy.breaker,
            rest_s=policy.rest.total_seconds(),
            approve_by=policy.approve_by,
        )


@dataclass(frozen=True, slots=True)
class Past:
    """What was done before for this asset."""

    repairs_at: tuple[str, ...] = ()
    """When repairs began, within the budget's stretch and the cool-down, oldest first."""
    retrains_at: tuple[str, ...] = ()
    """When those of them began that made new candidates."""
    n_fruitless: int = 0
    """Repairs in a row, up to now, that failed, or whose candidates were all rejected, refused by a person, or rolled back."""
    fruitless_at: str = ""
    """When the newest of them ended."""
    mended: tuple[str, ...] = ()
    """Causes whose remedy below a version was done already in this incident: it heals when they end."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that decide may look at."""

    asset: str
    kind: str
    now: str
    trigger: Literal["evidence", "schedule", "manual"]
    """Why the loop looks: something is broken, a schedule is due, or a person asks."""
    rules: Rules
    past: Past
    symptoms: tuple[Symptom, ...] = ()
    causes: tuple[Cause, ...] = ()
    """Ranked."""
    options: tuple[Option, ...] = ()
    incident: str = ""
    upstream: tuple[str, ...] = ()
    """Open incidents of what the asset rests on, in words."""
    paused: str = ""
    """Why a person paused the asset; empty when it is not."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """An action that was considered, and why it is in the plan or not."""

    action: str
    chosen: bool
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why. `actions` are the plan, explainable before anything runs."""

    choice: Choice
    reasons: tuple[str, ...]
    actions: tuple[Action, ...] = ()
    weighed: tuple[Weighed, ...] = ()
    cause: str = ""
    """Name of the cause that the plan answers."""
    approve_by: str | None = None
    """Role that must say yes before a candidate is released, or before a state is changed."""
    again_at: str = ""
    """When waiting is over; empty when only a change can end it."""


def to_bytes(record: Situation | Decision) -> bytes:
    """Canonical JSON: equal records give equal bytes."""
    return canonical_json(plain(record))


def situation_from(value: Mapping[str, Any]) -> Situation:
    """The situation that the ledger kept as JSON.

    Raises:
        msgspec.ValidationError: it is not one of this version's.
    """
    return msgspec.convert(value, Situation)
