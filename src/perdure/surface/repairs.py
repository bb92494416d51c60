"""What the loop did, from the ledger's records alone: incidents, repairs, releases, and whether decisions hold.

Called by demos and reports. Nothing here is random from one run to the next: a record names versions,
which are content hashes, and never an incident's or a job's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from perdure.assets.version import CHAMPION, PointerMove
from perdure.core.canonical import canonical_json
from perdure.loop.decide import decide
from perdure.loop.situation import situation_from, to_bytes
from perdure.stores.ledger.protocols import AuditEntry, Incident, Job, Ledger, LedgerSession
from perdure.surface.governance.entries import entries
from perdure.surface.words import words

_DECIDED, _VERIFIED = "loop.decide", "loop.verify"
_MARK = "decided/"
_CHOSEN = {"hold": "is left as it is", "wait": "waits", "ask": "waits for a person", "nothing": "needs nothing"}
_BEFORE_TRAFFIC = ("verify", "shadow", "canary")
"""Stages whose gates keep a candidate from becoming champion."""


@dataclass(frozen=True, slots=True)
class Told:
    """One incident of an asset, as a person is told of it."""

    asset: str
    kind: str
    cause: str
    """The leading cause at the end; the kind where none was weighed."""
    opened: datetime
    closed: datetime | None
    remedy: str
    """What was done, in words; empty where nothing was."""
    summary: str
    closing: str


@dataclass(frozen=True, slots=True)
class Release:
    """A version that a repair made champion."""

    asset: str
    version: str
    replaced: str
    at: datetime
    cause: str
    """Of the incident that it answers."""
    evidence: str
    """What the gates said before it got traffic."""
    gain: float
    rivals: int
    """Candidates that competed."""
    rolled_back: datetime | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the loop took for the leading cause of an asset's ill health at one instant."""

    asset: str
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Repairs:
    """Everything that the loop did in a ledger's time."""

    incidents: Sequence[Told] = ()
    releases: Sequence[Release] = ()
    n_retrains: int = 0
    """Repairs that fitted at least one candidate."""
    n_rejected: int = 0
    """Candidates that a gate kept from traffic."""
    n_decisions: int = 0
    n_equal: int = 0
    """Decisions that come out the same, byte for byte, from their recorded situations."""
    diagnoses: Sequence[Diagnosis] = ()
    """One a decision, in order of time."""

    @property
    def n_rollbacks(self) -> int:
        """Releases that were taken back."""
        return sum(release.rolled_back is not None for release in self.releases)


def repairs(ledger: Ledger, assets: Sequence[str]) -> Repairs:
    """What was done for these assets. Cost: one pass over the audit chain.

    Args:
        ledger: whose records are read; nothing else is.
        assets: names of what can be released.
    """
    with ledger.read() as session:
        told = list(entries(session, actions=(_DECIDED, _VERIFIED)))
        incidents = session.incidents.list()
        jobs = [job for asset in assets for job in session.jobs.list(subject=asset, limit=100_000)]
        moves = [move for asset in assets for move in session.pointers.history(asset)]
        made = {version.id: version.created_at for asset in assets for version in session.registry.list_versions(asset)}
    trials = [(entry.facts, trial) for entry in told if entry.action == _VERIFIED for trial in entry.facts["trials"]]
    decided = [entry for entry in told if entry.action == _DECIDED]
    return Repairs(
        incidents=[_told(each) for each in sorted(incidents, key=lambda each: (each.opened_at, each.asset, each.kind))],
        releases=_releases(moves, trials, {incident.id: incident for incident in incidents}),
        n_retrains=sum(_fitted(job, made) for job in jobs),
        n_rejected=len({_trial_of(facts, trial) for facts, trial in trials if _refused(facts, trial)}),
        n_decisions=len(decided),
        n_equal=sum(_equal(entry.facts) for entry in decided),
        diagnoses=[_diagnosis(entry) for entry in decided],
    )


def _equal(facts: Mapping[str, Any]) -> bool:
    try:
        again = decide(situation_from(facts["situation"]))
    except msgspec.ValidationError:
        return False
    return to_bytes(again) == canonical_json(facts["decision"])


