"""The ledger's roles of work: runs, which are records of what was done, and jobs, which are done durably.

`protocols` has the session that they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Run:
    """One piece of work with its inputs and outcome, such as a training."""

    id: str
    kind: str
    """`train`, `tune`, `trial` …"""
    asset: str
    status: str
    """`running`, `done` or `failed`."""
    started_at: datetime
    finished_at: datetime | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Code hash, dataset, curves, slices, importance, durations, lineage; JSON-compatible."""
    actor: str = "local"


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run without its facts: what lists and comparisons over thousands of them need."""

    sequence: int
    """Of the ledger's entry that wrote it last."""
    id: str
    kind: str
    asset: str
    status: str
    version: str
    """That it made; empty where it made none."""
    started_at: datetime
    seconds: float | None
    """None: it has not ended."""
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Job:
    """One durable piece of work: a workflow on its way, which outlives the process that began it."""

    id: str
    workflow: str
    key: str
    """Of two jobs of one workflow with the same key only the first is begun."""
    subject: str
    """The asset it is about."""
    status: str
    """`running`, `parked`, `done`, `failed`, `cancelled`, or `stopped` (its code changed)."""
    code: str
    """Version of the code that began it."""
    started_at: datetime
    """Domain time."""
    due_at: datetime | None = None
    """Domain time from which a parked job goes on; None: when what it waits for is there."""
    waits_for: str = ""
    """In words, what a parked job waits for; an approval's id where it is one."""
    tries: int = 0
    """Failed tries of the step it is at."""
    retry_at: datetime | None = None
    """Machine time before which a failed step is not tried again."""
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    ended_at: datetime | None = None
    """Domain time."""


@dataclass(frozen=True, slots=True)
class JobStep:
    """A step of a job that is done, with what it gave: it is never done again."""

    job: str
    name: str
    position: int
    """0 for the first."""
    result: Any
    """JSON-compatible."""
    at: datetime
    """Domain time."""
    epoch: int
    """Of the lease under which it was done; 0 without one."""


class Runs(Protocol):
    """Runs by id; `put` inserts or replaces a run (its status moves from running to an end)."""

    def put(self, run: Run) -> Run:
        """Insert the run, or put it in the place of its earlier state; an equal one changes nothing."""
        ...

    def get(self, run_id: str) -> Run:
        """:raises NotFound: no such run."""
        ...

    def list(
        self,
        asset: str | None = None,
        *,
        kind: str | None = None,
        version: str | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Newest first; `before`: only those after this (`started_at`, id) in that order, which is how the next page is asked for.

        `version`: those whose facts name it, which are those that made it.
        """
        ...

    def lines(self, after: int = 0) -> Sequence[RunLine]:
        """Runs that were put under a greater sequence number, without their facts, in the order in which they were put.

        Cost: some 6 µs each.
        """
        ...


class Jobs(Protocol):
    """Durable work. Every write is in the audit chain; steps are kept until they are pruned."""

    def put(self, job: Job) -> Job:
        """Insert, or replace the earlier state; of another job with this workflow and key that one is returned."""
        ...

    def get(self, job_id: str) -> Job:
        """:raises NotFound: no such job."""
        ...

    def list_steps(self, job_id: str) -> list[JobStep]:
        """In the order in which they were done."""
        ...

    def list(self, *, subject: str | None = None, open_only: bool = False, limit: int = 100) -> list[Job]:
        """Newest first; `open_only`: running and parked ones."""
        ...

    def put_step(self, step: JobStep) -> JobStep:
        """Keep what a step gave; a step that is there already stays as it is, and is returned."""
        ...

    def prune(self, before: datetime) -> int:
        """Remove ended jobs and their steps that ended before an instant (domain time); returns how many jobs."""
        ...
