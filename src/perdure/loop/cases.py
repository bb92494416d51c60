"""Cases: an asset that broke, or whose schedule is due, with what is known, thought and decided of it.

`consider` only looks: `perdure plan` prints what it gives. `take_up` writes, all in one transaction:
the incident, the decision with everything that it rests on, and the job that does it. So a crash
leaves either nothing or a job that the next worker goes on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from perdure.assets.health import Cause
from perdure.assets.policy import AUTONOMY, Autonomy, least
from perdure.assets.repair import ANY, SCHEDULE
from perdure.core.canonical import bytes_hash, content_hash, plain
from perdure.core.clock import iso, parse_at
from perdure.core.ids import new_id
from perdure.core.units import days
from perdure.loop.decide import decide
from perdure.loop.diagnose import broken, diagnose
from perdure.loop.incidents import find_incident, note, open_incident
from perdure.loop.observe import newest_findings
from perdure.loop.pausing import paused
from perdure.loop.protocols import Kind, Watched, Workplace
from perdure.loop.release import find_champion
from perdure.loop.situation import Decision, Option, Past, Rules, Situation, Symptom, to_bytes
from perdure.stores.ledger.protocols import Incident, Job, LedgerSession

REPAIR = "repair"
"""The workflow that does what was decided."""
DECIDED = "loop.decide"
"""Action of the audit entries that hold a situation and its decision."""
_CURSOR = "decided/"
_FRUITLESS = ("rejected", "refused", "rolled_back", "failed")
"""Outcomes of repairs that open the breaker."""
_NEWEST = 50
"""Jobs that are read first; more where they do not reach back far enough."""
_REVIEW = days(7)
"""A case in which nothing may be done is diagnosed again after so long, or when something else breaks."""

Trigger = Literal["evidence", "schedule", "manual"]


def _code() -> str:
    here = Path(__file__).parent
    return bytes_hash(b"".join((here / name).read_bytes() for name in ("decide.py", "situation.py")))[:12]


DECIDED_BY = _code()
"""Version of the code that decides: another one may decide otherwise."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What the loop would do about one asset, and why."""

    asset: str
    kind: str
    incident: Incident | None
    """The open one, or the upstream one that holds the asset back; None where one would be opened."""
    situation: Situation
    decision: Decision


