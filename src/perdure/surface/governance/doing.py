"""What the loop does about an open incident now, in words: from its newest decision and its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.surface.governance.entries import entries
from perdure.surface.governance.story import DECIDED
from perdure.surface.words import instant, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.stores.ledger.protocols import Incident, Job, LedgerSession


def doing_about(session: LedgerSession, incident: Incident) -> str:
    """One sentence; empty where the loop has said nothing of it yet."""
    jobs = [job for job in session.jobs.list(subject=incident.asset) if job.id in incident.facts.get("jobs", ())]
    if jobs and jobs[0].ended_at is None:
        return job_text(jobs[0])
    if jobs:
        ended = f"{words(str(jobs[0].output.get('outcome', jobs[0].status)))} at {instant(jobs[0].ended_at or jobs[0].started_at)}"
        why = jobs[0].output.get("why") or jobs[0].error
        return f"{ended}: {why}" if why else ended
    decision = _newest_decision(session, incident)
    return _decided(decision) if decision is not None else ""


def job_text(job: Job) -> str:
    """What a job does or waits for, in words."""
    what = ", ".join(action["text"] for action in job.input.get("decision", {}).get("actions", ()))
    lead = f"{words(job.workflow)}: {what}" if what else words(job.workflow)
    if job.status == "parked":
        until = f" until {instant(job.due_at)}" if job.due_at else ""
        return f"{lead}; waits{until}{f' for {job.waits_for}' if job.waits_for else ''}"
    return f"{lead}; {job.error}" if job.error else lead


def _newest_decision(session: LedgerSession, incident: Incident) -> Mapping[str, Any] | None:
    newest: Mapping[str, Any] | None = None
    for entry in entries(session, subject=incident.asset):
        if entry.action == DECIDED and entry.facts.get("incident") == incident.id:
            newest = entry.facts["decision"]
    return newest


def _decided(decision: Mapping[str, Any]) -> str:
    again = f" Again at {instant(decision['again_at'])}." if decision["again_at"] else ""
    return f"{decision['choice']}: {decision['reasons'][0]}{again}"
