"""Remedies that change what is in a version: the resync, and the question whether what is gone may go.

A plan is data, and what it rests on is named: the action's parameters hold the digest of a census, from which the same plan follows
whenever it is run. What was touched is looked at again, then everything is counted anew; what that found is told in the incident's
story, with the time that it took to see and to mend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Cause
from perdure.assets.repair import BLAMED, Action
from perdure.core.canonical import content_hash
from perdure.core.clock import to_us
from perdure.core.units import seconds
from perdure.engines.retrieval.planning import make_plan
from perdure.engines.retrieval.skew import Census, ResyncPlan
from perdure.loop.incidents import find_incident
from perdure.loop.observe import measure_again
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.indexes.causes import (
    CHUNKER_CHANGED,
    OUTSIDE_WRITE,
    SOURCE_CHANGED,
    SOURCE_SHRANK,
    STORE_DAMAGED,
    SYNC_STOPPED,
    about,
)
from perdure.loop.work.indexes.kept import Resynced, get_census, newest_census_digest
from perdure.loop.work.indexes.migrating import counted, writing
from perdure.loop.work.indexes.remedies_versions import EMBEDDED_A_S, version_remedies
from perdure.loop.work.indexes.resyncing import run_plan
from perdure.loop.work.indexes.watched import IndexesAtWork, census_of, index_of
from perdure.stores.ledger.protocols import Incident

_VERIFIED = "loop.verify"
_READING = ("add", "update", "rechunk", "touch")
_LOOKED_AT = 100


def index_remedies(opens: IndexesAtWork | None) -> tuple[Remedy, ...]:
    """The remedies of the kind "index"; none where nothing opens its versions."""
    return () if opens is None else (IndexResync(opens), AskShrink(opens), *version_remedies(opens))


class IndexResync:
    """Does the least that makes the version that answers what its source says."""

    name = "index_resync"
    answers: Sequence[str] = (
        SOURCE_CHANGED,
        SYNC_STOPPED,
        OUTSIDE_WRITE,
        STORE_DAMAGED,
        CHUNKER_CHANGED,
        SOURCE_SHRANK,
        BLAMED,
    )

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action with the plan's counts; none while nothing can be done, or so much that a rebuild does it better."""
        champion, census = census_of(place, asset, now)
        if champion is None or census is None:
            return []
        plan = make_plan(census, most_deleted=index_of(asset).most_deleted)
        blind = not census.whole and any(step.verb in _READING for step in plan.steps)
        if not plan.steps or plan.rebuild or blind:
            return []
        params = {"version": champion.id, "census": newest_census_digest(place, asset.name, champion.id)}
        return [Action(self.name, f"resync: {dry_run(plan)}", "state", params, plan.n_texts / EMBEDDED_A_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """No version: what is in it is state.

        Raises:
            StoreError: source or index do not answer; what was written until then is right by itself.
            UpstreamError, NotReady: the embedder does not answer.
        """
        run(place, self._opens, asset, action, step, now)
        return []


class AskShrink:
    """Asks a person whether documents that are gone at the source are gone for good, and deletes them after a yes."""

    name = "ask_shrink"
    answers: Sequence[str] = (SOURCE_SHRANK,)

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One question about these very documents; none where a person said no to it."""
        champion, census = census_of(place, asset, now)
        if champion is None or census is None or not census.whole:
            return []
        plan = make_plan(census, most_deleted=index_of(asset).most_deleted)
        gone = content_hash(sorted(plan.held_back))[:12]
        if not plan.held_back or _refused(place, asset, gone):
            return []
        digest = newest_census_digest(place, asset.name, champion.id)
        text = f"delete {len(plan.held_back)} of {census.n_documents} documents that are gone at the source"
        return [Action(self.name, text, "question", {"version": champion.id, "census": digest, "gone": gone})]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """No version. A document that came back meanwhile is not deleted.

        Raises: as `IndexResync.repair`.
        """
        run(place, self._opens, asset, action, step, now)
        return []


def dry_run(plan: ResyncPlan) -> str:
    """What a plan does, in words.

    >>> from perdure.engines.retrieval.skew import PlanStep
    >>> dry_run(ResyncPlan("a", "a@1", 3, [PlanStep("add", "x"), PlanStep("delete", "y")], n_texts=4))
    'add 1, delete 1; about 4 texts to embed'
    """
    done = ", ".join(f"{verb} {n}" for verb, n in plan.counts().items())
    held = f"; {len(plan.held_back)} deletions are held back" if plan.held_back else ""
    return f"{done}; about {plan.n_texts} texts to embed{held}"


def run(place: Workplace, opens: IndexesAtWork, asset: Watched, action: Action, step: str, now: datetime) -> None:
    """Do the plan of an action's census, count everything anew, and tell what came of it."""
    census = get_census(place, str(action.params["census"]))
    # A person who was asked said yes to these very documents: what else went meanwhile is another question.
    plan = make_plan(census, most_deleted=index_of(asset).most_deleted, allow_deletion="gone" in action.params)
    at_us = to_us(now)
    with writing(place, asset.name), opens.open(asset.name, str(action.params["version"])) as opened:
        report = run_plan(place, opened, plan, at_us, step)
        found = counted(place, opened, at_us)
    _tell(place, asset, report, found, step, now)


def _tell(place: Workplace, asset: Watched, report: Resynced, census: Census, step: str, now: datetime) -> None:
    """As a verdict in the incident's story; told once under a step."""
    mark = f"index/{asset.name}/verified"
    with place.transaction(now, "index verified") as session:
        if session.cursors.get(mark) == step:
            return
        session.cursors.put(mark, step)
        measure_again(session, asset)
        incident = find_incident(session, asset.name)
        left = {kind: n for kind, n in census.counts().items() if n}
        passed = not left and census.whole
        trial = {
            "candidate": report.version,
            "incumbent": None,
            "passed": passed,
            "verdicts": [{"gate": "census", "passed": passed, "text": _said(report, census, left)}],
        }
        facts = {
            "job": step.partition("/")[0],
            "incident": incident.id if incident else "",
            "stage": "resync",
            "trials": [trial],
            "winner": None,
            "detect_s": _detect_s(incident, report),
            "repair_s": report.repair_s,
        }
        session.audit.append(_VERIFIED, asset.name, facts)


def _detect_s(incident: Incident | None, report: Resynced) -> float | None:
    """From the oldest change to the incident; None: the source tells no instants."""
    if incident is None or report.detect_s is None:
        return report.detect_s
    return max(0.0, report.detect_s - (report.at_us - to_us(incident.opened_at)) / 1e6)


def _said(report: Resynced, census: Census, left: dict[str, int]) -> str:
    done = ", ".join(f"{verb} {n}" for verb, n in report.done.items()) or "nothing was left to do"
    seen = "" if report.detect_s is None else f" The oldest change was {about(seconds(report.detect_s))} old."
    found = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in left.items()) or "nothing"
    held = f" {report.held_back} deletions are held back." if report.held_back else ""
    return (
        f"Generation {report.before} became {report.generation}: {done}; {report.n_embedded} texts were embedded, in "
        f"{report.repair_s:.1f} s.{seen}{held} A new census of {census.n_documents} documents and {census.n_chunks} chunks "
        f"finds {found}."
    )


def _refused(place: Workplace, asset: Watched, gone: str) -> bool:
    """Whether a person said no to the deletion of these documents."""
    with place.stores.ledger.read() as session:
        jobs = session.jobs.list(subject=asset.name, limit=_LOOKED_AT)
    asked = (job for job in jobs if job.output.get("outcome") == "refused")
    return any(each["params"].get("gone") == gone for job in asked for each in job.input["decision"]["actions"])
