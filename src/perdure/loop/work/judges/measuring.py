"""Asks a version of a judge about everything that people labelled, and keeps what comes of it.

Called by `perdure judge calibrate`, by checks in the loop's rounds, and by remedies in their durable steps; gates and
signals only read what is kept here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from perdure.assets.health import Reading
from perdure.assets.judge import Judge
from perdure.assets.version import Version
from perdure.core.clock import iso
from perdure.core.errors import BadJudge, NotReady
from perdure.engines.judges.anchors import Labelled, digest_of
from perdure.engines.judges.calibration import calibrate
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.orders import Planted, planted
from perdure.engines.judges.protocols import Calibration
from perdure.engines.judges.rubrics import shown_in
from perdure.engines.judges.scales import words_of
from perdure.loop.protocols import Workplace
from perdure.loop.work.judges.asking import judge_cases
from perdure.loop.work.judges.labels import read_labelled
from perdure.loop.work.judges.state import Measured, What, find, keep

CALIBRATED = "judge_calibration"
"""Name of the reading that each calibration leaves: its informedness."""
MOST_UNREACHED = 0.1
"""Above this share of cases nothing is measured: an upstream that is away says nothing of a judge."""
REPROMPT = "reprompt"
"""The remedy whose candidates are written from labels of the improve split."""


def measure(
    place: Workplace, judge: Judge, version: Version, now: datetime, *, what: What = "calibration", step: str = ""
) -> Measured:
    """A version beside people now, kept as the newest of its kind.

    Args:
        place: stores, and who answers.
        judge: as declared: its anchor set.
        version: whose prompt, route and parameters are asked.
        now: domain time.
        what: it is for.
        step: a durable step's key: what was measured under it before is given again and nobody asked.

    Raises:
        BadJudge: nobody labelled anything, or the anchor set cannot be read.
        NotReady: no route is declared, or too many cases could not be judged since nobody answered.
    """
    known = find(place, judge.name, version.id, what)
    if step and known is not None and known.step == step:
        return known
    labelled = unshown(read_labelled(place, judge, now), version.definition)
    if not labelled:
        raise BadJudge(
            f"Nobody labelled a case of judge {judge.name!r}.",
            hint='Give anchor="….jsonl", or label some: perdure review next --judge ' + judge.name,
        )
    judgements, found = _asked(place, version, labelled)
    measured = Measured(
        judge=judge.name, version=version.id, at=iso(now), calibration=found, judgements=judgements, step=step
    )
    if what != "trial":
        place.stores.readings.put([_reading(judge.name, version.id, now, found, what)])
    return keep(place, what, measured, now, f"judge: {what}")


def unshown(labelled: Sequence[Labelled], definition: Mapping[str, Any]) -> list[Labelled]:
    """Without the cases that a version is shown as examples."""
    shown = shown_in(definition)
    return [each for each in labelled if each.case.alike not in shown]


def fair(labelled: Sequence[Labelled], version: Version) -> list[Labelled]:
    """What a version's figures may rest on: nothing that it is shown, and of one that was written from labels none of those."""
    kept = unshown(labelled, version.definition)
    wrote = version.lineage.get("remedy") == REPROMPT
    return [each for each in kept if not (wrote and each.improves)]


def _asked(
    place: Workplace, version: Version, labelled: Sequence[Labelled]
) -> tuple[dict[str, Judgement], Calibration]:
    plants: list[Planted] = planted(labelled, words_of(version.definition))
    cases = [*(each.case for each in labelled), *(plant.case for plant in plants)]
    found = judge_cases(place, version.definition, cases, {"judge": version.asset, "version": version.id})
    n_unreached = sum(each.said == "failed" and not each.models for each in found.values())
    if n_unreached > MOST_UNREACHED * len(found):
        raise NotReady(
            f"{n_unreached} of {len(found)} cases could not be judged: nobody answered.",
            hint=f"Look at the route {version.definition['route']!r}: perdure calls --route {version.definition['route']}",
            delay_s=60.0,
        )
    judgements = {each.case.id: found[each.case.id] for each in labelled}
    said = [(plant, found[plant.case.id]) for plant in plants]
    return judgements, calibrate(fair(labelled, version), judgements, said, anchor=digest_of(labelled))


def _reading(judge: str, version: str, now: datetime, found: Calibration, what: What) -> Reading:
    told = found.informedness
    return Reading(
        asset=judge,
        signal=CALIBRATED,
        at=now,
        window_start=now,
        window_end=now,
        value=None if told is None else told.value,
        low=None if told is None else told.low,
        high=None if told is None else told.high,
        n=found.n,
        unit="",
        version=version,
        facts={"verdict": found.verdict, "text": found.text, "what": what},
    )
