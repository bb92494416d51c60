"""Every remedy of judges: calibrate anew, ask otherwise, ask another route, ask people.

All asking of models happens in `repair`, a durable step: each candidate, and what answers now, is asked about the whole
anchor there, so that gates compare two records of the same hour. Cases that a candidate learned from are of the improve
split, which the gates do not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from perdure.assets.health import Cause
from perdure.assets.repair import SCHEDULE, Action
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.ports import Asked
from perdure.engines.judges.rubrics import disagreements, rewriting, rewritten, variants
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.judges.asking import ask_all
from perdure.loop.work.judges.causes import CRITERIA_MOVED, LABEL_SHIFT, MODEL_SWAPPED, RUBRIC_DISPUTED
from perdure.loop.work.judges.labels import judge_of, read_file, read_labelled
from perdure.loop.work.judges.measuring import REPROMPT, measure, unshown
from perdure.loop.work.judges.queue import ask_again
from perdure.loop.work.judges.state import Measured
from perdure.loop.work.making import make_version
from perdure.loop.work.versions import find_champion

N_ASKED = 20
"""Cases that people are asked to look at where the rubric is disputed."""
_COST_S = 1.0


def judge_remedies() -> tuple[Remedy, ...]:
    """The remedies of the kind "judge"."""
    return (Recalibrate(), Reprompt(), SwitchRoute(), AskPeople())


class Recalibrate:
    """Asks what answers now about every label there is: its figures are corrected by it from then on."""

    name = "recalibrate"
    answers: Sequence[str] = (LABEL_SHIFT, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where a version answers and somebody can be asked."""
        if find_champion(place.stores.ledger, asset.name) is None or place.open_answerer is None:
            return []
        return [Action(self.name, "calibrate by every label there is", "state", cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - the Protocol's
        """No version: a calibration is state.

        Raises:
            BadJudge: nobody labelled anything.
        """
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is not None:
            measure(place, judge_of(asset), champion, now, step=step)
        return []


class Reprompt:
    """The same route asked otherwise: another wording, examples people judged, a rubric that a model writes."""

    name = REPROMPT
    answers: Sequence[str] = (MODEL_SWAPPED, CRITERIA_MOVED)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action that makes several candidates, where a version answers and somebody can be asked."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or place.open_answerer is None:
            return []
        return [Action(self.name, "ask otherwise: other words, examples", params={"of": champion.id}, cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The candidates; none where the judge agrees with people on the improve split.

        Raises:
            BadJudge: nobody labelled anything.
        """
        incumbent, measured = _incumbent(place, asset, step, now)
        if incumbent is None or measured is None:
            return []
        judge = judge_of(asset)
        labelled = unshown(read_labelled(place, judge, now), incumbent.definition)
        repinned = _repinned(incumbent.definition, measured)
        showable = {each.case.id for each in read_file(judge)}
        made = variants(repinned, labelled, measured.judgements, showable)
        wrong = disagreements(labelled, measured.judgements)
        if made and wrong:
            route = next(iter(judge.panel), incumbent.definition["route"])
            another = _written(place, asset, repinned, rewriting(repinned, wrong, route), (step, now))
            made |= {} if another is None else {"rewritten": another}
        return _candidates(place, asset, action, made, step, now)


def _written(
    place: Workplace, asset: Watched, definition: Mapping[str, Any], asked: Asked, under: tuple[str, datetime]
) -> dict[str, Any] | None:
    """The rubric that a model writes, as a definition: of one step the first stands, whatever it would write the next time."""
    (step, now), name = under, f"judge/{asset.name}/written"
    with place.stores.ledger.read() as session:
        kept = session.cursors.get(name)
    if kept is None or kept["step"] != step:
        kept = {"step": step, "definition": rewritten(definition, ask_all(place, [asked])[0])}
        with place.transaction(now, "a rubric was written") as session:
            session.cursors.put(name, kept)
    found: dict[str, Any] | None = kept["definition"]
    return found


def _repinned(definition: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """The definition with the model that answers now, where one is pinned: the pinned one is gone."""
    models = sorted({model for each in measured.judgements.values() for model in each.models})
    pinned = definition.get("model", "")
    return {**definition, "model": models[0] if pinned and len(models) == 1 else pinned}


class SwitchRoute:
    """Another of the declared routes answers, one of the panel; the one that answered is left out."""

    name = "switch_route"
    answers: Sequence[str] = (MODEL_SWAPPED, CRITERIA_MOVED)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action a route of the panel that is not the one that answers."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or place.open_answerer is None:
            return []
        return [
            Action(self.name, f"ask {route} in its place", params={"of": champion.id, "route": route}, cost_s=_COST_S)
            for route in judge_of(asset).panel
            if route != champion.definition["route"]
        ]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The candidate: the same question to another route, whose model is not pinned yet.

        Raises:
            BadJudge: nobody labelled anything.
        """
        incumbent, _ = _incumbent(place, asset, step, now)
        if incumbent is None:
            return []
        route, before = str(action.params["route"]), incumbent.definition["route"]
        panel = [each for each in incumbent.definition["panel"] if each not in (route, before)]
        made = {**incumbent.definition, "route": route, "panel": panel, "model": ""}
        return _candidates(place, asset, action, {"route": made}, step, now)


class AskPeople:
    """People are asked again about cases on which they disagree, and about some drawn by chance."""

    name = "ask_people"
    answers: Sequence[str] = (RUBRIC_DISPUTED,)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action: what is under the judge, people's labels, is mended, and nothing is released. None while they are asked."""
        with place.stores.ledger.read() as session:
            asked = session.reviews.list(subject=asset.name, status="open")
        if any(each.why == "disputed" for each in asked):
            return []
        text = f"ask people about {N_ASKED} cases on which they disagree: perdure review next"
        return [Action(self.name, text, "state", params={"n": N_ASKED})]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """No version; the cases stand in the review queue, once however often it is done."""
        labelled = read_labelled(place, judge_of(asset), now)
        disputed = [each.case for each in labelled if len({said.value for said in each.said}) > 1]
        ask_again(place, asset.name, disputed[: int(action.params["n"])], step, now)
        return []


def _incumbent(place: Workplace, asset: Watched, step: str, now: datetime) -> tuple[Version | None, Measured | None]:
    """What answers, asked about the anchor now."""
    champion = find_champion(place.stores.ledger, asset.name)
    if champion is None:
        return None, None
    # Of one repair all actions share what was asked of the incumbent.
    return champion, measure(place, judge_of(asset), champion, now, what="trial", step=_of_repair(step))


def _of_repair(step: str) -> str:
    """The part of a step's key that all actions of a repair share: their job's id."""
    return step.partition("/")[0]


def _candidates(
    place: Workplace, asset: Watched, action: Action, made: Mapping[str, Mapping[str, Any]], step: str, now: datetime
) -> list[str]:
    """Versions of definitions, each asked about the anchor; what says no more than a coin is refused here already."""
    found = []
    for name, definition in _known_apart(made):
        lineage = {"remedy": action.remedy, "remedy_params": {**action.params, "change": name}}
        version = make_version(place, asset.name, "judge", definition, lineage, now)
        measured = measure(place, judge_of(asset), version, now, step=step)
        if measured.calibration.verdict != "refused":
            found.append(version.id)
    return found


def _known_apart(made: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return {content_hash(definition): (name, definition) for name, definition in made.items()}.values()
