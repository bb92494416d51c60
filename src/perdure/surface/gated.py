"""Releases that must be proven first: begun by `apply` as a repair by hand, told as far as it came.

A version of a prompt that is declared is registered, and waits until its suites were asked and every gate passed; one of an index until
it was filled beside what answers, if anything does, counted and asked. The pointer moves in the release's own transactions. The job is driven at once where no control plane runs; else the one that runs goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.assets.health import Cause
from perdure.assets.version import CHAMPION
from perdure.core.errors import LeaseHeld, NotReady, not_found
from perdure.surface.records import Change

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.health import Reading
    from perdure.assets.project import Project
    from perdure.assets.version import Pointer
    from perdure.loop.protocols import Watched
    from perdure.stores.ledger.protocols import Job, LedgerSession
    from perdure.surface.opened import Opened

UNPROVEN = "registry.unproven"
"""Action of the audit's entry for a release past the suites."""


@dataclass(frozen=True, slots=True)
class Gated:
    """A move of a champion that must be proven: a prompt's by its suites, an index's by being filled and asked, an agent's by replays."""

    move: Pointer
    before: str
    suites: tuple[str, ...]
    kind: str = "prompt"

    def change(self, what: str, why: str) -> Change:
        """As `apply` tells it."""
        return Change(self.kind, self.move.asset, what, self.before, self.move.version, why)


def needs_proof(project: Project, move: Pointer, champion: str | None) -> Gated | None:
    """The move as one that suites must prove; None where it may happen at once.

    A first version is proven where a score is declared that it must hold, and one of an index where golden questions are there; else
    there is nothing to hold it against.
    """
    if move.asset in project.indexes:
        # Without questions the first is filled by whoever follows the source: what is not filled answers nothing wrong.
        owed = champion is not None or project.indexes[move.asset].golden is not None
        return Gated(move, champion or "", (), "index") if owed else None
    suites = project.suites_of(move.asset) if move.asset in project.prompts else []
    if not suites or (champion is None and not _owed(project, move.asset)):
        return None
    return Gated(move, champion or "", tuple(suite.name for suite in suites))


def _owed(project: Project, prompt: str) -> bool:
    return any(objective.spec.signal == "eval_score" for objective in project.prompts[prompt].healthy)


def hint_of(project: Project, asset: str, champion: str | None) -> str:
    """What is told of a prompt that was released without proof, and of an index that nothing is in yet."""
    if asset in project.indexes and champion is None:
        filled = f"perdure up fills it, or perdure index build {asset}"
        return f"{filled}; without golden questions its census alone judges it"
    if asset not in project.prompts:
        return ""
    if not project.suites_of(asset):
        return "no suite tests it: a worse wording would be released as well (docs/prompts-in-the-loop.md)"
    return "the first version: its suites judge the next one" if champion is None else ""


def write_unproven(session: LedgerSession, asset: Watched, gated: Gated, reason: str, at: datetime) -> Reading:
    """Release past the suites: on record, and an incident until they are passed.

    Returns: what was found by it, to be kept with the readings.
    """
    from perdure.loop.incidents import open_incident
    from perdure.loop.situation import Symptom
    from perdure.loop.work.pending import clear_pending
    from perdure.loop.work.prompts.proving import REASON
    from perdure.loop.work.prompts.tested import unproven
    from perdure.loop.work.readings import exactly, reading_of

    version = gated.move.version
    told = {"version": version, "replaced": gated.before, "suites": list(gated.suites)}
    session.audit.append(UNPROVEN, asset.name, told)
    session.pointers.set([gated.move], facts={REASON: reason, "stage": "unproven"})
    clear_pending(session, asset.name)
    found = reading_of(asset, unproven(), at, exactly(1.0, 1), unit="", version=version, facts={"reason": reason})
    symptom = Symptom.of((unproven() <= 0.0).judge(found))
    text = f"{version} was released past its suites ({', '.join(gated.suites)}): {reason}."
    open_incident(session, asset, [symptom], [Cause("unproven", 0.85, {**told, "reason": reason}, text)])
    return found


def begin_proofs(opened: Opened, gated: Sequence[Gated], now: datetime, reason: str) -> list[Change]:
    """Begin a repair by hand for each, and tell how far it came."""
    return [_begun(opened, each, now, reason) for each in gated]


