"""What is measured of a judge: `judge_agreement`, `judge_shift`, `judge_obeyed` and `label_age_d`. Nobody is asked here.

Without a usable calibration of what answers now a reading has no value: its objective is unsure, never healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.version import Version
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import clustered_share
from perdure.core.units import days
from perdure.engines.judges.anchors import Labelled, Said
from perdure.engines.judges.calibration import paired, people_agreement
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.drift import shift_of
from perdure.loop.protocols import Signal, Watched, Workplace
from perdure.loop.work.judges.labels import judge_of, newest_label, read_labelled, reviewed
from perdure.loop.work.judges.state import Measured, find
from perdure.loop.work.readings import exactly, reading_of
from perdure.loop.work.versions import find_champion

FEWEST = 10
"""Labels below which a witness says nothing."""


def judge_signals() -> Mapping[str, Callable[[], Signal]]:
    """The signals of the kind "judge": name → what makes it."""
    return {
        "judge_agreement": JudgeAgreement,
        "judge_shift": JudgeShift,
        "judge_obeyed": JudgeObeyed,
        "label_age_d": LabelAge,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Fresh:
    """Cases that people labelled in a window, with what the champion had said of them when they were asked about."""

    labelled: list[Labelled]
    judgements: dict[str, Judgement]


def fresh_labels(place: Workplace, asset: Watched, champion: Version, start: datetime, now: datetime) -> Fresh:
    """Labels of drawn cases that came in `[start, now]` on opinions of what answers now.

    What a version before it said is mended already; chosen cases say how often it errs where it was thought to err.
    """
    labelled, judgements = [], {}
    for each in reviewed(place, asset.name, now):
        facts = each.review.facts
        said = [Said(label.labeller, label.value) for label in each.review.labels if start <= label.at <= now]
        if (
            each.review.inclusion is None
            or each.case is None
            or not said
            or facts.get("version") != champion.id
            or "judged" not in facts
        ):
            continue
        labelled.append(Labelled(each.case, tuple(said), each.review.inclusion))
        judged = facts["judged"]
        judgements[each.case.id] = Judgement(each.case.id, "unparsed" if judged is None else "given", judged)
    return Fresh(labelled, judgements)


def newest_measured(
    place: Workplace, asset: Watched, champion: Version, start: datetime, now: datetime
) -> Measured | None:
    """The newest check or calibration of what answers, within `[start, now]`."""
    found = [find(place, asset.name, champion.id, what) for what in ("check", "calibration")]
    within = [each for each in found if each is not None and start <= each.measured_at <= now]
    return max(within, key=lambda each: each.at, default=None)


def distrusted(place: Workplace, asset: Watched, champion: Version | None) -> str:
    """Why no figure of a judge is used now, in words; empty where one is."""
    if champion is None:
        return "No version of this judge answers."
    known = find(place, asset.name, champion.id)
    if known is None:
        return "This judge was never calibrated: its figures are not used."
    return known.calibration.text if known.calibration.verdict == "refused" else ""


class JudgeAgreement:
    """Share of people's labels that the judge agrees with: of fresh labels, and of the anchor judged anew.

    Each witness sees what the other does not; the worse one is the reading, each measured so much surer that both hold.
    """

    name = "judge_agreement"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none while nothing was labelled or judged in the window."""
        champion = find_champion(place.stores.ledger, asset.name)
        why = distrusted(place, asset, champion)
        if champion is None or why:
            version = "" if champion is None else champion.id
            return [reading_of(asset, spec, now, None, unit="ratio", version=version, facts={"text": why})]
        confidence = 1.0 - (1.0 - spec.confidence) / 2.0
        fresh = fresh_labels(place, asset, champion, now - spec.over, now)
        measured = newest_measured(place, asset, champion, now - spec.over, now)
        anchored = {} if measured is None else measured.judgements
        told = {
            "labels": _share(fresh.labelled, fresh.judgements, confidence),
            "anchor": _share(read_labelled(place, judge_of(asset), now), anchored, confidence) if anchored else None,
        }
        known = {name: found for name, found in told.items() if found is not None}
        if not known:
            return []
        worse = min(known, key=lambda name: (known[name].high, known[name].value))
        facts: dict[str, Any] = {"worse": worse, **{name: _bounds(found) for name, found in known.items()}}
        people = people_agreement(fresh.labelled)
        if people is not None:
            facts["people"] = {**_bounds(people[0]), "kappa": people[1]}
        return [reading_of(asset, spec, now, known[worse], unit="ratio", version=champion.id, facts=facts)]


def _share(labelled: Sequence[Labelled], judgements: Mapping[str, Judgement], confidence: float) -> Interval | None:
    both = paired(labelled, judgements)
    if len(both.cases) < FEWEST:
        return None
    given = [judgements[each.case.id].value is not None for each in both.cases]
    agrees = np.where(given, 1.0 - np.abs(both.labels - both.judged), 0.0)
    return clustered_share(agrees, both.grouped, weights=both.weights, confidence=confidence)


def _bounds(found: Interval) -> dict[str, float | int]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


class JudgeShift:
    """Share of the anchor's cases on another side than when the judge was calibrated."""

    name = "judge_shift"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading of the newest check in the window; none without one."""
        champion = find_champion(place.stores.ledger, asset.name)
        before = None if champion is None else find(place, asset.name, champion.id)
        check = None if champion is None else find(place, asset.name, champion.id, "check")
        if champion is None or before is None or check is None:
            return []
        if not max(before.measured_at, now - spec.over) < check.measured_at <= now:
            return []
        found = shift_of(before.judgements, check.judgements, spec.confidence)
        if found is None:
            return []
        facts = {
            "n_kinder": found.n_kinder,
            "n_stricter": found.n_stricter,
            "p": found.p,
            "models_before": list(found.models_before),
            "models_now": list(found.models_now),
        }
        return [reading_of(asset, spec, now, found.flips, unit="ratio", version=champion.id, facts=facts)]


class JudgeObeyed:
    """Share of orders planted into what is judged that the judge followed, at the newest calibration or check."""

    name = "judge_obeyed"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none where none was planted in the window."""
        champion = find_champion(place.stores.ledger, asset.name)
        found = None if champion is None else newest_measured(place, asset, champion, now - spec.over, now)
        if found is None or found.calibration.obeyed.n == 0:
            return []
        return [reading_of(asset, spec, now, found.calibration.obeyed, unit="ratio", version=found.version)]


class LabelAge:
    """Days since a person last labelled a case of the judge in the review queue."""

    name = "label_age_d"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none while nobody ever did: the anchor file does not say when it was labelled."""
        newest = newest_label(place, asset.name, now)
        return [] if newest is None else [reading_of(asset, spec, now, exactly((now - newest) / days(1), 1), unit="d")]
