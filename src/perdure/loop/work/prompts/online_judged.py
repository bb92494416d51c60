"""What judges said of production: the sample that they are asked about, and the figure that people's labels make of it.

Nobody is asked here. `online_asking` asks about the sample at the end of a round and the signal `online_score` reads what is known
by then; both find the same answers, for the sample is drawn by the texts' own hash: as a window moves on, an answer stays in it or
leaves it, and only what is new is to be asked about. What was asked and answered in the same words counts once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from perdure.assets.health import Reading
from perdure.assets.judge import Judge
from perdure.assets.objective import SignalSpec
from perdure.assets.scorer_specs import label_of
from perdure.assets.scorers import Judged
from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.core.errors import BadJudge
from perdure.core.stats import Interval
from perdure.core.stats.corrected import Corrected
from perdure.core.stats.distributions import normal_quantile
from perdure.engines.judges.anchors import Judgeable
from perdure.engines.judges.correcting import corrected_share, told
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.evals.scoring import JudgeScorer, KeptJudgement, find_judgements
from perdure.loop.work.judges.labels import read_labelled
from perdure.loop.work.judges.state import find
from perdure.loop.work.prompts.online import Kept, kept_of, read_answered, with_texts
from perdure.loop.work.prompts.online_rounds import stopped_by
from perdure.loop.work.prompts.tested import find_judge, suites_of
from perdure.loop.work.readings import reading_of
from perdure.loop.work.versions import find_champion

_CORRECTED_AT = 0.95
"""Of the intervals of `core.stats.corrected`."""


class Judging(Protocol):
    """What an objective wants to know of a judge, of whatever was answered: of calls by a prompt, or of runs."""

    @property
    def spec(self) -> SignalSpec:
        """The objective's."""
        ...

    @property
    def judge(self) -> Judge:
        """Who is asked."""
        ...

    @property
    def label(self) -> str:
        """The scorer's."""
        ...

    @property
    def among(self) -> str:
        """Where the scorer is declared: a suite's name, or `success`."""
        ...

    def sampled(self, place: Workplace, asset: Watched, by: JudgeScorer, now: datetime) -> Sequence[Sampled]:
        """The answers of the champion that the judge is to be asked about, in an order that has nothing to do with time."""
        ...

    def readings(self, place: Workplace, asset: Watched, now: datetime) -> Sequence[Reading]:
        """What the objective's signal says now."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What an objective of a prompt wants to know of a judge."""

    spec: SignalSpec
    suite: Suite
    scorer: Judged
    judge: Judge

    @property
    def label(self) -> str:
        """The scorer's."""
        return label_of(self.scorer)

    @property
    def among(self) -> str:
        """The suite's name."""
        return self.suite.name

    def sampled(self, place: Workplace, asset: Watched, by: JudgeScorer, now: datetime) -> Sequence[Sampled]:
        """Of the window's different answers, by their hashes."""
        champion = find_champion(place.stores.ledger, asset.name)
        return [] if champion is None else sample_of(place, asset, champion.id, by, self.spec, now).answers

    def readings(self, place: Workplace, asset: Watched, now: datetime) -> Sequence[Reading]:
        """Of `online_score`."""
        return judged_scores(place, asset, self, now)


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """One answer of the sample."""

    kept: Kept
    answer: str
    """Its key: of its text alone."""
    id: str
    """As judges know the case."""
    key: str
    """Under which what the judge says of it is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What of a window's production judges are asked about."""

    n_calls: int
    """Answered, with texts or without."""
    n_texts: int
    """Of them those whose texts were kept."""
    answers: Sequence[Sampled]
    """In an order that has nothing to do with time: wherever asking ends, what was asked is a sample too."""


def find_wanted(asset: Watched, spec: SignalSpec) -> Wanted | None:
    """What an objective `online_score` asks of a judge; None where its scorer is none, or the judge is not declared."""
    label = str(spec.params["scorer"])
    for suite in suites_of(asset):
        for scorer in suite.scorers:
            if label_of(scorer) == label:
                judge = find_judge(asset, scorer.judge) if isinstance(scorer, Judged) else None
                return None if judge is None else Wanted(spec, suite, scorer, judge)  # type: ignore[arg-type]
    return None


def sample_of(
    place: Workplace, asset: Watched, version: str, by: JudgeScorer, spec: SignalSpec, now: datetime
) -> Sample:
    """The sample of a window: of all different answers those with the lowest hashes, `evals.online_calls` at most.

    Cost: one read of the window's texts, some 4 µs a call to hash them and 60 µs an answer of the sample.
    """
    calls = read_answered(place, version, now - spec.over, now)
    texts = with_texts(calls)
    hashed = [_hash(request, answer) for request, answer in texts.select("request", "answer").iter_rows()]
    first: dict[bytes, int] = {}
    for at, each in enumerate(hashed):
        first.setdefault(each, at)
    chosen = [first[each] for each in sorted(first)[: place.settings.evals.online_calls]]
    found: dict[str, Sampled] = {}
    for kept in kept_of(texts[chosen], asset.name):
        if kept.answered.text:
            one = sampled_as(kept, by)
            found.setdefault(one.id, one)
    return Sample(calls.height, texts.height, list(found.values()))


def _hash(request: str, answer: str) -> bytes:
    return hashlib.blake2b(f"{request}\0{answer}".encode(), digest_size=12).digest()


