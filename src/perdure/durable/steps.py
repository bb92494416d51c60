"""What a workflow's function gets: steps that are done once, waits and questions that need no process.

The function is called from the top each time its job goes on. A step that is recorded gives what it gave;
the first one that is not is done. So everything that the function decides on must come from its input or
from a step, and steps must be asked for in the same order each time: `Steps` checks that they are.

A step that fails for good is recorded too, and raises `StepFailed` at that place every time: a workflow
that handles it takes the same way again after a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from perdure.core.clock import iso, machine_now, sleep_s
from perdure.core.errors import BadWorkflow, Cancelled, LostLease, PerdureError, StepFailed, Temporary, not_found
from perdure.core.ids import new_id
from perdure.durable.record import FAILURE, JobRecord
from perdure.durable.retry import Retry, within
from perdure.stores.ledger.protocols import Approval, Job, JobStep, Lease, LedgerSession

log = logging.getLogger("perdure.durable")

_IN_PLACE_S = 3.0
"""Waits up to so long together are slept through; a longer one parks the job, so that others have their turn."""
_LONGEST_TEXT = 500


class Steps:
    """The steps of one job, during one drive of it. Made by `Durable.drive`.

    Every method may raise `LostLease` (another worker goes on with the job) and `Cancelled` (once, at the
    first step that is not done yet, after somebody called the job off), and ends the drive when the job
    has to wait.
    """

    def __init__(self, record: JobRecord, check: Callable[[], None]) -> None:
        self._record = record
        self._check = check
        self._asked: set[str] = set()
        self._inside = ""

    @property
    def job(self) -> Job:
        """The job as it stands."""
        return self._record.job

    @property
    def now(self) -> datetime:
        """Domain time of this drive. Another one each time: what has to stay the same comes from `at`."""
        return self._record.now

    @property
    def lease(self) -> Lease | None:
        """Under which the job is driven; what a step writes must be fenced by it."""
        return self._record.lease

    def at(self, name: str) -> datetime:
        """Domain time at which a step was done: the same at every call.

        Raises:
            NotFound: no such step is done.
        """
        step = self._find(name)
        if step is None:
            raise not_found("step that is done", name, [each.name for each in self._record.steps])
        return step.at

    def began_at(self, name: str) -> datetime:
        """Domain time from which a step could be done: when the one before it was, or when the job was begun."""
        before = self.job.started_at
        for step in self._record.steps:
            if step.name == name:
                break
            before = step.at
        return before

    def do(
        self, name: str, work: Callable[[str], Any], *, retry: Retry | None = None, timeout_s: float | None = None
    ) -> Any:
        """Do a piece of work at least once, and keep what it gave.

        Args:
            name: of the step, unique within the job.
            work: called with the step's key, `<job id>/<name>`: whatever it changes must be idempotent under it.
            retry: how often it is tried after a `Temporary` error; by default `Retry()`.
            timeout_s: a try that takes longer has failed, as a `Temporary` error; it runs in a thread of its own,
                which cannot be killed (see `retry.within`).

        Returns: what it gave, as JSON gives it back: a tuple is a list.

        Raises:
            StepFailed: it failed for good: not by a `Temporary` error, or as often as `retry` allows.
            BadWorkflow: the job's record holds another step at this place.
        """
        step = self._enter(name)
        if step is None:
            key, tries = f"{self.job.id}/{name}", Retry() if retry is None else retry
            self._record.begin_work()
            what = f"The step {name!r}"
            given = self._attempt(name, lambda: within(timeout_s, what, lambda: work(key)), tries, self.job.tries)
            step = self._attempt(name, lambda: self._record.keep(name, f"step {name}", lambda _session: given))
        return self._result(step)

    def commit(self, name: str, reason: str, write: Callable[[LedgerSession], Any]) -> Any:
        """Write to the ledger exactly once: in the very transaction that records the step.

        Args:
            name: of the step, unique within the job.
            reason: why, in words, for the audit.
            write: writes through the session, and gives what is recorded. Keep it short: it holds the write lock.

        Returns: what it gave, as JSON gives it back.

        Raises:
            StepFailed: it failed for good; nothing of it was written.
            BadWorkflow: the job's record holds another step at this place.
        """
        step = self._enter(name)
        if step is None:
            step = self._attempt(name, lambda: self._record.keep(name, reason, write), n_failed=self.job.tries)
        return self._result(step)

    def wait_until(self, name: str, at: datetime) -> None:
        """Go on at an instant of domain time, in a later drive where it is not there yet.

        Raises:
            BadWorkflow: the job's record holds another step at this place.
        """
        if self._enter(name) is None:
            waiting = {"due_at": at, "waits_for": f"{name}, at {iso(at)}"}
            is_there = self.now >= at
            self._record.keep_or_park(
                f"wait {name}",
                lambda session: (self._record.put_step(session, name, None) if is_there else None, waiting),
            )

    def ask(self, name: str, approval: Approval) -> Approval:
        """Ask people once; go on when they have decided, which may be days and many processes later.

        Args:
            name: of the step, unique within the job.
            approval: the question. An empty key becomes the step's, an empty id a new one.

        Returns: the question with its answers: approved, rejected or withdrawn.

        Raises:
            BadWorkflow: the job's record holds another step at this place.
        """
        step = self._enter(name)
        if step is None:
            key = approval.key or f"{self.job.id}/{name}"
            question = replace(approval, id=approval.id or new_id("apr"), key=key)

            def decide(session: LedgerSession) -> tuple[JobStep | None, Mapping[str, Any]]:
                asked = session.approvals.ask(question)
                if asked.status == "open":
                    return None, {"waits_for": asked.id}
                return self._record.put_step(session, name, {"approval": asked.id, "status": asked.status}), {}

            step = self._record.keep_or_park(f"ask {name}", decide)
        return self._record.approval(step.result["approval"])

    def finish(self) -> None:
        """Called when the workflow has returned.

        Raises:
            BadWorkflow: the record holds steps that the workflow did not ask for.
        """
        left = [step.name for step in self._record.steps if step.name not in self._asked]
        if left:
            raise BadWorkflow(
                f"The workflow {self.job.workflow!r} ended, but the job {self.job.id!r} has recorded steps that it did "
                f"not ask for: {', '.join(left)}.",
                hint="Give a workflow that takes other steps another `code`.",
            )

    def _enter(self, name: str) -> JobStep | None:
        """The step's record, or None when it is to be done now."""
        if self._inside:
            raise BadWorkflow(
                f"The step {name!r} is asked for inside of the step {self._inside!r}.",
                hint="Ask for it before or after.",
            )
        if not name or name.startswith("!"):
            raise BadWorkflow(f"{name!r} is no name for a step.", hint="Use words, and no `!` in front.")
        if name in self._asked:
            raise BadWorkflow(
                f"The workflow {self.job.workflow!r} asks for the step {name!r} twice.", hint="Number steps of a loop."
            )
        position, recorded = len(self._asked), self._record.steps
        done = recorded[position] if position < len(recorded) else None
        if done is None or done.name != name:
            self._check()
            self._record.raise_if_cancelled()
        if done is not None and done.name != name:
            raise BadWorkflow(
                f"The workflow {self.job.workflow!r} asks for the step {name!r}, but the job {self.job.id!r} has "
                f"{done.name!r} recorded as its step {position}.",
                hint="Decide only on the input and on steps; give a workflow that takes other steps another `code`.",
            )
        self._asked.add(name)
        return done

    def _attempt(self, name: str, work: Callable[[], Any], retry: Retry | None = None, n_failed: int = 0) -> Any:
        """What the work gives; tried again in place while that is a matter of seconds, else in a later drive."""
        rule, waited_s = Retry() if retry is None else retry, 0.0
        while True:
            try:
                self._inside = name
                return work()
            except (LostLease, Cancelled):
                raise
            except Exception as error:  # noqa: BLE001 - a step is foreign code: however it fails, its job ends in order
                n_failed += 1
                failed = error
            finally:
                self._inside = ""
            if not isinstance(failed, Temporary) or n_failed >= rule.tries:
                self._fail(name, failed)
            wait_s = rule.wait_s(n_failed, failed)
            if waited_s + wait_s > _IN_PLACE_S:
                self.park_for_retry(f"another try of {name}", failed, n_failed, wait_s)
            sleep_s(wait_s)
            waited_s += wait_s
            self._check()

    def park_for_retry(self, what: str, error: Exception, n_failed: int, wait_s: float) -> NoReturn:
        """Lay the job aside until it may be tried again, on the machine's clock.

        Raises:
            Parked: it is.
            Cancelled: it was called off meanwhile.
        """
        retry_at = machine_now() + timedelta(seconds=wait_s)
        self._record.park(
            f"retry after {type(error).__name__}",
            waits_for=f"{what}: {in_words(error)}",
            tries=n_failed,
            retry_at=retry_at,
        )

    def _fail(self, name: str, error: Exception) -> NoReturn:
        log.warning("The step %r of the job %s failed: %s", name, self.job.id, error, exc_info=error)
        code = error.code if isinstance(error, PerdureError) else ""
        failure = {"type": type(error).__name__, "message": in_words(error), "code": code}
        self._record.keep(name, f"step {name} failed", lambda _session: {FAILURE: failure})
        raise _step_failed(name, failure) from error

    def _result(self, step: JobStep) -> Any:
        """What a recorded step gave: its result, or its failure."""
        if isinstance(step.result, dict) and step.result.keys() == {FAILURE}:
            raise _step_failed(step.name, step.result[FAILURE])
        return step.result

    def _find(self, name: str) -> JobStep | None:
        return next((step for step in self._record.steps if step.name == name), None)


def _step_failed(name: str, failure: Mapping[str, str]) -> StepFailed:
    return StepFailed(
        f"The step {name!r} failed: {failure['message']}",
        hint="It is not done again: begin a new job when the reason is gone.",
        step=name,
        type=failure["type"],
        cause=failure["code"],
    )


def in_words(error: Exception) -> str:
    """An error as a job keeps it: the message with its type, of readable length."""
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
