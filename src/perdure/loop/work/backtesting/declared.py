"""A declared policy in a backtest: `loop.decide.decide` decides, and a release takes the way it takes in the loop.

Situation by situation the very function of the loop is asked, with the policy's trigger, budget, cool-down and
breaker. What is simplified around it: a broken error objective is taken for concept drift (nothing else can be
diagnosed without captures), a person who must approve says yes at once, and a canary's share of the traffic is
still answered by what it would replace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from perdure.assets.health import Cause, Finding
from perdure.assets.policy import Policy
from perdure.assets.repair import Action, Stage
from perdure.core.clock import iso
from perdure.core.units import days, duration_text
from perdure.engines.performance import MIN_ROWS
from perdure.loop.decide import decide
from perdure.loop.release import next_opening
from perdure.loop.repair import N_WATCHES
from perdure.loop.situation import Decision, Option, Past, Rules, Situation, Symptom
from perdure.loop.work.backtesting.fits import Candidate
from perdure.loop.work.backtesting.history import Int1D
from perdure.loop.work.backtesting.line import Line
from perdure.loop.work.backtesting.observed import findings, is_broken
from perdure.loop.work.backtesting.trials import judge
from perdure.loop.work.candidates import CONCEPT_DRIFT
from perdure.loop.work.past_versions import BEST, PastVersion
from perdure.loop.work.recalibrating import Recalibrate
from perdure.loop.work.retraining import RetrainFull, RetrainRecent, WarmStart

_Outcome = Literal["released", "rejected", "rolled_back"]
_DRIFTED = Cause(CONCEPT_DRIFT, 1.0, {}, "The error is past its objective for sure.")


@dataclass(frozen=True, slots=True)
class _Done:
    """A repair of the past."""

    at: datetime
    ended: datetime
    outcome: _Outcome
    made_new: bool


@dataclass(slots=True)
class Declared:
    """A policy as the loop follows it. One object a line: it remembers what was done."""

    name: str
    policy: Policy
    scheduled_at: datetime | None = None
    done: list[_Done] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def act(self, line: Line, step: int, at: datetime) -> None:  # noqa: ARG002 - the Protocol's
        """Look at the errors, decide, and carry the decision through to a release that holds, or not."""
        if self.done and at < self.done[-1].ended:
            return
        found, due = findings(line, at), self._schedule_due(line, at)
        if not due and not is_broken(found):
            return
        situation = self._situation(line, at, found, due=due)
        decision = decide(situation)
        self.decisions.append(decision)
        if due:
            self.scheduled_at = at
        if decision.choice == "repair":
            self.done.append(_Repairing(line, self.policy, at).run(decision.actions))

    def _schedule_due(self, line: Line, at: datetime) -> bool:
        every = self.policy.every
        if every is None or self.policy.trigger == "manual":
            return False
        return at - (self.scheduled_at or line.start) >= every

    def _situation(self, line: Line, at: datetime, found: Sequence[Finding], *, due: bool) -> Situation:
        return Situation(
            asset=line.history.model.name,
            kind="model",
            now=iso(at),
            trigger="schedule" if due else "evidence",
            rules=Rules.of(self.policy, self.policy.autonomy),
            past=self._past(at),
            symptoms=tuple(Symptom.of(finding) for finding in found),
            causes=(_DRIFTED,) if is_broken(list(found)) else (),
            options=_options(line, self.policy, at),
        )

    def _past(self, at: datetime) -> Past:
        since = at - max(self.policy.retrains.per, self.policy.cool_down, timedelta(0))
        fruitless: list[_Done] = []
        for each in reversed(self.done):
            if each.outcome == "released":
                break
            fruitless.append(each)
        return Past(
            repairs_at=tuple(iso(each.at) for each in self.done if each.at > since),
            retrains_at=tuple(iso(each.at) for each in self.done if each.at > since and each.made_new),
            n_fruitless=len(fruitless),
            fruitless_at=iso(fruitless[0].ended) if fruitless else "",
        )


def _options(line: Line, policy: Policy, at: datetime) -> tuple[Option, ...]:
    """What the remedies that fit, calibrate or go back would propose."""
    model, champion = line.history.model, line.champion(at)
    stateful, shortest = policy.training == "stateful", min(model.recent, default=None)
    proposed: list[tuple[type[RetrainFull | RetrainRecent | WarmStart | PastVersion | Recalibrate], Action]] = []
    if not stateful:
        proposed.append((RetrainFull, Action(RetrainFull.name, "fit on all rows")))
        proposed += [(RetrainRecent, _on_window(RetrainRecent.name, window)) for window in model.recent]
    base = {"version": str(champion.number)}
    window = {} if stateful or shortest is None else {"days": shortest / days(1)}
    proposed.append((WarmStart, Action(WarmStart.name, f"go on from {champion.number}", params=base | window)))
    if len(line.past()) > 1:
        proposed.append((PastVersion, Action(PastVersion.name, "the best that ran before", effect="known")))
    if model.task == "regression":
        proposed.append((Recalibrate, Action(Recalibrate.name, f"put {champion.number} on a line", params=base)))
    return tuple(
        Option(action, tuple(remedy.answers))
        for remedy, action in proposed
        if not model.remedies or remedy.name in model.remedies
    )


def _on_window(name: str, window: timedelta) -> Action:
    return Action(name, f"fit on the newest {duration_text(window)}", params={"days": window / days(1)})


@dataclass(frozen=True, slots=True, eq=False)
class _Repairing:
    """One repair, from its actions to a release that holds or is taken back, on domain time."""

    line: Line
    policy: Policy
    at: datetime

    def run(self, actions: Sequence[Action]) -> _Done:
        line, at, incumbent = self.line, self.at, self.line.champion(self.at)
        made = {action.key: self._made(action, incumbent) for action in actions}
        new = [each for action in actions if action.effect == "candidate" for each in made[action.key]]
        made_new = any(action.effect == "candidate" for action in actions)
        if made_new:
            line.retrained(at, new)
        rivals = dict.fromkeys(each for found in made.values() for each in found if each is not incumbent)
        chosen = self._winner(list(rivals), incumbent)
        if chosen is None:
            line.n_rejected += 1
            return _Done(at, at, "rejected", made_new)
        return self._released(chosen, incumbent, made_new=made_new)

    def _made(self, action: Action, incumbent: Candidate) -> list[Candidate]:
        fits, at = self.line.fits, self.at
        window = days(action.params["days"]) if "days" in action.params else None
        if action.remedy == PastVersion.name:
            return self._past(incumbent)
        if action.remedy == Recalibrate.name:
            found = fits.calibrated(at, incumbent)
        elif action.remedy == WarmStart.name and self.policy.training == "stateful":
            found = fits.fresh(at, incumbent)
        elif action.remedy == WarmStart.name:
            found = fits.warm(at, window, incumbent)
        else:
            found = fits.window(at, window)
        return [] if found is None else [found]

    def _past(self, incumbent: Candidate) -> list[Candidate]:
        """The best few that were in charge before and are better than what is, on the newest rows."""
        rows = self._newest()
        if len(rows) < MIN_ROWS:
            return []
        bound = incumbent.of(rows).mean()
        ranked = sorted(
            (float(each.of(rows).mean()), each.number) for each in self.line.past() if each is not incumbent
        )
        return [self.line.fits.made[number] for error, number in ranked[:BEST] if error < bound]

    def _newest(self) -> Int1D:
        return self.line.history.between(*self.line.history.holdout(self.at), self.at)

    def _winner(self, rivals: Sequence[Candidate], incumbent: Candidate) -> Candidate | None:
        rows = self._newest()
        judged = [(judge(self.line.history, (each, incumbent), rows, "verify", len(rivals)), each) for each in rivals]
        passed = [(-outcome.gain, each.number) for outcome, each in judged if outcome.passed]
        return self.line.fits.made[min(passed)[1]] if passed else None

    def _released(self, chosen: Candidate, incumbent: Candidate, *, made_new: bool) -> _Done:
        """Shadow, canary, all, watch; it ends with the first stage that it does not pass."""
        line, ramp, now = self.line, self.policy.ramp, next_opening(self.policy.windows, self.at)
        trials: list[tuple[Stage, timedelta]] = [("shadow", ramp.shadow), ("canary", ramp.canary)]
        for stage, length in trials:
            began, now = now, now + length
            if length and not self._passes(stage, (chosen, incumbent), began, now):
                line.n_rejected += 1
                return _Done(self.at, now, "rejected", made_new)
        line.release(now, chosen)
        for turn in range(1, N_WATCHES + 1):
            looked_at = now + self.policy.watch * turn / N_WATCHES
            if not self._passes("watch", (chosen, incumbent), now, looked_at):
                line.release(looked_at, incumbent)
                line.n_rollbacks += 1
                return _Done(self.at, looked_at, "rolled_back", made_new)
        return _Done(self.at, now + self.policy.watch, "released", made_new)

    def _passes(self, stage: Stage, pair: tuple[Candidate, Candidate], since: datetime, until: datetime) -> bool:
        rows = self.line.history.between(since, until, until)
        return judge(self.line.history, pair, rows, stage).passed
