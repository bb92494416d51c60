"""What judges said of runs of production, for whoever asks how well these did: nobody is asked here.

`judging` has them asked, about a sample by the content's own hash. What surprised us: a run that failed needs no judge to be a failure,
but where a part of the others is judged alone, all that failed beside them would make the agent look worse than it is. So those count
that lie in the sample, as far as it has been judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from perdure.assets.judge import Judge
from perdure.assets.scorer_specs import label_of
from perdure.assets.scorers import Judged
from perdure.assets.suite import Case
from perdure.assets.version import Version
from perdure.core.ports import Answered
from perdure.core.runs import RunRecord
from perdure.engines.agents.nodes import value_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.evals.scoring import JudgeScorer, find_judgements
from perdure.loop.work.prompts.online import Kept
from perdure.loop.work.prompts.online_judged import Sampled, sampled_as, scorer_by, why_unasked
from perdure.loop.work.runs.watched import declared_of, judges_of
from perdure.loop.work.versions import find_champion

if TYPE_CHECKING:
    from perdure.loop.work.runs.reading import Seen


def judged_in(asset: Watched) -> Iterator[tuple[Judged, Judge]]:
    """Scorers of its `success` that are a judge by itself, each with the judge, of those that are declared."""
    judges = judges_of(asset)
    for scorer in declared_of(asset).success:
        if isinstance(scorer, Judged) and scorer.judge in judges:
            yield scorer, judges[scorer.judge]


def heard_in(place: Workplace, asset: Watched) -> Iterator[tuple[str, Judge, Version]]:
    """Label, judge and version of each whose word is used."""
    for scorer, judge in judged_in(asset):
        version = find_champion(place.stores.ledger, judge.name)
        if version is not None and not why_unasked(place, judge, version):
            yield label_of(scorer), judge, version


def unheard_in(place: Workplace, asset: Watched) -> list[str]:
    """Why nobody asks, of each judge that is not asked."""
    found = [why_unasked(place, judge, find_champion(place.stores.ledger, judge.name)) for _, judge in judged_in(asset)]
    return [why for why in found if why]


def with_words(place: Workplace, asset: Watched, runs: Sequence[Seen]) -> list[Seen]:
    """The runs, with what judges said of each by now. Cost: a hash a run and a look-up an answer; without judges nothing."""
    words: dict[str, dict[str, float]] = {}
    for label, _, version in heard_in(place, asset):
        for run, value in _words_of(place, scorer_by(version), runs).items():
            words.setdefault(run, {})[label] = value
    return [replace(each, words=words[each.run.id]) if each.run.id in words else each for each in runs]


def _words_of(place: Workplace, by: JudgeScorer, runs: Sequence[Seen]) -> dict[str, float]:
    asked = {each.run.id: one for each in runs if (one := as_judged(each.run, by)) is not None}
    known = find_judgements(place.stores.results, [each.key for each in asked.values()])
    said = {run: known[one.key].value for run, one in asked.items() if one.key in known}
    found = {run: value for run, value in said.items() if value is not None}
    return found | dict.fromkeys(_failed(sample_of(runs, place.settings.evals.online_calls), asked, said), 0.0)


def _failed(
    sample: Sequence[Sequence[Seen]], asked: Mapping[str, Sampled], said: Mapping[str, float | None]
) -> Iterator[str]:
    """Runs of the sample that failed, up to the last one that was judged; all, where no other one waits."""
    judged = [place for place, group in enumerate(sample) if group[0].run.id in said]
    waits = any(group[0].run.id in asked and group[0].run.id not in said for group in sample)
    reach = len(sample) if not waits else judged[-1] if judged else 0
    for group in sample[:reach]:
        yield from (each.run.id for each in group if each.run.status == "failed")


def sample_of(runs: Sequence[Seen], most: int) -> list[list[Seen]]:
    """Runs that people said nothing of, by what was asked and answered: so many with the lowest hashes; one that was called off is none."""
    groups: dict[bytes, list[Seen]] = {}
    for each in runs:
        if each.said is None and each.run.status != "cancelled":
            groups.setdefault(_hash(each.run), []).append(each)
    return [groups[key] for key in sorted(groups)[:most]]


def _hash(run: RunRecord) -> bytes:
    failed = b"failed" if run.status == "failed" else b""
    return hashlib.blake2b(b"\0".join((run.input, run.output, failed)), digest_size=12).digest()


def as_judged(run: RunRecord, by: JudgeScorer) -> Sampled | None:
    """A run as a judge is asked about it: what it was asked, without what was expected, and what it gave; None: it gave nothing."""
    if run.status in ("failed", "cancelled") or not run.output:
        return None
    answered = Answered(
        {"role": "assistant", "content": content_of(run)}, "stop", None, run.cost_pusd, max(0, run.ended_us - run.began_us)
    )  # fmt: skip
    return sampled_as(Kept(Case(run.id, _shown(run)), answered), by) if answered.text else None


def _shown(run: RunRecord) -> dict[str, object]:
    value = value_of(run.input)
    if not isinstance(value, Mapping):
        return {"input": value}
    return {name: each for name, each in value.items() if run.kind == "graph" or name != "expected"}


def content_of(run: RunRecord) -> str:
    """What it gave: a text alone; an object as JSON, as scorers of structure read it."""
    value = value_of(run.output)
    if isinstance(value, Mapping) and set(value) == {"text"}:
        return str(value["text"])
    return value if isinstance(value, str) else run.output.decode(errors="replace")
