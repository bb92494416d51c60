"""The engine of durable work: begins jobs, drives those that are due, and writes down how they end.

The loop calls `drive` each round, under its lease. Nothing here runs between two calls: a job that waits
for days is a row. Any worker may drive any job, one at a time: that is what the lease is for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from perdure.core.canonical import plain
from perdure.core.clock import iso
from perdure.core.errors import BadWorkflow, Cancelled, LostLease, StepFailed, Temporary, not_found
from perdure.core.ids import new_id
from perdure.durable.record import CANCEL, OPEN, JobRecord, Parked, find_step, is_due
from perdure.durable.retry import Retry
from perdure.durable.steps import Steps, in_words
from perdure.durable.workflow import Workflow
from perdure.stores.ledger.protocols import Job, JobStep, Lease, Ledger

log = logging.getLogger("perdure.durable")

_ALL = 1_000_000


def _go_on() -> None:
    """What `drive` checks between steps where nothing was given."""


@dataclass(frozen=True, slots=True)
class _Open:
    """The open jobs of our workflows, as of one sequence number of the ledger."""

    sequence: int
    jobs: Mapping[str | None, tuple[Job, ...]]
    """By subject; under None all."""
    questions: frozenset[str]
    """Ids of approvals that are open."""


class Durable:
    """Jobs of a few workflows. Jobs of other workflows are left to whoever knows them. For one thread.

    Args:
        ledger: where jobs are kept.
        workflows: what is done.
        actor: who does it.

    Raises:
        BadWorkflow: two workflows have one name.
    """

    def __init__(self, ledger: Ledger, workflows: Iterable[Workflow], *, actor: str) -> None:
        self._ledger = ledger
        self._actor = actor
        self._workflows: dict[str, Workflow] = {}
        self._open: _Open | None = None
        for workflow in workflows:
            if workflow.name in self._workflows:
                raise BadWorkflow(f"Two workflows are named {workflow.name!r}.", hint="Rename one.")
            self._workflows[workflow.name] = workflow

    def new_job(self, workflow: str, key: str, subject: str, given: Mapping[str, Any], now: datetime) -> Job:
        """A job that is not begun yet: `session.jobs.put` begins it, within a transaction of the caller's.

        Raises:
            NotFound: no such workflow.
        """
        if workflow not in self._workflows:
            raise not_found("workflow", workflow, self._workflows)
        code = self._workflows[workflow].code
        return Job(new_id("job"), workflow, key, subject, "running", code, now, input=plain(given))

    def begin(
        self,
        workflow: str,
        key: str,
        subject: str,
        input: Mapping[str, Any],  # noqa: A002 - a job's word for what it is given
        now: datetime,
        lease: Lease | None = None,
    ) -> Job:
        """Begin a job, or return the one that was begun under its key; `drive` does the work.

        Args:
            workflow: by name.
            key: one job a workflow and key, ever.
            subject: the asset that it is about.
            input: what the workflow gets, JSON-compatible.
            now: domain time.
            lease: under which it is begun.

        Raises:
            NotFound: no such workflow.
            LostLease: another worker took over; nothing was begun.
        """
        job = self.new_job(workflow, key, subject, input, now)
        with self._ledger.transaction(actor=self._actor, at=now, reason=f"begin {workflow}", lease=lease) as session:
            return session.jobs.put(job)

    def drive(
        self,
        now: datetime,
        lease: Lease | None = None,
        *,
        check: Callable[[], None] = _go_on,
        subject: str | None = None,
    ) -> list[Job]:
        """Drive every due job as far as it goes: done, failed, or parked. One that fails stops no other.

        Args:
            now: domain time.
            lease: under which it is done; None where nobody else can drive.
            check: called before each step; raises `LostLease` to end the drive, as `HeldLease.check` does.
            subject: jobs about this asset only.

        Returns: the jobs that were driven, oldest first, as they stand now.

        Raises:
            LostLease: another worker took over; what it has not yet written stays unwritten.
            StoreError: the ledger failed; the jobs stay as they are.

        Cost: about 20 µs while nothing is due and the ledger stands still; else one read of the open jobs.
        """
        driven = []
        for job in self._due(now, subject):
            check()
            driven.append(self._drive(job, now, lease, check))
        return driven

    def cancel(self, job_id: str, now: datetime, reason: str, lease: Lease | None = None) -> Job:
        """Call a job off. Its workflow is told by `Cancelled` at its next step, may clean up, and ends.

        The next `drive` does so; a question that it waits for is withdrawn at once. A job that has ended stays as it is.

        Raises:
            NotFound: no such job.
        """
        with self._ledger.transaction(actor=self._actor, at=now, reason=reason, lease=lease) as session:
            job = session.jobs.get(job_id)
            if job.status not in OPEN or find_step(session, job_id, CANCEL) is not None:
                return job
            order = {"actor": self._actor, "reason": reason}
            n_steps, epoch = len(session.jobs.list_steps(job_id)), 0 if lease is None else lease.epoch
            session.jobs.put_step(JobStep(job_id, CANCEL, n_steps, order, now, epoch))
            if job.status == "parked":
                if job.waits_for in {each.id for each in session.approvals.list(open_only=True)}:
                    session.approvals.withdraw(job.waits_for)
                job = session.jobs.put(replace(job, status="running", due_at=None, retry_at=None, waits_for=""))
            return job

    def prune(self, before: datetime, lease: Lease | None = None) -> int:
        """Remove jobs that ended before an instant of domain time, and their steps; returns how many jobs.

        The audit keeps that they were. A pruned job's key may be begun again.
        """
        reason = f"jobs that ended before {iso(before)}"
        with self._ledger.transaction(actor=self._actor, at=before, reason=reason, lease=lease) as session:
            return session.jobs.prune(before)

    def _due(self, now: datetime, subject: str | None) -> list[Job]:
        found = self._open
        # Every change of a job or an approval is an audit entry: while none was added, nothing has changed.
        sequence = self._ledger.sequence()
        if found is None or found.sequence != sequence:
            found = self._open = self._read_open(sequence)
        return [job for job in found.jobs.get(subject, ()) if is_due(job, now, found.questions)]

    def _read_open(self, sequence: int) -> _Open:
        with self._ledger.read() as session:
            jobs = session.jobs.list(open_only=True, limit=_ALL)
            asked = any(job.status == "parked" and job.due_at is None and job.retry_at is None for job in jobs)
            questions = frozenset(each.id for each in session.approvals.list(open_only=True)) if asked else frozenset()
        ours = [job for job in jobs if job.workflow in self._workflows]
        # Not by id: of two replays the ids differ, and the order must not.
        ours.sort(key=lambda job: (job.started_at, job.subject, job.workflow, job.key))
        by_subject: dict[str | None, list[Job]] = {None: ours}
        for job in ours:
            by_subject.setdefault(job.subject, []).append(job)
        return _Open(sequence, {name: tuple(each) for name, each in by_subject.items()}, questions)

    def _drive(self, job: Job, now: datetime, lease: Lease | None, check: Callable[[], None]) -> Job:
        workflow = self._workflows[job.workflow]
        record = JobRecord(self._ledger, job, actor=self._actor, now=now, lease=lease)
        try:
            if not workflow.takes(job.code):
                return _reported(record.end("stopped", error=_other_code(job, workflow)))
            return _run(workflow, record, Steps(record, check))
        except Parked:
            return record.job


def _run(workflow: Workflow, record: JobRecord, steps: Steps) -> Job:
    try:
        output = plain(workflow.run(steps, record.job.input))
        steps.finish()
    except LostLease:
        raise
    except Cancelled as cancelled:
        return record.end("cancelled", error=cancelled.message)
    except Exception as error:  # noqa: BLE001 - a workflow is foreign code: however it fails, the other jobs go on
        return _failed(record, steps, error)
    if record.called_off:
        return record.end("cancelled", output=output)
    return record.end("done", output=output)


def _failed(record: JobRecord, steps: Steps, error: Exception) -> Job:
    """A failure outside of any step, or one that the workflow let pass."""
    n_failed, rule = record.job.tries + 1, Retry()
    if isinstance(error, Temporary) and n_failed < rule.tries:
        try:
            steps.park_for_retry("another try", error, n_failed, rule.wait_s(n_failed, error))
        except Cancelled as cancelled:
            return record.end("cancelled", error=cancelled.message)
    known = isinstance(error, StepFailed)
    if not known:
        log.warning("The job %s failed: %s", record.job.id, error, exc_info=error)
    return _reported(record.end("failed", error=str(error) if known else in_words(error)))


def _reported(job: Job) -> Job:
    log.warning("The job %s (%s of %s) %s: %s", job.id, job.workflow, job.subject, job.status, job.error)
    return job


def _other_code(job: Job, workflow: Workflow) -> str:
    return (
        f"The job was begun under the code {job.code!r} of the workflow {workflow.name!r}, and this is {workflow.code!r}, "
        "which does not continue it. Name that code in `Workflow.continues` where the steps are the same, or begin a "
        "new job."
    )
