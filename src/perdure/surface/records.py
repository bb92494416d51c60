"""What the verbs of the SDK and the CLI return: plain frozen records with a JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.assets.health import Reading
    from perdure.assets.version import Pointer, Version
    from perdure.loop.cases import Planned
    from perdure.stores.ledger.protocols import Approval, Incident, Job, Run


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that `apply` changed, or would change."""

    kind: str
    asset: str
    what: str
    """`declared`, `changed`, `released`, `asked` (a person must say yes first) or `unchanged`; of a prompt that suites test,
    or of an index, also `proving` (suites are asked or the version is filled, or the release is on its way), `blocked` (a gate refused it), `waiting` (nothing was
    begun) or `unproven` (released past them)."""
    before: str = ""
    after: str = ""
    why: str = ""
    """What the gates said, or what is to be known of it; mostly empty."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would change, and what the loop would repair and why."""

    at: datetime
    changes: Sequence[Change]
    repairs: Sequence[Planned]


@dataclass(frozen=True, slots=True)
class Repairing:
    """A repair that a person began."""

    planned: Planned
    """What was decided, and why."""
    jobs: Sequence[Job]
    """The asset's work, as far as it came at once; the rounds go on with it."""


@dataclass(frozen=True, slots=True)
class Health:
    """One objective with the newest reading that speaks of it."""

    objective: str
    stakeholder: str
    state: str
    """`healthy`, `broken`, `unsure`, `stale` (measured before, but not lately) or `not measured`."""
    reading: Reading | None


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """One asset: what runs and how healthy it is."""

    kind: str
    name: str
    owner: str | None
    """Empty: it could declare one, and does not. None: assets of its kind declare none."""
    pointers: Sequence[Pointer]
    health: Sequence[Health]


@dataclass(frozen=True, slots=True)
class Status:
    """The project at a glance."""

    project: str
    at: datetime
    assets: Sequence[AssetStatus]
    incidents: Sequence[Incident]
    tables: Mapping[str, int]
    """Lake tables and their versions."""
    holder: str | None
    """Who runs the loop now."""
    quarantined: Mapping[str, int]
    """Rows in quarantine by origin: `source:NAME` or `request:MODEL`."""
    doing: Mapping[str, str] = field(default_factory=dict)
    """Incident's id → what the loop does about it, in words."""
    paused: Mapping[str, str] = field(default_factory=dict)
    """Asset → why a person paused it, and until when."""
    approvals: Sequence[Approval] = ()
    """Questions that wait for a person."""
    alerts: str = ""
    """What is wrong with the delivery of alerts; empty when nothing is."""
    telemetry: str = ""
    """What is wrong with the sending of spans; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class TrainedGuard:
    """A registered candidate of a guard with the run that made it."""

    version: Version
    run: Run


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as `runs` lists it."""

    id: str
    kind: str
    asset: str
    status: str
    version: str
    started_at: datetime
    seconds: float | None
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One caller's key, as far as people see it."""

    id: str
    team: str
    label: str
    state: str
    """`good`, `expired` or `revoked`."""
    admin: bool
    limits: Mapping[str, Any]
    """Of this key alone; those that are set."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    actor: str
    """Who issued it."""