def _begun(opened: Opened, gated: Gated, now: datetime, reason: str) -> Change:
    try:
        with opened.hold_lease() as held:
            planned, jobs = opened.loop.repair(gated.move.asset, now, held.lease, reason=reason)
    except LeaseHeld:
        return _handed_over(opened, gated, now, reason)
    except NotReady as error:
        return gated.change("waiting", f"{error.message} {error.hint}".strip())
    job = next((each for each in jobs if each.subject == gated.move.asset), None)
    if job is None:
        return gated.change("waiting", " ".join(planned.decision.reasons))
    return _told(opened, gated, job)


def _handed_over(opened: Opened, gated: Gated, now: datetime, reason: str) -> Change:
    """The job is written, and the control plane that runs goes on with it in its next round."""
    from perdure.loop.cases import Cases
    from perdure.loop.repair import CODE
    from perdure.surface.compose import kinds
    from perdure.surface.compose_indexes import open_indexes

    with opened._ledger.read() as session:  # noqa: SLF001 - a part of the same verb
        busy = {job.subject for job in session.jobs.list(open_only=True, limit=100_000)}
    if gated.move.asset in busy:
        return gated.change("waiting", "A repair of it is on its way: apply again when it is over.")
    asset = watched(opened.project, gated.move.asset)
    cases = Cases(opened.place, kinds(opened.project, open_indexes(opened.folder, opened.place, opened.project)))
    planned = cases.consider(asset, now, "manual")
    job = cases.take_up(asset, planned, now, code=CODE, reason=reason)
    if job is None:
        return gated.change("waiting", " ".join(planned.decision.reasons))
    return gated.change("proving", f"the control plane that runs {_does(gated)}: perdure explain {gated.move.asset}")


def watched(project: Project, name: str) -> Watched:
    """The asset as the loop watches it.

    Raises:
        NotFound: it watches none of that name.
    """
    from perdure.surface.compose import watched_assets

    known = {asset.name: asset for asset in watched_assets(project)}
    if name not in known:
        raise not_found("asset", name, known)
    return known[name]


def _told(opened: Opened, gated: Gated, job: Job) -> Change:
    """How far a job came in its first drive."""
    verdicts = _verdicts(opened, gated, job)
    outcome = str(job.output.get("outcome", ""))
    if job.status == "parked":
        return gated.change("proving", f"{(verdicts or _does(gated)).rstrip('.')}; next: {job.waits_for}")
    if outcome == "released":
        return gated.change("released", verdicts)
    if job.status == "done":
        return gated.change("blocked", verdicts or str(job.output.get("why", "")))
    return gated.change("waiting", job.error or f"its repair is {job.status}")


def _verdicts(opened: Opened, gated: Gated, job: Job) -> str:
    """What the gates said of the candidate, those that refused it alone where some did; of a first index what it finds, too."""
    with opened._ledger.read() as session:  # noqa: SLF001 - a part of the same verb
        steps = {step.name: step.result for step in session.jobs.list_steps(job.id)}
    judged = steps.get("verify")
    trials: Sequence[Mapping[str, Any]] = judged if isinstance(judged, list) else ()  # else a step that failed
    said = [verdict for trial in trials for verdict in trial["verdicts"]]
    refused = [verdict for verdict in said if not verdict["passed"]]
    first = said[:2] if gated.kind == "index" and not gated.before else said[:1]
    return " ".join(f"{each['gate']}: {each['text']}" for each in (refused or first))


def _does(gated: Gated) -> str:
    if gated.kind in ("agent", "graph"):
        return "replays recorded runs with it"
    return "fills and asks it" if gated.kind == "index" else f"asks {', '.join(gated.suites)}"


def refused_routes(opened: Opened, moves: Sequence[Pointer], now: datetime) -> dict[str, str]:
    """Of routes that are to ask other models: why the suites of the prompts that they answer refuse it, by route.

    They are asked here and now. The route's new version must be registered; killed in between, nothing is paid for twice.
    """
    from perdure.assets.repair import Trial
    from perdure.loop.work.routes.suites import RouteSuitesGate
    from perdure.surface.eval_running import route_suites

    suites, refused = route_suites(opened.project), {}
    with opened._ledger.read() as session:  # noqa: SLF001 - a part of the same verb
        champions = {each.asset: each.version for each in session.pointers.list() if each.name == CHAMPION}
    for move in moves:
        if (
            move.asset not in opened.project.routes
            or move.asset not in champions
            or not suites.owed(opened.place, move.asset)
        ):
            continue
        trial = Trial(move.version, champions[move.asset])
        suites.ask(opened.place, trial, f"apply {move.version}", now)
        verdict = RouteSuitesGate(suites).judge(opened.place, watched(opened.project, move.asset), trial, now)
        if not verdict.passed:
            refused[move.asset] = f"{verdict.gate}: {verdict.text}"
    return refused
