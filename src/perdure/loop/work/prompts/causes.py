"""Every cause of prompts: the wording, the model, what is retrieved, what is asked, the judge, or who served it.

What tells them apart is what stayed the same. The same version that is worse on the same cases is no matter of wording or
of traffic: the model behind it is another one. Suites that hold while production breaks point at what only production has: its
contexts and its questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Comparison, Finding, State
from perdure.assets.suite import judges_of
from perdure.assets.version import CHAMPION
from perdure.core.clock import iso, parse_at
from perdure.core.units import days
from perdure.loop.protocols import Cause, Watched, Workplace
from perdure.loop.release import champion_since
from perdure.loop.work.prompts.attempts import ALPHA
from perdure.loop.work.prompts.newest import newest_scores
from perdure.loop.work.prompts.paired import compared
from perdure.loop.work.prompts.proving import unproven_since
from perdure.loop.work.prompts.signals import find_suite
from perdure.loop.work.prompts.tested import UNPROVEN, prompt_of, suites_of
from perdure.loop.work.routes.definitions import target_ids
from perdure.loop.work.routes.symptoms import SILENT_CHANGE
from perdure.loop.work.routes.symptoms import TRAFFIC_MOVED as ROUTE_TRAFFIC_MOVED
from perdure.loop.work.versions import find_champion, get_version

PROMPT_CHANGED = "prompt_changed"
MODEL_SWAPPED = "model_swapped"
CONTEXT_CHANGED = "context_changed"
TRAFFIC_MOVED = "traffic_moved"
JUDGE_DRIFTED = "judge_drifted"
UNAPPROVED_SERVED = "unapproved_served"
PROVEN_WORSE = "proven_worse"
_QUALITY = ("eval_score", "online_score", "hallucination_ratio")
_ONLINE = ("online_score", "hallucination_ratio")
_BACK = days(90)
"""So far back the last healthy reading is looked for."""
_NEW_QUESTIONS = 0.1


def prompt_causes() -> tuple[Cause, ...]:
    """The causes of the kind "prompt"."""
    return (
        PromptChanged(),
        ModelSwapped(),
        ContextChanged(),
        TrafficMoved(),
        JudgeDrifted(),
        UnapprovedServed(),
        ReleasedUnproven(),
    )


def _sick(findings: Sequence[Finding], *signals: str) -> list[Finding]:
    return [
        each
        for each in findings
        if each.state is State.BROKEN and any(each.reading.signal.startswith(name) for name in signals)
    ]


def last_healthy(place: Workplace, asset: Watched, sick: Sequence[Finding], now: datetime) -> datetime | None:
    """When what is broken now was last healthy for sure; None: not within 90 days."""
    wanted = {finding.objective: finding.reading.signal for finding in sick}
    found = [
        reading.at
        for reading in place.stores.readings.list(asset.name, since=now - _BACK)
        for objective in asset.healthy
        if wanted.get(objective.text()) == reading.signal
        and objective.measured_by(reading)
        and reading.at <= now
        and objective.judge(reading).state is State.HEALTHY
    ]
    return max(found, default=None)


class PromptChanged:
    """Another version answers than when what is broken was last healthy."""

    name = PROMPT_CHANGED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.8; None where the version that answers is the one that was healthy, or not the one that was found ill."""
        champion = find_champion(place.stores.ledger, asset.name)
        sick = [each for each in _sick(findings, *_QUALITY) if champion and each.reading.version in ("", champion.id)]
        if not sick:
            return None
        healthy_at = last_healthy(place, asset, sick, now)
        with place.stores.ledger.read() as session:
            moved_at = champion_since(session, asset.name)
            moves = [move for move in session.pointers.history(asset.name) if move.name == CHAMPION and move.version]
        if moved_at is None or len(moves) < 2 or (healthy_at is not None and moved_at <= healthy_at):
            return None
        text = f"{moves[-1].version} answers since {iso(moved_at)}, in place of {moves[-2].version}."
        evidence = {"version": moves[-1].version, "before": moves[-2].version, "at": iso(moved_at)}
        return RankedCause(self.name, 0.8, evidence, text)


