"""Answers of one case and what every scorer of a suite says of them: those that compute, and judges that are asked.

Engines do not know each other: scorers come from `engines.evals`, judges from `engines.judges`, and here they meet. What a judge
says is kept by content (the answer, the case, the judge's version), so that an answer is judged once; scorers that compute are
done anew, which is cheaper than to look up what they said.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perdure.assets.suite import Case, Suite
from perdure.assets.version import Version
from perdure.core.canonical import plain
from perdure.core.errors import BadSuite, not_found
from perdure.core.ports import Answered
from perdure.engines.evals.compiling import Compiled, compile_scorers
from perdure.engines.evals.composite import combined
from perdure.engines.evals.parts import Tools
from perdure.engines.evals.protocols import Outcome, Score
from perdure.engines.judges.anchors import Judgeable
from perdure.engines.judges.asking import questions
from perdure.engines.judges.deciding import judgement_of
from perdure.loop.work.evals.pacing import NO_MONEY, Paced
from perdure.stores.results.protocols import Results

Told = tuple[str, float | None, str, str]
"""(scorer's label, value, outcome, why), as a run's row has it."""
_WORDS = {
    "unparsed": "the judge's answer could not be read",
    "refused": "the judge refused to judge",
    "obeyed": "the judge obeyed an order inside of what it judged",
    "failed": "the judge was not reached",
}
_sorted = msgspec.json.Encoder(order="sorted").encode


class KeptJudgement(msgspec.Struct, array_like=True, frozen=True):
    """What a judge said of an answer, as it is kept under `JudgeScorer.key`."""

    value: float | None
    outcome: Outcome
    why: str
    cost_pusd: int
    run: str
    """That asked it."""

    @property
    def score(self) -> Score:
        """As a scorer's word."""
        return Score(self.value, self.outcome, self.why)


def find_judgements(results: Results, keys: Sequence[str]) -> dict[str, KeptJudgement]:
    """What judges said before, by the key that it is kept under; nobody is asked."""
    found = results.find_scores(keys)
    return {key: msgspec.msgpack.decode(body, type=KeptJudgement) for key, body in found.items()}


@dataclass(frozen=True, slots=True, eq=False)
class JudgedBy:
    """For which run judges are asked, and by whom."""

    run: str
    results: Results
    paced: Paced


@dataclass(slots=True, eq=False)
class Given:
    """An answer with the key that it is kept under."""

    key: str
    answered: Answered


class Scored(msgspec.Struct, eq=False):
    """What is said of one answer."""

    told: list[Told]
    score: float | None
    """Weighted mean of what applies."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgeScorer:
    """A judge that a suite's scorers ask."""

    name: str
    version: str
    definition: Mapping[str, Any]

    def key(self, case: Case, answer: str) -> str:
        """Of what it says of an answer: begins with the answer's key, with which it is forgotten."""
        shown = _sorted([plain(case.inputs), plain(case.expected), self.version])
        return f"{answer}:{hashlib.sha256(shown).hexdigest()[:32]}"

    async def judge(self, case: Case, answered: Answered, paced: Paced) -> tuple[Score, int, bool]:
        """What it says, what that cost, and whether it is worth keeping: a judge that was not reached is asked again."""
        judged = Judgeable.of(case.inputs, [answered.text], case.expected, case.cluster)
        asked = questions(self.definition, judged, tags={"judge": self.version})
        answers = await asyncio.gather(*(paced.ask(each.asked) for each in asked))
        cost = sum(each.cost_pusd or 0 for each in answers)
        if any(each.error == NO_MONEY for each in answers):
            # Part of a panel is another judge than the panel: what it says is not kept.
            return Score(None, "failed", _WORDS["failed"]), cost, False
        found = judgement_of(self.definition, asked, answers)
        if found.value is not None:
            return Score(found.value, "scored", found.reason), cost, True
        # Of an answer that no judge could judge nothing is known: it counts neither way.
        return Score(None, "failed", _WORDS.get(found.said, found.said)), cost, found.said != "failed"


@dataclass(frozen=True, slots=True, eq=False)
class ScorerSet:
    """The scorers of a suite, ready."""

    compiled: Sequence[Compiled]
    judges: Sequence[JudgeScorer] = ()
    _flat: list[tuple[Callable[[Case, Answered], Score], str, float]] = field(init=False)
    _alone: bool = field(init=False)
    """None of them looks at other samples or at what judges say."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_flat", [(each.score, each.label, each.weight) for each in self.compiled])
        alone = not any(each.of_samples or each.judges for each in self.compiled)
        object.__setattr__(self, "_alone", alone)

    @property
    def labels(self) -> list[str]:
        """In the suite's order."""
        return [each.label for each in self.compiled]

    @property
    def quick(self) -> bool:
        """Whether those that compute take microseconds; else they are done in a thread."""
        return all(each.quick or each.judge for each in self.compiled)

    def score(
        self, case: Case, answers: Sequence[Answered], said: Mapping[str, Sequence[Score]] | None = None
    ) -> list[Scored]:
        """What they say of the answers to one case. Cost: 1 µs an answer and scorer, beside the scorer's own."""
        if self._alone:
            return [self._score_alone(case, each) for each in answers]
        columns = [each.score_samples(case, answers, said or {}) for each in self.compiled]
        weights = [each.weight for each in self.compiled]
        return [
            Scored([(each.label, score.value, score.outcome, score.why)
                    for each, score in zip(self.compiled, scores, strict=True)], combined(scores, weights))
            for scores in zip(*columns, strict=True)
        ]  # fmt: skip

    def _score_alone(self, case: Case, answered: Answered) -> Scored:
        """One answer by scorers that need no other; the mean is that of `combined`, without a list of its own."""
        told: list[Told] = []
        total = weights = 0.0
        mute = False
        for score, label, weight in self._flat:
            found = score(case, answered)
            value = found.value
            told.append((label, value, found.outcome, found.why))
            if value is not None:
                total += weight * value
                weights += weight
            elif found.outcome == "failed" and weight > 0.0:
                mute = True
        return Scored(told, total / weights if weights > 0.0 and not mute else None)

    async def ask_judges(
        self, case: Case, given: Sequence[Given], of: JudgedBy
    ) -> tuple[dict[str, list[Score]], list[int]]:
        """What each judge says of each answer, and what this run paid for that; what was said before is not asked again."""
        said: dict[str, list[Score]] = {}
        spent = [0] * len(given)
        for judge in self.judges:
            keys = [judge.key(case, each.key) for each in given]
            known = find_judgements(of.results, [key for key, each in zip(keys, given, strict=True) if each.key])
            column = []
            for at, (key, each) in enumerate(zip(keys, given, strict=True)):
                if each.answered.error:
                    column.append(Score(0.0, "failed", f"no answer: {each.answered.error}"))
                    continue
                if key in known:
                    old = known[key]
                    cost = old.cost_pusd if old.run == of.run else 0
                    of.paced.purse.spent += cost
                    score = old.score
                else:
                    score, cost, lasts = await judge.judge(case, each.answered, of.paced)
                    if lasts:
                        kept = KeptJudgement(score.value, score.outcome, score.why, cost, of.run)
                        of.results.put_scores([(key, msgspec.msgpack.encode(kept))])
                column.append(score)
                spent[at] += cost
            said[judge.name] = column
        return said, spent


def scorers_of(suite: Suite, judges: Mapping[str, Version], tools: Tools) -> ScorerSet:
    """The scorers of a suite, ready.

    Args:
        suite: as declared.
        judges: version of each judge that its scorers name.
        tools: what scorers ask of the outside.

    Raises:
        NotFound: a judge that is not there.
        BadSuite: a judge of pairs, which says nothing of one answer; scorers that cannot be used.
    """
    compiled = compile_scorers(
        suite, embed=tools.embed, entails=tools.entails, run_code=tools.run_code, schema=tools.schema
    )
    names = sorted({name for each in compiled for name in each.judges})
    return ScorerSet(compiled, [_judge_scorer(name, judges) for name in names])


def _judge_scorer(name: str, judges: Mapping[str, Version]) -> JudgeScorer:
    version = judges.get(name)
    if version is None:
        raise not_found("judge", name, judges)
    if version.definition["form"] == "pairwise":
        raise BadSuite(
            f"The judge {name!r} compares two answers, and says nothing of one.",
            hint="Judge by one that is pointwise or beside the expected answer.",
        )
    return JudgeScorer(name, version.id, version.definition)