def sampled_as(kept: Kept, by: JudgeScorer) -> Sampled:
    """An answer with the keys under which it, its case and a judge's word on it are known."""
    text = kept.answered.text
    answer = f"online-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    return Sampled(kept, answer, Judgeable.of(kept.case.inputs, [text]).id, by.key(kept.case, answer))


def scorer_by(judge: Version) -> JudgeScorer:
    """A version of a judge as what judges answers."""
    return JudgeScorer(judge.asset, judge.id, judge.definition)


def why_unasked(place: Workplace, judge: Judge, version: Version | None) -> str:
    """Why nobody asks this judge about production, in words; empty where it is asked."""
    if judge.form == "reference":
        return f"The judge {judge.name} is shown what was expected, and of production nothing is."
    if judge.form == "pairwise":
        return f"The judge {judge.name} compares two answers, and production has one."
    if version is None:
        return f"No version of the judge {judge.name} is released: perdure apply"
    known = find(place, judge.name, version.id)
    if known is None:
        return f"The judge {judge.name} was never calibrated, so its figures are not used: perdure judge calibrate {judge.name}"
    if known.calibration.verdict == "refused":
        return known.calibration.text
    if place.settings.evals.online_usd <= 0.0:
        return "Judges are not asked about production, for evals.online_usd is 0."
    return ""


def judged_scores(place: Workplace, asset: Watched, wanted: Wanted, now: datetime) -> Sequence[Reading]:
    """The share of good answers by a judge, corrected, over what of the sample it has judged; raw beside it in the facts.

    Without a figure the reading has no value and says why, so that its objective is unsure: the judge is not calibrated or carries no
    information, no texts are kept, nothing was judged yet. None while nobody called.
    """
    champion, judge = find_champion(place.stores.ledger, asset.name), wanted.judge
    version = find_champion(place.stores.ledger, judge.name)
    if champion is None:
        return []
    why = why_unasked(place, judge, version)
    if why or version is None:
        return [_without(asset, wanted, now, champion, {"text": why})]
    sample = sample_of(place, asset, champion.id, scorer_by(version), wanted.spec, now)
    if not sample.n_calls:
        return []
    if not sample.n_texts:
        route = champion.definition["route"]
        text = f'No texts of these {sample.n_calls} calls were kept, so that none can be judged: write bodies="redacted" on {route}.'
        return [_without(asset, wanted, now, champion, {"text": text})]
    known = find_judgements(place.stores.results, [each.key for each in sample.answers])
    facts = _counted(place, asset, sample, known) | {"judge": version.id}
    said = {each.id: known[each.key].value for each in sample.answers if each.key in known}
    figure = figure_of(place, judge, version, said, now) if said else "None of these answers was judged yet."
    if isinstance(figure, str):
        return [_without(asset, wanted, now, champion, {**facts, "text": figure})]
    facts |= told(figure)
    found = None if figure.corrected is None else at_confidence(figure.corrected, wanted.spec.confidence, len(said))
    more = {} if found is not None else {"n": len(said)}
    return [reading_of(asset, wanted.spec, now, found, unit="score", version=champion.id, facts=facts, **more)]


def _without(asset: Watched, wanted: Wanted, now: datetime, champion: Version, facts: dict[str, Any]) -> Reading:
    return reading_of(asset, wanted.spec, now, None, unit="score", version=champion.id, facts=facts)


def _counted(place: Workplace, asset: Watched, sample: Sample, known: dict[str, KeptJudgement]) -> dict[str, Any]:
    """How much of the sample was judged; `partial` says in words what ended it."""
    judged = [known[each.key] for each in sample.answers if each.key in known]
    n_waiting = len(sample.answers) - len(judged)
    facts: dict[str, Any] = {
        "n_answers": len(sample.answers),
        "n_scored": len(judged),
        "n_unread": sum(each.value is None for each in judged),
        "n_waiting": n_waiting,
    }
    ended = stopped_by(place, asset.name) if n_waiting else ""
    return {**facts, "partial": ended} if ended else facts


def figure_of(
    place: Workplace, judge: Judge, version: Version, said: dict[str, float | None], now: datetime
) -> Corrected | str:
    """The share of good cases, by what the judge said of each, corrected; in words why there is none.

    Args:
        place: where its labels and its calibration are.
        judge: as declared.
        version: that said it.
        said: what it said, by the case's id; None: it could not be read.
        now: labels of later count not.
    """
    measured = find(place, judge.name, version.id)
    try:
        labelled = read_labelled(place, judge, now)
    except BadJudge as error:
        return error.message
    anchored = (labelled, measured.judgements) if measured else ([], {})
    fresh = [each for each in labelled if each.inclusion is not None and each.case.id in said]
    return corrected_share(said, fresh, anchored, measured.calibration if measured else None)


def at_confidence(found: Interval, confidence: float, n: int) -> Interval:
    """The interval as wide as an objective wants it, on the scale of a normal error; of so many answers."""
    wider = normal_quantile(0.5 + confidence / 2.0) / normal_quantile(0.5 + _CORRECTED_AT / 2.0)
    low = found.value - (found.value - found.low) * wider
    high = found.value + (found.high - found.value) * wider
    return Interval(found.value, float(np.clip(low, 0.0, 1.0)), float(np.clip(high, 0.0, 1.0)), n)


def all_wanted(asset: Watched) -> Iterator[Wanted]:
    """What a prompt's objectives want to know of judges."""
    for objective in asset.healthy:
        wanted = find_wanted(asset, objective.spec) if objective.spec.signal == "online_score" else None
        if wanted is not None:
            yield wanted