class ModelSwapped:
    """Another model answers: the route says so, its probes do, or the same version does worse on the same cases."""

    name = MODEL_SWAPPED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.9 where the route's targets or its probes changed since it was healthy; 0.7 by the cases alone."""
        sick = _sick(findings, *_QUALITY)
        if not sick:
            return None
        since = last_healthy(place, asset, sick, now) or now - _BACK
        return (
            self._declared(place, asset, since)
            or self._silent(place, asset, since)
            or self._by_cases(place, asset, sick, since, now)
        )

    def _declared(self, place: Workplace, asset: Watched, since: datetime) -> RankedCause | None:
        route = prompt_of(asset).route
        with place.stores.ledger.read() as session:
            moves = [move for move in session.pointers.history(route) if move.name == CHAMPION and move.version]
        later = [move for move in moves if move.at > since]
        before = moves[: len(moves) - len(later)]
        if not later or not before:
            return None
        old, new = (
            target_ids(get_version(place.stores.ledger, str(move.version)).definition)
            for move in (before[-1], later[-1])
        )
        if old == new:
            return None
        text = f"{route} asks {', '.join(new)} since {iso(later[-1].at)}; before it asked {', '.join(old)}."
        evidence = {"route": route, "before": old, "now": new, "at": iso(later[-1].at)}
        return RankedCause(self.name, 0.9, evidence, text)

    def _silent(self, place: Workplace, asset: Watched, since: datetime) -> RankedCause | None:
        route = prompt_of(asset).route
        with place.stores.ledger.read() as session:
            incidents = [
                each for each in session.incidents.list() if each.asset == route and each.kind == SILENT_CHANGE
            ]
        late = [each for each in incidents if each.opened_at > since or each.closed_at is None]
        if not late:
            return None
        text = f"{route} answers its probes otherwise since {iso(late[-1].opened_at)}, under the same names."
        evidence = {"route": route, "incident": late[-1].id, "at": iso(late[-1].opened_at), "silent": True}
        return RankedCause(self.name, 0.9, evidence, text)

    def _by_cases(
        self, place: Workplace, asset: Watched, sick: Sequence[Finding], since: datetime, now: datetime
    ) -> RankedCause | None:
        champion = find_champion(place.stores.ledger, asset.name)
        for finding in sick:
            name = finding.reading.signal.removeprefix("eval_score_").partition("@")[0]
            suite = find_suite(asset, name)
            if champion is None or suite is None:
                continue
            today = newest_scores(place, suite, champion, since, now)
            earlier = newest_scores(place, suite, champion, since - _BACK, since)
            if today is None or earlier is None:
                continue
            word = compared(today.scores, earlier.scores, suite, alpha=ALPHA, partial=False)
            if word.comparison is Comparison.WORSE:
                text = f"{champion.id} does worse on the same cases of {name} than at {iso(earlier.at)}: {word.text}."
                evidence = {"suite": name, "difference": word.difference.value, "at": iso(since), "silent": True}
                return RankedCause(self.name, 0.7, evidence, text)
        return None


@dataclass(frozen=True, slots=True)
class _Online:
    """Production breaks."""

    sick: Sequence[Finding]
    suites_hold: bool
    """Suites were asked lately, and none breaks its objective."""
    since: datetime