class Cases:
    """Considers assets and takes their cases up."""

    def __init__(self, place: Workplace, kinds: Mapping[str, Kind]) -> None:
        self._place = place
        self._kinds = kinds

    def schedule_due(self, asset: Watched, now: datetime, marks: Mapping[str, Any]) -> bool:
        """Whether the policy's schedule calls for a repair; `marks` are the cursors of decisions."""
        policy = asset.policy
        if policy.every is None or policy.trigger == "manual" or self._rules(asset).autonomy == "observe":
            return False
        mark = marks.get(_CURSOR + asset.name, {}).get("scheduled_at")
        if mark is None or now - parse_at(mark) < policy.every:
            return False
        # The first release is a person's: before it there is nothing to compete with.
        with self._place.stores.ledger.read() as session:
            return find_champion(session, asset.name) is not None

    def marks(self) -> Mapping[str, Any]:
        """What was last decided of each asset: one read a round."""
        with self._place.stores.ledger.read() as session:
            return session.cursors.list(_CURSOR)

    def start_schedules(self, assets: Sequence[Watched], marks: Mapping[str, Any], now: datetime) -> None:
        """A schedule runs from the first round that sees it."""
        unmarked = [
            asset
            for asset in assets
            if asset.policy.every is not None and "scheduled_at" not in marks.get(_CURSOR + asset.name, {})
        ]
        if unmarked:
            with self._place.transaction(now, "start schedules") as session:
                for asset in unmarked:
                    name = _CURSOR + asset.name
                    session.cursors.put(name, {**(session.cursors.get(name) or {}), "scheduled_at": iso(now)})

    def settled(self, asset: Watched, now: datetime, marks: Mapping[str, Any]) -> bool:
        """Whether the last decision still stands, so that weighing everything again would only say so again."""
        mark = marks.get(_CURSOR + asset.name, {})
        if "choice" not in mark:
            return False
        if mark["at"] == iso(now):
            return True
        # What comes and goes among the broken objectives of one incident is no news; another one is.
        sick = {finding.objective for finding in broken(newest_findings(self._place, asset, now))}
        if not sick <= set(mark["broken"]):
            return False
        with self._place.stores.ledger.read() as session:
            if not mark["upstream"] and find_incident(session, asset.name) is None:
                return False
            known = {"upstream": list(_upstream(session, asset)), "paused": paused(session, asset.name, now)}
        if {**known, "rules": _rules_digest(self._rules(asset))} != {
            name: mark.get(name) for name in (*known, "rules")
        }:
            return False
        if mark["again_at"]:
            return now < parse_at(mark["again_at"])
        return mark["choice"] != "repair" and now - parse_at(mark["at"]) < _REVIEW

    def consider(self, asset: Watched, now: datetime, trigger: Trigger) -> Planned:
        """Diagnose and decide; nothing is written.

        Raises:
            Exception: no cause could be weighed.
        """
        place, kind = self._place, self._kinds[asset.kind]
        findings = newest_findings(place, asset, now)
        with place.stores.ledger.read() as session:
            upstream = _upstream(session, asset)
            above = next((each for name in asset.rests_on if (each := find_incident(session, name))), None)
            incident = above or find_incident(session, asset.name)
            past = _past(session, asset, incident, now)
            pause = paused(session, asset.name, now)
        # What is broken further up explains it: nothing is weighed here until that is mended.
        causes = () if upstream or not broken(findings) else diagnose(place, kind, asset, findings, now)
        situation = Situation(
            asset=asset.name,
            kind=asset.kind,
            now=iso(now),
            trigger=trigger,
            rules=self._rules(asset),
            past=past,
            symptoms=tuple(Symptom.of(finding) for finding in findings),
            causes=causes,
            options=() if upstream or pause else self._options(asset, kind, causes, now),
            incident=incident.id if incident else "",
            upstream=upstream,
            paused=pause,
        )
        return Planned(asset.name, asset.kind, incident, situation, decide(situation))

    def _rules(self, asset: Watched) -> Rules:
        autonomy: Autonomy = least(asset.policy.autonomy, _cap(self._place))
        return Rules.of(asset.policy, autonomy)

    def _options(self, asset: Watched, kind: Kind, causes: tuple[Cause, ...], now: datetime) -> tuple[Option, ...]:
        wanted = {ANY, SCHEDULE} | {cause.name for cause in causes}
        return tuple(
            Option(action, tuple(remedy.answers))
            for remedy in kind.remedies
            if wanted.intersection(remedy.answers)
            for action in remedy.propose(self._place, asset, causes, now)
        )

    def take_up(self, asset: Watched, planned: Planned, now: datetime, *, code: str, reason: str = "") -> Job | None:
        """Write the case down and begin the job of its plan; returns the job, if there is one to do.

        Args:
            asset: whose case it is.
            planned: as considered at `now`.
            now: domain time.
            code: version of the workflow that will do the job.
            reason: of a person who asks for it.

        Raises:
            LostLease: another worker took over; nothing was written.
        """
        situation, decision = planned.situation, planned.decision
        with self._place.transaction(now, reason or f"decide: {decision.choice}") as session:
            incident = self._incident(session, asset, situation)
            situation = replace(situation, incident=incident.id if incident else "")
            self._record(session, asset, situation, decision)
            self._mark(session, asset, situation, decision)
            if decision.choice == "ask" and incident is not None:
                note(session, incident.id, {"asked": [decision.reasons[0]]})
            if decision.choice != "repair":
                return None
            job = Job(
                id=new_id("job"),
                workflow=REPAIR,
                # A person may ask at the very instant at which the loop's own repair came to nothing.
                key=f"{asset.name}/{situation.now}/{situation.trigger}",
                subject=asset.name,
                status="running",
                code=code,
                started_at=now,
                input=plain(
                    {
                        "decision": decision,
                        "incident": situation.incident,
                        "kind": asset.kind,
                        "asked_by": self._place.actor,
                        "reason": reason,
                    }
                ),
            )
            begun = session.jobs.put(job)
            if incident is not None:
                note(session, incident.id, {"jobs": [begun.id]})
            return begun

    def _incident(self, session: LedgerSession, asset: Watched, situation: Situation) -> Incident | None:
        sick = [symptom for symptom in situation.symptoms if symptom.state == "broken"]
        if situation.upstream:
            above = next((each for name in asset.rests_on if (each := find_incident(session, name))), None)
            if above is not None and sick:
                note(session, above.id, {"affects": [asset.name]})
            return above
        return open_incident(session, asset, sick, situation.causes) if sick else None

    def _record(self, session: LedgerSession, asset: Watched, situation: Situation, decision: Decision) -> None:
        facts = {
            "incident": situation.incident,
            "situation": plain(situation),
            "decision": plain(decision),
            "digest": bytes_hash(to_bytes(decision)),
            "code": DECIDED_BY,
        }
        session.audit.append(DECIDED, asset.name, facts)

    def _mark(self, session: LedgerSession, asset: Watched, situation: Situation, decision: Decision) -> None:
        name = _CURSOR + asset.name
        before = session.cursors.get(name) or {}
        mark = {
            **before,
            "at": situation.now,
            "choice": decision.choice,
            "again_at": decision.again_at,
            "broken": sorted({each.objective for each in situation.symptoms if each.state == "broken"}),
            "upstream": list(situation.upstream),
            "paused": situation.paused,
            "rules": _rules_digest(situation.rules),
        }
        if situation.trigger == "schedule":
            mark["scheduled_at"] = situation.now
        session.cursors.put(name, mark)


