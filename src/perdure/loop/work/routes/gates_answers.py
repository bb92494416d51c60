"""The gate `route_answers`: what the candidate's targets answer to the route's probes.

Two models never use the same words, so a target is held against its own answers of before; and against the route's answers of
before only in what must hold whoever answers: whether it refuses, whether it is JSON, in which language it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.assets.health import Comparison, Verdict
from perdure.assets.repair import Stage, Trial
from perdure.assets.version import Version
from perdure.core.stats import proportion_interval
from perdure.core.units import days
from perdure.engines.answers.languages import language_of
from perdure.engines.answers.shifts import ProbeAnswer, Shift, is_json
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.routes.bodies import Probed, read_probed, reference_of, shift_of
from perdure.loop.work.routes.definitions import first_shares, target_ids
from perdure.loop.work.routes.evidence import ANSWERS, HARM, broken_harms
from perdure.loop.work.versions import get_version

BOUND = 0.1
"""Shift that is allowed where no objective says."""
UNLIKE = 0.25
"""Share of questions that a target may answer in another form than the route did."""
_BETTER, _WORSE, _UNSURE = Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE


@dataclass(frozen=True, slots=True, eq=False)
class _Probes:
    """What the probes say of a window."""

    probed: Mapping[str, Probed]
    suite: Version
    start: datetime
    now: datetime

    def shifted(self, target: str) -> Shift | None:
        return shift_of(self.probed.get(target), self.suite, self.start, self.now)

    def now_of(self, target: str) -> list[ProbeAnswer]:
        found = self.probed.get(target)
        return [] if found is None else found.between(self.start, self.now)

    def before_of(self, target: str) -> list[ProbeAnswer]:
        found = self.probed.get(target)
        return [] if found is None else found.between(self.start - reference_of(self.suite), self.start)


class RouteAnswers:
    """Passes unless a target that the candidate asks first has moved for sure, or answers in another form.

    Where answers are what is broken it passes only what is proven: a target of the incumbent has moved, and none of the
    candidate's has.
    """

    name = "route_answers"
    stages: Sequence[Stage] = ("verify", "shadow", "canary", "watch")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Without probes nothing is said, and nothing proven."""
        candidate = get_version(place.stores.ledger, trial.candidate)
        if trial.incumbent is None or not candidate.definition["probes"]:
            needed = ANSWERS in broken_harms(place, asset, now) and trial.stage == "verify"
            return Verdict(self.name, _UNSURE, not needed, "No probes are declared: answers are not compared.")
        incumbent = get_version(place.stores.ledger, trial.incumbent)
        over, bound = _objective(asset)
        start = now - over
        seen = read_probed(place.stores.lake, candidate, start - reference_of(candidate), now)
        probes = _Probes(seen, candidate, start, now)
        moved = {target: found for target in target_ids(candidate.definition) if (found := probes.shifted(target))}
        first = [each for each in first_shares(candidate.definition, {}) if each in moved and moved[each].low > bound]
        usual = next(iter(first_shares(incumbent.definition, {})))
        unlike = _unlike(probes, candidate, usual)
        evidence: dict[str, Any] = {
            "bound": bound,
            "shifts": {target: [found.low, found.value, found.high] for target, found in moved.items()},
            "unlike": unlike,
        }
        if first:
            told = f"{first[0]} answers the probes otherwise than before: at least {moved[first[0]].low:.2f}, {bound:g} is allowed."
            return Verdict(self.name, _WORSE, False, told, evidence)
        bad = [each for each, found in unlike.items() if found["low"] > UNLIKE]
        if bad and trial.stage == "verify":
            told = f"{bad[0]} answers {unlike[bad[0]]['ratio']:.0%} of the probes in another form than the route did before."
            return Verdict(self.name, _WORSE, False, told, evidence)
        return self._proven(place, asset, (trial, now), (incumbent, candidate), (probes, evidence))

    def _proven(
        self,
        place: Workplace,
        asset: Watched,
        when: tuple[Trial, datetime],
        versions: tuple[Version, Version],
        seen: tuple[_Probes, dict[str, Any]],
    ) -> Verdict:
        (trial, now), (incumbent, candidate), (probes, evidence) = when, versions, seen
        told = _heard(probes, candidate)
        sick = broken_harms(place, asset, now)
        if trial.stage != "verify" or not sick or min(sick, key=HARM.index) != ANSWERS:
            return Verdict(self.name, _UNSURE, True, told, evidence)
        before = _moved(probes, incumbent)
        after = _moved(probes, candidate)
        unheard = [each for each in first_shares(candidate.definition, {}) if not probes.now_of(each)]
        if before and not after and not unheard:
            text = f"{', '.join(before)} answers otherwise than before, and is not among its targets. {told}"
            return Verdict(self.name, _BETTER, True, text, evidence, sum(before.values()))
        return Verdict(self.name, _UNSURE, False, f"It is not proven to answer better. {told}", evidence)


def _objective(asset: Watched) -> tuple[Any, float]:
    """Window and bound of the declared shift, or the usual ones."""
    declared = [each for each in asset.healthy if each.spec.signal == "answer_shift" and each.bound is not None]
    if not declared:
        return days(1), BOUND
    bounds = [each.bound for each in declared if each.bound is not None]
    return min(each.spec.over for each in declared), min(bounds)


def _moved(probes: _Probes, version: Version) -> dict[str, float]:
    """Targets of a version that moved for sure, and by how much."""
    found = {target: probes.shifted(target) for target in target_ids(version.definition)}
    return {target: each.value for target, each in found.items() if each is not None and each.low > 0.0}


def _heard(probes: _Probes, version: Version) -> str:
    parts = []
    for target in first_shares(version.definition, {}):
        found = probes.shifted(target)
        n = len(probes.now_of(target))
        parts.append(
            f"{target}: {n} answers to probes, too few to tell a shift"
            if found is None
            else f"{target}: shift {found.value:.2f}, at most {found.high:.2f}, over {found.n_runs} replays"
        )
    return "; ".join(parts) + "."


def _unlike(probes: _Probes, version: Version, usual: str) -> dict[str, dict[str, float]]:
    """Of each target asked first: the share of questions that it answers in another form than `usual` did before."""
    was = _forms(probes.before_of(usual))
    found = {}
    for target in first_shares(version.definition, {}):
        own = {} if target == usual else _forms(probes.now_of(target))
        both = sorted(set(was) & set(own))
        if both:
            n_unlike = sum(_differ(was[probe], own[probe]) for probe in both)
            share = proportion_interval(n_unlike, len(both))
            found[target] = {"ratio": share.value, "low": share.low, "n": float(len(both))}
    return found


_Form = tuple[bool, bool, str]


def _forms(answers: Sequence[ProbeAnswer]) -> dict[str, _Form]:
    """Of each question what most of its answers were: refused, JSON, language."""
    by_probe: dict[str, list[_Form]] = {}
    for each in answers:
        by_probe.setdefault(each.probe, []).append((each.refused, is_json(each.text), language_of(each.text)))
    return {probe: max(set(forms), key=lambda form: (forms.count(form), form)) for probe, forms in by_probe.items()}


def _differ(first: _Form, second: _Form) -> bool:
    tongues = bool(first[2] and second[2] and first[2] != second[2])
    return first[:2] != second[:2] or tongues
