"""The jobs role: durable work and what its steps gave.

A job's row is its present state; every state it ever had is an audit entry. Steps are written once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, select

from perdure.core.clock import from_us, iso, to_us
from perdure.core.errors import Refused, not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.protocols import Job, JobStep
from perdure.stores.ledger.schema import job_steps, jobs
from perdure.stores.ledger.scope import Change, Removal, Scope, Write

_OPEN = ("running", "parked")
_PRUNED_AN_ENTRY = 100
"""Jobs whose removal is told by one audit entry: it lists their rows one by one."""


class SqlJobs:
    """Jobs by id and by key, and their steps, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def put(self, job: Job) -> Job:
        """Insert, or replace the earlier state; an equal one changes nothing.

        Of another job with this workflow and key that one is returned, and nothing written.

        Raises:
            Refused: the job's workflow or key would change.
        """
        author = self._scope.writing()
        stored = self._one(jobs.c.id == job.id)
        if stored is None:
            first = self._one(jobs.c.workflow == job.workflow, jobs.c.key == job.key)
            if first is not None:
                return _job(first)
        elif (stored.workflow, stored.key) != (job.workflow, job.key):
            raise Refused(
                f"The job {job.id!r} is {stored.key!r} of the workflow {stored.workflow!r}, not {job.key!r} of "
                f"{job.workflow!r}.",
                hint="Give another job another id.",
            )
        row = _job_row(self._scope.project, job)
        if stored is not None and all(getattr(stored, name) == value for name, value in row.items()):
            return job
        said = {"job": job.id, "workflow": job.workflow, "status": job.status}
        said.update({name: text for name in ("waits_for", "error") if (text := getattr(job, name))})
        write = Write(jobs, {**row, "actor": author.actor}, replaces=stored is not None)
        self._scope.save(Change("jobs.put", job.subject, said), [write])
        return job

    def get(self, job_id: str) -> Job:
        """The job of an id.

        Raises:
            NotFound: no such job.
        """
        row = self._one(jobs.c.id == job_id)
        if row is None:
            known = select(jobs.c.id).where(jobs.c.project == self._scope.project)
            raise not_found("job", job_id, self._scope.connection.scalars(known))
        return _job(row)

    def put_step(self, step: JobStep) -> JobStep:
        """Keep what a step gave; one that is there already stays as it is, and is returned.

        Raises:
            NotFound: no such job.
        """
        author = self._scope.writing()
        query = self._steps_of(step.job).where(job_steps.c.name == step.name)
        stored = self._scope.connection.execute(query).one_or_none()
        if stored is not None:
            return _step(stored)
        row = {
            "project": self._scope.project,
            "job": step.job,
            "name": step.name,
            "position": step.position,
            "result": json_text(step.result),
            "at_us": to_us(step.at),
            "epoch": step.epoch,
            "actor": author.actor,
        }
        said = {"job": step.job, "step": step.name, "position": step.position}
        self._scope.save(Change("jobs.step", self.get(step.job).subject, said), [Write(job_steps, row)])
        return step

    def list_steps(self, job_id: str) -> list[JobStep]:
        """In the order in which they were done."""
        rows = self._scope.connection.execute(self._steps_of(job_id).order_by(job_steps.c.sequence))
        return [_step(row) for row in rows]

    def prune(self, before: datetime) -> int:
        """Remove jobs that ended before an instant, and their steps; returns how many jobs. What was said stays said."""
        self._scope.writing()
        ended = select(jobs.c.id, jobs.c.subject).where(
            jobs.c.project == self._scope.project, jobs.c.ended_us < to_us(before), jobs.c.status.not_in(_OPEN)
        )
        found = self._scope.connection.execute(ended.order_by(jobs.c.id)).all()
        for first in range(0, len(found), _PRUNED_AN_ENTRY):
            part = found[first : first + _PRUNED_AN_ENTRY]
            removals = [removal for row in part for removal in self._removals(row.id)]
            said = {"before": iso(before), "jobs": [row.id for row in part]}
            subject = ",".join(sorted({row.subject for row in part}))
            self._scope.save(Change("jobs.prune", subject, said), removals)
        return len(found)

    def _removals(self, job_id: str) -> list[Removal]:
        of_project = {"project": self._scope.project}
        names = [step.name for step in self.list_steps(job_id)]
        steps = [Removal(job_steps, {**of_project, "job": job_id, "name": name}) for name in names]
        return [*steps, Removal(jobs, {**of_project, "id": job_id})]

    def _one(self, *conditions: ColumnElement[bool]) -> Row[Any] | None:
        query = select(jobs).where(jobs.c.project == self._scope.project, *conditions)
        return self._scope.connection.execute(query).one_or_none()

    def _steps_of(self, job_id: str) -> Any:
        return select(job_steps).where(job_steps.c.project == self._scope.project, job_steps.c.job == job_id)

    def list(self, *, subject: str | None = None, open_only: bool = False, limit: int = 100) -> list[Job]:
        """The newest `limit` jobs, newest first; `open_only`: running and parked ones."""
        query = select(jobs).where(jobs.c.project == self._scope.project)
        if subject is not None:
            query = query.where(jobs.c.subject == subject)
        if open_only:
            query = query.where(jobs.c.status.in_(_OPEN))
        rows = self._scope.connection.execute(query.order_by(jobs.c.started_us.desc(), jobs.c.id.desc()).limit(limit))
        return [_job(row) for row in rows]


def _job_row(project: str, job: Job) -> dict[str, Any]:
    return {
        "project": project,
        "id": job.id,
        "workflow": job.workflow,
        "key": job.key,
        "subject": job.subject,
        "status": job.status,
        "code": job.code,
        "started_us": to_us(job.started_at),
        "due_us": _us(job.due_at),
        "waits_for": job.waits_for,
        "tries": job.tries,
        "retry_us": _us(job.retry_at),
        "input": json_text(job.input),
        "output": json_text(job.output),
        "error": job.error,
        "ended_us": _us(job.ended_at),
    }


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        workflow=row.workflow,
        key=row.key,
        subject=row.subject,
        status=row.status,
        code=row.code,
        started_at=from_us(row.started_us),
        due_at=_at(row.due_us),
        waits_for=row.waits_for,
        tries=row.tries,
        retry_at=_at(row.retry_us),
        input=_mapping(row.input),
        output=_mapping(row.output),
        error=row.error,
        ended_at=_at(row.ended_us),
    )


def _step(row: Row[Any]) -> JobStep:
    return JobStep(row.job, row.name, row.position, json.loads(row.result), from_us(row.at_us), row.epoch)


def _mapping(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text)
    return found


def _us(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)


def _at(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
