"""What the loop does about an open incident now, in words: from its newest decision and its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.surface.governance.story import DECIDED
from perdure.surface.words import instant, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.stores.ledger.protocols import Incident, Job, LedgerSession

_PAGE = 20
"""Decisions read at a time, the newest first: mostly the first is of the incident."""


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
    before = None
    while page := session.audit.list(
        subject=incident.asset, actions=(DECIDED,), newest=True, before=before, limit=_PAGE
    ):
        for entry in page:
            if entry.facts.get("incident") == incident.id:
                decision: Mapping[str, Any] = entry.facts["decision"]
                return decision
        # It was decided since the incident was opened, or never.
        if page[-1].at < incident.opened_at:
            return None
        before = page[-1].sequence
    return None


def _decided(decision: Mapping[str, Any]) -> str:
    again = f" Again at {instant(decision['again_at'])}." if decision["again_at"] else ""
    return f"{decision['choice']}: {decision['reasons'][0]}{again}"