def _diagnosis(entry: AuditEntry) -> Diagnosis:
    causes = entry.facts["situation"].get("causes") or [{"name": ""}]
    return Diagnosis(entry.subject, str(causes[0]["name"]), entry.at)


def _told(incident: Incident) -> Told:
    causes = incident.facts.get("causes") or [{"name": incident.kind}]
    return Told(
        asset=incident.asset,
        kind=incident.kind,
        cause=str(causes[0]["name"]),
        opened=incident.opened_at,
        closed=incident.closed_at,
        remedy=str(incident.facts.get("remedy", "")),
        summary=incident.summary,
        closing=incident.closing,
    )


def _fitted(job: Job, made: Mapping[str, datetime]) -> bool:
    """Whether one of a repair's candidates was made by it: a past version is older than the repair."""
    candidates = job.output.get("candidates", ())
    return any(name in made and made[name] >= job.started_at for name in candidates)


def _refused(facts: Mapping[str, Any], trial: Mapping[str, Any]) -> bool:
    return facts.get("stage") in _BEFORE_TRAFFIC and not all(verdict["passed"] for verdict in trial["verdicts"])


def _trial_of(facts: Mapping[str, Any], trial: Mapping[str, Any]) -> tuple[str, str]:
    return str(facts.get("job", "")), str(trial["candidate"])


def _releases(
    moves: Sequence[PointerMove],
    trials: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    incidents: Mapping[str, Incident],
) -> list[Release]:
    """Moves of a champion by a repair; a later one by the same repair takes its release back."""
    found: dict[tuple[str, str], Release] = {}
    champion: dict[str, str] = {}
    for move in sorted(moves, key=lambda move: move.sequence):
        if move.name != CHAMPION or move.version is None:
            continue
        key = (move.asset, str(move.facts.get("job", "")))
        if key in found:
            found[key] = replace(found[key], rolled_back=move.at)
        elif key[1]:
            found[key] = _release(move, champion.get(move.asset, ""), trials, incidents)
        champion[move.asset] = move.version
    return list(found.values())


def _release(
    move: PointerMove,
    replaced: str,
    trials: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    incidents: Mapping[str, Incident],
) -> Release:
    own = [trial for facts, trial in trials if facts.get("job") == move.facts["job"] and facts.get("stage") == "verify"]
    won = [trial for trial in own if trial["candidate"] == move.version]
    verdicts = won[0]["verdicts"] if won else ()
    incident = incidents.get(str(move.facts.get("incident", "")))
    return Release(
        asset=move.asset,
        version=str(move.version),
        replaced=replaced,
        at=move.at,
        cause=_told(incident).cause if incident else "",
        evidence="; ".join(str(verdict["text"]) for verdict in verdicts),
        gain=sum(float(verdict["gain"]) for verdict in verdicts),
        rivals=len(own),
    )


def doing(session: LedgerSession) -> str:
    """What the loop is doing now, and why: its open repairs, else what it decided of what is broken, else nothing."""
    jobs = session.jobs.list(open_only=True)
    if jobs:
        return "; ".join(_job_text(job) for job in reversed(jobs))
    broken = {incident.asset for incident in session.incidents.list(open_only=True)}
    decided = session.cursors.list(_MARK)
    marks = [(asset, decided[_MARK + asset]) for asset in sorted(broken) if _MARK + asset in decided]
    return "; ".join(_mark_text(asset, mark) for asset, mark in marks if mark.get("choice") in _CHOSEN)


def _job_text(job: Job) -> str:
    decision = job.input.get("decision", {})
    actions = decision.get("actions", ())
    what = str(actions[0]["text"]) if len(actions) == 1 else f"{len(actions)} remedies compete"
    cause = f" {words(str(decision['cause']))}" if decision.get("cause") else ""
    waits = f"; waits for {job.waits_for}" if job.waits_for else ""
    return f"{words(job.workflow)} of {job.subject}:{cause}, {what}{waits}"


def _mark_text(asset: str, mark: Mapping[str, Any]) -> str:
    until = f" until {mark['again_at'][:10]}" if mark.get("again_at") else ""
    above = f": first {', '.join(mark['upstream'])}" if mark.get("upstream") else ""
    return f"{asset} {_CHOSEN[mark['choice']]}{until}{above}"