def _online(place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> _Online | None:
    sick = _sick(findings, *_ONLINE)
    if not sick:
        return None
    by_suites = [each for each in findings if each.reading.signal.startswith("eval_score")]
    hold = bool(by_suites) and all(each.state is not State.BROKEN for each in by_suites)
    return _Online(sick, hold, last_healthy(place, asset, sick, now) or now - _BACK)


class ContextChanged:
    """Claims lose their support in production, while the suites with their own contexts hold."""

    name = CONTEXT_CHANGED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.5; None where no claim is unsupported, or the suites break too."""
        found = _online(place, asset, findings, now)
        if found is None or not found.suites_hold or not _sick(found.sick, "hallucination_ratio"):
            return None
        share = found.sick[0].reading.value
        text = "Answers of production say what their contexts do not, while suites with contexts of their own hold."
        return RankedCause(self.name, 0.5, {"ratio": share, "since": iso(found.since)}, text)


class TrafficMoved:
    """Other questions are asked: the route has found new intents since it was healthy."""

    name = TRAFFIC_MOVED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.6; None where nothing of production broke, or nothing new is asked."""
        found = _online(place, asset, findings, now)
        if found is None:
            return None
        route = prompt_of(asset).route
        readings = [each for each in place.stores.readings.list(route, since=found.since) if each.at <= now]
        newest = next((each for each in reversed(readings) if each.signal.startswith("new_intents")), None)
        with place.stores.ledger.read() as session:
            moved = any(
                each.asset == route and each.kind == ROUTE_TRAFFIC_MOVED and each.closed_at is None
                for each in session.incidents.list(open_only=True)
            )
        share = 0.0 if newest is None or newest.low is None else newest.low
        if not moved and share <= _NEW_QUESTIONS:
            return None
        text = f"{route} is asked what it was not asked before: {share:.0%} of its questions at least are new."
        return RankedCause(self.name, 0.6, {"route": route, "new_share": share}, text)


class JudgeDrifted:
    """A judge of a suite is another one, or was ill, since what is broken was healthy: its scores are not the same scale."""

    name = JUDGE_DRIFTED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.95, so that nothing is done to the prompt; None where no judge moved."""
        sick = _sick(findings, *_QUALITY)
        judges = sorted({judge for suite in suites_of(asset) for judge in judges_of(suite)})
        if not sick or not judges:
            return None
        since = last_healthy(place, asset, sick, now) or now - _BACK
        with place.stores.ledger.read() as session:
            moved = [
                judge for judge in judges
                if any(move.at > since for move in session.pointers.history(judge)[1:])
                or any(each.asset == judge and each.opened_at > since for each in session.incidents.list())
            ]  # fmt: skip
        if not moved:
            return None
        text = (
            f"{', '.join(moved)} judged otherwise, or was ill, since {iso(since)}: its scores of then and now differ."
        )
        return RankedCause(self.name, 0.95, {"judges": moved, "since": iso(since)}, text)


class UnapprovedServed:
    """A server answered by a version that nobody had released, or not any more."""

    name = UNAPPROVED_SERVED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:  # noqa: ARG002 - the Protocol's
        """1.0: the wording that is released is not at fault."""
        sick = _sick(findings, "unapproved_ratio")
        if not sick:
            return None
        versions = dict(sick[0].reading.facts.get("versions", {}))
        told = ", ".join(f"{version} ({n} calls)" for version, n in versions.items())
        text = f"A server answered by what no pointer held: {told}. Restart it, and see which ledger it reads."
        return RankedCause(self.name, 1.0, {"versions": versions}, text)


class ReleasedUnproven:
    """A person released past the suites; `proven_worse` once they were asked and say so."""

    name = UNPROVEN

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:  # noqa: ARG002 - the Protocol's
        """0.85 until the suites are asked, 0.95 when they say that it is worse."""
        found = unproven_since(place, asset) if _sick(findings, UNPROVEN) else None
        if found is None:
            return None
        evidence = {"version": found.version, "replaced": found.replaced, "reason": found.reason, "actor": found.actor}
        if found.worse:
            text = f"{found.version} was released unproven by {found.actor}, and is worse in {', '.join(found.worse)}."
            return RankedCause(PROVEN_WORSE, 0.95, {**evidence, "suites": list(found.worse)}, text)
        text = f"{found.version} was released unproven by {found.actor}: {found.reason}"
        return RankedCause(self.name, 0.85, evidence, text)


def swapped_at(causes: Sequence[RankedCause]) -> datetime | None:
    """Since when another model answers under the same names, so that answers of before are not its own; None: it does not."""
    for cause in causes:
        if cause.name == MODEL_SWAPPED and cause.evidence.get("silent"):
            return parse_at(str(cause.evidence["at"]))
    return None
