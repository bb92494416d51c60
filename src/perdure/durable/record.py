"""One job's rows in the ledger, as one drive of it reads and writes them. Used by `steps` and `engine`.

Every write is one fenced transaction, and what is kept in memory follows only when it is committed. A
job that ended elsewhere meanwhile is left alone: the drive of it ends without a further write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from perdure.core.canonical import plain
from perdure.core.clock import machine_now
from perdure.core.errors import Cancelled
from perdure.stores.ledger.protocols import Approval, Job, JobStep, Lease, Ledger, LedgerSession

OPEN = frozenset({"running", "parked"})
CANCEL = "!cancel"
"""Name of the record that calls a job off. Names of steps do not begin with `!`."""
FAILURE = "!error"
"""The only key of a failed step's result."""


class Parked(BaseException):
    """The job goes on another time. No `Exception`, so that a workflow's own handlers let it pass."""


class JobRecord:
    """A job and its recorded steps, during one drive.

    Args:
        ledger: where it is kept.
        job: its present state.
        actor: who drives it.
        now: domain time of the drive.
        lease: under which it is driven.
    """

    def __init__(self, ledger: Ledger, job: Job, *, actor: str, now: datetime, lease: Lease | None) -> None:
        self.job = job
        self.now = now
        self.lease = lease
        self.called_off = False
        """True once the workflow was told that its job is cancelled."""
        self._ledger = ledger
        self._actor = actor
        with ledger.read() as session:
            self.steps = [step for step in session.jobs.list_steps(job.id) if step.name != CANCEL]

    def raise_if_cancelled(self) -> None:
        """Tell the workflow once that its job was called off; nothing happens when it was not, or knows.

        Raises:
            Cancelled: somebody called the job off.
        """
        if self.called_off:
            return
        with self._ledger.read() as session:
            order = find_step(session, self.job.id, CANCEL)
        if order is not None:
            self._tell(order)

    def begin_work(self) -> None:
        """Show that the job is at work; nothing is written when it shows already."""
        running = replace(self.job, status="running", due_at=None, waits_for="", retry_at=None)
        if running != self.job:
            self._transact("go on", lambda session: (None, session.jobs.put(running)))

    def keep(self, name: str, reason: str, write: Callable[[LedgerSession], Any]) -> JobStep:
        """Write, and record what it gave as a step, in one transaction; a step that is recorded is not done again."""

        def body(session: LedgerSession) -> tuple[JobStep, Job]:
            done = find_step(session, self.job.id, name)
            step = self.put_step(session, name, write(session)) if done is None else done
            return step, session.jobs.put(self._going_on())

        self._transact(reason, body)
        return self.steps[-1]

    def put_step(self, session: LedgerSession, name: str, result: Any) -> JobStep:
        """Record what a step gave, as JSON would give it back."""
        epoch = 0 if self.lease is None else self.lease.epoch
        return session.jobs.put_step(
            JobStep(self.job.id, name, len(self.steps), plain(result), at=self.now, epoch=epoch)
        )

    def approval(self, approval_id: str) -> Approval:
        """A question as it stands."""
        with self._ledger.read() as session:
            return session.approvals.get(approval_id)

    def park(self, reason: str, **changes: Any) -> NoReturn:
        """Lay the job aside.

        Raises:
            Parked: it is.
            Cancelled: it was called off meanwhile, and is not laid aside.
        """
        self.keep_or_park(reason, lambda _session: (None, changes))
        raise Parked

    def keep_or_park(
        self, reason: str, decide: Callable[[LedgerSession], tuple[JobStep | None, Mapping[str, Any]]]
    ) -> JobStep:
        """Record the step that `decide` gives, or lay the job aside with the changes that it gives instead.

        Raises:
            Parked: the job is laid aside.
            Cancelled: it was called off meanwhile; then neither happens.
        """
        orders: list[JobStep] = []

        def body(session: LedgerSession) -> tuple[JobStep | None, Job]:
            order = None if self.called_off else find_step(session, self.job.id, CANCEL)
            if order is not None:
                orders.append(order)
                return None, self.job
            step, changes = decide(session)
            if step is not None:
                return step, session.jobs.put(self._going_on())
            cleared: dict[str, Any] = {"status": "parked", "due_at": None, "waits_for": "", "retry_at": None}
            return None, session.jobs.put(replace(self.job, **{**cleared, **changes}))

        self._transact(reason, body)
        if orders:
            self._tell(orders[0])
        if self.job.status == "parked":
            raise Parked
        return self.steps[-1]

    def end(self, status: str, *, error: str = "", output: Mapping[str, Any] | None = None) -> Job:
        """Write down how the job ended."""
        ended = replace(
            self._going_on(), status=status, error=error, output=plain(output or {}), ended_at=self.now, tries=0
        )
        self._transact(f"job {status}", lambda session: (None, session.jobs.put(ended)))
        return self.job

    def _going_on(self) -> Job:
        return replace(self.job, status="running", due_at=None, waits_for="", retry_at=None, tries=0)

    def _tell(self, order: JobStep) -> None:
        self.called_off = True
        raise Cancelled(
            f"The job {self.job.id!r} was called off by {order.result['actor']!r}: {order.result['reason']}",
            hint="Clean up, and end.",
            job=self.job.id,
        )

    def _transact(self, reason: str, body: Callable[[LedgerSession], tuple[JobStep | None, Job]]) -> None:
        with self._ledger.transaction(actor=self._actor, at=self.now, reason=reason, lease=self.lease) as session:
            present = session.jobs.get(self.job.id)
            step, job = body(session) if present.status in OPEN else (None, present)
        self.job = job
        if step is not None:
            self.steps.append(step)
        if present.status not in OPEN:
            raise Parked


def find_step(session: LedgerSession, job_id: str, name: str) -> JobStep | None:
    """The recorded step of a name, or None."""
    return next((step for step in session.jobs.list_steps(job_id) if step.name == name), None)


def is_due(job: Job, now: datetime, open_questions: frozenset[str]) -> bool:
    """Whether an open job can go on: at work, or parked and what it waits for is there."""
    if job.status == "running":
        return True
    if job.retry_at is not None:
        return machine_now() >= job.retry_at
    if job.due_at is not None:
        return now >= job.due_at
    return job.waits_for not in open_questions
