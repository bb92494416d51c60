"""Repair, the fifth step, as a durable workflow: from the actions of a decision to a release that holds.

    actions → verify → approval → window → shadow → canary → all → watch → or back

Each line below is a step with a checkpoint: kill the process anywhere, and the next worker goes on
behind the last one. What changes traffic is committed together with its checkpoint, so it happens
exactly once; everything else may happen again, to the same effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from perdure.assets.repair import Action, Stage, Trial
from perdure.core.clock import iso, parse_at
from perdure.core.errors import Cancelled, DeclarationError, StepFailed, not_found
from perdure.core.ids import new_id
from perdure.durable.workflow import Retry, Steps, Workflow
from perdure.loop import release
from perdure.loop.cases import REPAIR
from perdure.loop.incidents import find_incident, note
from perdure.loop.pausing import paused
from perdure.loop.protocols import Kind, Remedy, Watched, Workplace
from perdure.loop.situation import Decision
from perdure.loop.verify import Judged, judge, winner
from perdure.stores.ledger.protocols import Approval, LedgerSession

VERIFIED = "loop.verify"
OUTCOME = "loop.outcome"
N_WATCHES = 2
"""How often a new champion is compared while it is watched, at equal distances."""


CODE = "2"
"""Version of the workflow: another one when it takes other steps, so that a job never goes on half by one, half by another."""


class Repairs:
    """Does what was decided, for every kind of asset."""

    def __init__(self, place: Workplace, kinds: Mapping[str, Kind], assets: Sequence[Watched]) -> None:
        self._place = place
        self._kinds = kinds
        self._assets = {asset.name: asset for asset in assets}
        self.workflow = Workflow(REPAIR, self._run, CODE)

    def _run(self, steps: Steps, given: Mapping[str, Any]) -> Mapping[str, Any]:
        asset = self._assets.get(steps.job.subject)
        if asset is None:
            raise DeclarationError(
                f"{steps.job.subject!r} is not declared any more: its repair ends here.",
                hint="Declare it again, and trigger the repair by hand.",
            )
        place = self._place if steps.lease is None else self._place.under(steps.lease)
        decision = msgspec.convert(given["decision"], Decision)
        asked_by = str(given.get("asked_by", place.actor))
        return _Repair(steps, place, self._kinds[asset.kind], asset, decision, str(given["incident"]), asked_by).run()


class _Ended(Exception):
    """The repair is over before a release holds."""

    def __init__(self, outcome: str, why: str, judged: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(outcome, why)
        self.outcome = outcome
        self.why = why
        self.judged = judged


@dataclass(frozen=True, slots=True, eq=False)
class _Repair:
    """One repair on its way. Called from the top each time its job goes on."""

    steps: Steps
    place: Workplace
    kind: Kind
    asset: Watched
    decision: Decision
    incident: str
    asked_by: str
    """Who asked for the repair: the loop, or a person; not one of the people who may approve it by four eyes."""

    def run(self) -> dict[str, Any]:
        """The outcome.

        Raises:
            whatever parks or cancels a job.
        """
        try:
            if self.decision.actions[0].effect in ("state", "question"):
                return self._mend()
            return self._replace()
        except _Ended as ended:
            return self._over(ended.outcome, ended.why, list(ended.judged))
        except StepFailed as failed:
            self._end_trial()
            return self._over("failed", str(failed), [])
        except Cancelled:
            self._end_trial()
            raise

    # What is mended below a version

    def _mend(self) -> dict[str, Any]:
        asks = self.decision.actions[0].effect == "question"
        what = "; ".join(action.text for action in self.decision.actions)
        self._approved("change", f"{self.asset.name}: {what}" if asks else "Change what is under the version", {})
        for action in self.decision.actions:
            self._do(action)
        return self._over("mended", "; ".join(action.text for action in self.decision.actions), [])

    # What is replaced by a better version

    def _replace(self) -> dict[str, Any]:
        candidates = [made for action in self.decision.actions for made in self._do(action)]
        unique = list(dict.fromkeys(candidates))
        if not unique:
            raise _Ended("rejected", "No action made a candidate.")
        incumbent = self.steps.do("incumbent", lambda _key: self._champion())
        judged = self._verify(unique, incumbent)
        best = next((each for each in judged if each.get("won")), None)
        if best is None:
            raise _Ended("rejected", "No candidate passed every gate.", judged)
        chosen = str(best["candidate"])
        self._approved("release", f"Release {chosen} of {self.asset.name}", {"verdicts": best["verdicts"]})
        self._open_window()
        self._ramp(chosen, incumbent)
        return self._watch(chosen, incumbent, judged)

    def _champion(self) -> str | None:
        with self.place.stores.ledger.read() as session:
            return release.find_champion(session, self.asset.name)

    def _do(self, action: Action) -> list[str]:
        """Version ids that an action made. One that fails for good makes none; the others still compete."""
        # The instant at which the repair began: done again later, an action makes the same.
        began = self.steps.job.started_at

        def work(key: str) -> list[str]:
            return list(self._remedy(action).repair(self.place, self.asset, action, key, began))

        try:
            return list(self.steps.do(f"do {action.key}", work, retry=Retry(tries=2)))
        except StepFailed:
            if action.effect in ("state", "question"):
                raise
            return []

    def _remedy(self, action: Action) -> Remedy:
        found = next((each for each in self.kind.remedies if each.name == action.remedy), None)
        if found is None:
            raise not_found("remedy", action.remedy, [each.name for each in self.kind.remedies])
        return found

    def _verify(self, candidates: Sequence[str], incumbent: str | None) -> list[dict[str, Any]]:
        """Every candidate under every gate; the winner has the fact `won`. Judged once, at one instant."""

        def work(_key: str) -> list[dict[str, Any]]:
            rivals = [each for each in candidates if each != incumbent]
            trials = [Trial(each, incumbent, "verify", n_rivals=len(rivals)) for each in rivals]
            judged = [judge(self.place, self.kind, self.asset, trial, self.steps.now) for trial in trials]
            best = winner(judged)
            return [{**each.as_facts(), "won": each is best} for each in judged]

        judged: list[dict[str, Any]] = self.steps.do("verify", work)
        self._tell("verify", judged)
        return judged

    def _tell(self, stage: str, judged: Sequence[Mapping[str, Any]]) -> None:
        won = next((each["candidate"] for each in judged if each.get("won")), None)
        facts = {**self._facts(stage), "trials": list(judged), "winner": won}
        self.steps.commit(
            f"tell {stage}", f"verify {stage}", lambda session: _appended(session, VERIFIED, self.asset.name, facts)
        )

    def _approved(self, name: str, text: str, facts: Mapping[str, Any]) -> None:
        role = self.decision.approve_by
        if role is None:
            return
        question = Approval(
            id=new_id("apr"),
            asset=self.asset.name,
            key=f"{self.steps.job.id}/{name}",
            text=text,
            role=role,
            n_needed=2 if self.asset.policy.four_eyes else 1,
            asked_by=self.asked_by,
            asked_at=self.steps.now,
            status="open",
            facts={**self._facts(name), "reasons": self._reasons(), **facts},
        )
        answered = self.steps.ask(f"approve {name}", question)
        if answered.status != "approved":
            no = next((answer for answer in answered.answers if not answer.approves), None)
            raise _Ended("refused", f"{no.actor} said no: {no.reason}" if no else "The question was withdrawn.")

    def _reasons(self) -> list[str]:
        """Why there is a repair: in the words of the person who asked for it, if one did, and of the decision."""
        asked = self.steps.job.input.get("reason")
        return [*([f"{self.asked_by} asked: {asked}"] if asked else []), *self.decision.reasons]

    def _open_window(self) -> None:
        opens = self.steps.do(
            "window", lambda _key: iso(release.next_opening(self.asset.policy.windows, self.steps.now))
        )
        self.steps.wait_until("window opens", parse_at(opens))

    # The way of traffic

    def _ramp(self, candidate: str, incumbent: str | None) -> None:
        ramp, name = self.asset.policy.ramp, self.asset.name
        if incumbent is not None and ramp.shadow:
            self._sound("shadow", incumbent)
            self._move("shadow", lambda session, facts: release.to_shadow(session, name, candidate, facts))
            self._stage("shadow", candidate, incumbent, self.steps.at("shadow") + ramp.shadow)
        if incumbent is not None and ramp.canary:
            self._sound("canary", incumbent)
            share = ramp.share
            self._move("canary", lambda session, facts: release.to_canary(session, name, candidate, share, facts))
            self._stage("canary", candidate, incumbent, self.steps.at("canary") + ramp.canary)
        self._sound("all", incumbent)
        self._move("all", lambda session, facts: release.to_all(session, name, candidate, facts))

    def _sound(self, stage: str, incumbent: str | None) -> None:
        """A trial ends when its ground went away meanwhile.

        What the asset rests on broke, so that what it learned from may be wrong; a person paused the asset, or
        moved the champion that the candidate was compared with.
        """

        def work(_key: str) -> str:
            with self.place.stores.ledger.read() as session:
                broke = [name for name in self.asset.rests_on if find_incident(session, name)]
                pause = paused(session, self.asset.name, self.steps.now)
                champion = release.find_champion(session, self.asset.name)
            if broke:
                return f"{', '.join(broke)} broke before {stage}."
            if champion != incumbent:
                return f"The champion was moved to {champion} before {stage}."
            return f"Paused before {stage}: {pause}" if pause else ""

        unsound = self.steps.do(f"sound before {stage}", work)
        if unsound:
            self._end_trial()
            raise _Ended("withdrawn", unsound)

    def _stage(self, stage: Stage, candidate: str, incumbent: str, until: datetime) -> None:
        """Wait for a stage's end and judge it; a candidate that fails ends there."""
        self.steps.wait_until(f"{stage} ends", until)
        judged = self._judged(stage, stage, Trial(candidate, incumbent, stage, self.steps.at(stage)))
        if not judged["passed"]:
            self._end_trial()
            raise _Ended("rejected", f"It failed in {stage}: {_said_no(judged)}", [judged])

    def _judged(self, name: str, stage: str, trial: Trial) -> dict[str, Any]:
        def work(_key: str) -> dict[str, Any]:
            found: Judged = judge(self.place, self.kind, self.asset, trial, self.steps.now)
            return found.as_facts()

        judged: dict[str, Any] = self.steps.do(f"judge {name}", work)
        facts = {**self._facts(stage), "trials": [judged], "winner": None}
        self.steps.commit(
            f"tell {name}", f"verify {stage}", lambda session: _appended(session, VERIFIED, self.asset.name, facts)
        )
        return judged

    def _watch(self, candidate: str, incumbent: str | None, judged: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Compare the new champion with the one that it replaced, and go back where it is worse."""
        began, length = self.steps.at("all"), self.asset.policy.watch
        for turn in range(1, N_WATCHES + 1):
            if incumbent is None:
                break
            self.steps.wait_until(f"watch {turn}", began + length * turn / N_WATCHES)
            present = self.steps.do(f"champion at watch {turn}", lambda _key: self._champion())
            if present != candidate:
                return self._over("overtaken", f"The champion was moved to {present} in its watch.", judged, candidate)
            found = self._judged(f"watch {turn}", "watch", Trial(candidate, incumbent, "watch", began))
            if not found["passed"]:
                return self._back(candidate, incumbent, found)
        return self._over("released", f"{candidate} answers, and held in its watch.", judged, candidate)

    def _back(self, candidate: str, incumbent: str, found: Mapping[str, Any]) -> dict[str, Any]:
        proof = self._judged("way back", "rollback", Trial(incumbent, candidate, "rollback", self.steps.at("all")))
        if not proof["passed"]:
            why = f"It is worse ({_said_no(found)}), and the way back is closed: {_said_no(proof)}"
            return self._over("failed", why, [found, proof], candidate)
        self._move("rollback", lambda session, facts: release.to_all(session, self.asset.name, incumbent, facts))
        return self._over("rolled_back", f"It was worse: {_said_no(found)}", [found], candidate)

    def _end_trial(self) -> None:
        self._move("end of trial", lambda session, facts: release.end_trial(session, self.asset.name, facts))

    def _move(self, stage: str, move: Any) -> None:
        facts = self._facts(stage)
        self.steps.commit(stage, f"release {stage}", lambda session: move(session, facts))

    def _facts(self, stage: str) -> dict[str, Any]:
        return {"job": self.steps.job.id, "incident": self.incident, "stage": stage}

    def _over(
        self, outcome: str, why: str, judged: Sequence[Mapping[str, Any]], candidate: str | None = None
    ) -> dict[str, Any]:
        """Write the outcome down, in the chain and at the incident, and give it as the job's output."""
        made = {
            "outcome": outcome,
            "why": why,
            "candidates": [each["candidate"] for each in judged],
            "winner": candidate,
            "remedy": _remedy(self.decision, outcome),
        }

        def write(session: LedgerSession) -> None:
            facts = {**self._facts("outcome"), **made, "champion": release.find_champion(session, self.asset.name)}
            session.audit.append(OUTCOME, self.asset.name, facts)
            if self.incident:
                done = {"mended": [self.decision.cause]} if outcome == "mended" else {}
                note(session, self.incident, {"remedy": made["remedy"], "outcomes": [f"{outcome}: {why}"], **done})

        self.steps.commit("outcome", f"repair {outcome}", write)
        return made


def _remedy(decision: Decision, outcome: str) -> str:
    return f"{outcome.replace('_', ' ')}: {', '.join(action.text for action in decision.actions)}"


def _said_no(judged: Mapping[str, Any]) -> str:
    return "; ".join(f"{each['gate']}: {each['text']}" for each in judged["verdicts"] if not each["passed"])


def _appended(session: LedgerSession, action: str, subject: str, facts: Mapping[str, Any]) -> int:
    return session.audit.append(action, subject, facts).sequence
