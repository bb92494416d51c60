"""The four Protocols that a kind of asset registers, and the workplace they run in.

A `Signal` measures, a `Cause` weighs what may be behind it, a `Remedy` proposes actions and does them, a
`Gate` judges what a repair made. The loop knows these and nothing of models, prompts or indexes: a new kind is a new
`Kind` registered in `surface.compose`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, Reading, Verdict
from perdure.assets.objective import Objective, SignalSpec
from perdure.assets.policy import Policy
from perdure.assets.repair import Action, Stage, Trial
from perdure.core.ports import Answerer, Replays
from perdure.core.settings import Settings
from perdure.stores.blobs.protocols import Blobs
from perdure.stores.capture.protocols import CaptureLog
from perdure.stores.lake.protocols import Lake
from perdure.stores.ledger.protocols import Lease, Leases, Ledger, LedgerSession
from perdure.stores.online.protocols import Online
from perdure.stores.results.protocols import Results
from perdure.stores.telemetry.protocols import Readings

LEASE = "loop"
"""Name of the lease under which rounds are run."""


@dataclass(frozen=True, slots=True, eq=False)
class Stores:
    """Every store by role, wired by compose."""

    ledger: Ledger
    leases: Leases
    lake: Lake
    online: Online
    blobs: Blobs
    capture: CaptureLog
    readings: Readings
    results: Results


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """An asset as the loop sees it: a name, a kind, what healthy means, how far to go."""

    name: str
    kind: str
    healthy: Sequence[Objective]
    policy: Policy
    declaration: Any
    """The declared object; only the kind's own recipes look inside."""
    rests_on: Sequence[str] = ()
    """Names of the assets that it needs whole, such as a model's sources: while one of them has an open
    incident, this one is not repaired."""


@dataclass(frozen=True, slots=True, eq=False)
class Workplace:
    """What a recipe may use. Recipes read from stores, call one engine and return a record."""

    stores: Stores
    settings: Settings
    project: str
    actor: str
    lease: Lease | None = None
    """Under which the work is done; None where a person works by hand."""
    open_answerer: Callable[[], Answerer] | None = None
    """Asks models, for evals and judges; made anew for each run and closed by who made it. None where no route is declared."""
    open_replays: Callable[[], Replays] | None = None
    """Does runs of agents and graphs again; made anew for each use and closed by who made it. None where neither is declared."""

    def under(self, lease: Lease) -> Workplace:
        """The same place, where every write is fenced by a lease."""
        return replace(self, lease=lease)

    def transaction(self, at: datetime, reason: str) -> AbstractContextManager[LedgerSession]:
        """A transaction of the ledger by this place's actor, fenced by its lease.

        Raises:
            LostLease: another worker took over; nothing is written.
        """
        return self.stores.ledger.transaction(actor=self.actor, at=at, reason=reason, lease=self.lease)


class Signal(Protocol):
    """Measures one thing of one asset over a window that ends at `now` (domain time)."""

    name: str

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading a slice (and a version, where versions differ); none when there is nothing to measure.

        Deterministic in the stores' content and `now`.
        """
        ...


class Cause(Protocol):
    """Weighs one possible cause of what was found."""

    name: str

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """The cause with its evidence, or None when nothing speaks for it.

        Args:
            place: where to look.
            asset: whose findings they are.
            findings: the newest of every objective, broken or not.
            now: domain time.
        """
        ...


class Remedy(Protocol):
    """One way to repair."""

    name: str
    answers: Sequence[str]
    """Names of the causes it helps against; `assets.repair.SCHEDULE` for routine, `ANY` whatever the cause."""

    def propose(
        self, place: Workplace, asset: Watched, causes: Sequence[RankedCause], now: datetime
    ) -> Sequence[Action]:
        """What it could do now, with what it would cost; nothing when it cannot help. Changes nothing, and is quick."""
        ...

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """Do one of its actions; returns the version ids of the candidates it made, possibly none.

        Called at least once a step: idempotent under `step` (the run and the step's name). `now` is the instant
        at which the repair began, the same at every call.
        """
        ...


class Gate(Protocol):
    """A test that a candidate must pass against the incumbent."""

    name: str
    stages: Sequence[Stage]
    """Where in a release it judges. In `verify` it passes what is proven; later what is not proven to be worse."""

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """The verdict with its evidence; deterministic in the stores' content, the trial and `now`."""
        ...


class Teller(Protocol):
    """Tells the outside what a round did: the last of it. What it could not tell waits in the ledger for the next round."""

    def run(self, place: Workplace, now: datetime) -> None:
        """Tell what is new; cheap where nothing is.

        :raises LostLease: another worker took over, and goes on from what was written down.
        """
        ...


class Looker(Protocol):
    """Looks, before a round measures objectives, at what signals read: so what it finds counts in the same round."""

    def run(self, place: Workplace, now: datetime) -> None:
        """Look where it is due, and keep what was found; cheap where nothing is.

        :raises LostLease: another worker took over.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of asset: the recipes by which it is observed, diagnosed, repaired and verified."""

    name: str
    signals: Mapping[str, Signal]
    causes: Sequence[Cause] = field(default_factory=tuple)
    remedies: Sequence[Remedy] = field(default_factory=tuple)
    gates: Sequence[Gate] = field(default_factory=tuple)
    lookers: Sequence[Looker] = field(default_factory=tuple)