def _rules_digest(rules: Rules) -> str:
    """Another one when a policy, or how decisions are made, was changed: then what was decided by the old one is moot."""
    return content_hash({"rules": rules, "code": DECIDED_BY})[:12]


def _cap(place: Workplace) -> Autonomy:
    """The most that the project's settings leave to the loop."""
    cap = place.settings.loop.autonomy
    return next(each for each in AUTONOMY if each == cap)


def _upstream(session: LedgerSession, asset: Watched) -> tuple[str, ...]:
    found = [(name, find_incident(session, name)) for name in asset.rests_on]
    return tuple(f"{name}: {each.kind.replace('_', ' ')}" for name, each in found if each is not None)


def _past(session: LedgerSession, asset: Watched, incident: Incident | None, now: datetime) -> Past:
    """What earlier jobs came to, the newest first until one bore fruit."""
    since = now - max(asset.policy.retrains.per, asset.policy.cool_down, timedelta(0))
    jobs = _repairs(session, asset.name, since)
    making = [job for job in jobs if _has(job, "candidate") or _has(job, "known")]
    fruitless: list[Job] = []
    for job in jobs:
        if _is_fruitful(job):
            break
        outcome = job.output.get("outcome", job.status)
        # A routine competition that nobody won says that what runs is good, not that repairs are in vain.
        routine = job.input["decision"]["cause"] == SCHEDULE and outcome == "rejected"
        if outcome in _FRUITLESS and not routine:
            fruitless.append(job)
    ended = [job.ended_at or job.started_at for job in fruitless]
    return Past(
        repairs_at=tuple(iso(job.started_at) for job in reversed(making) if job.started_at > since),
        retrains_at=tuple(
            iso(job.started_at) for job in reversed(making) if job.started_at > since and _has(job, "candidate")
        ),
        n_fruitless=len(fruitless),
        fruitless_at=iso(max(ended)) if ended else "",
        mended=tuple(incident.facts.get("mended", ())) if incident is not None else (),
    )


def _repairs(session: LedgerSession, asset: str, since: datetime) -> list[Job]:
    """The asset's repairs, newest first: at least back to an instant, and to the newest that bore fruit."""
    limit = _NEWEST
    while True:
        jobs = session.jobs.list(subject=asset, limit=limit)
        repairs = [job for job in jobs if job.workflow == REPAIR]
        if len(jobs) < limit or (jobs[-1].started_at <= since and any(_is_fruitful(job) for job in repairs)):
            return repairs
        limit *= 4


def _is_fruitful(job: Job) -> bool:
    return job.output.get("outcome", job.status) in ("released", "mended")


def _has(job: Job, effect: str) -> bool:
    return any(action["effect"] == effect for action in job.input["decision"]["actions"])
