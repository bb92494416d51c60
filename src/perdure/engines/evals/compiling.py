"""Declared scorers become what runs: one list a suite, in its order. Called by whoever runs a suite, offline or on traffic.

    scorers = compile_scorers(suite, embed=embed, entails=None, run_code=run_code, schema=schema)
    scores = [each.score(case, answer) for each in scorers]
    value = combined(scores, [each.weight for each in scorers])

A judge is asked elsewhere: `judges` of a compiled scorer names those whose word it needs, and `score_samples` takes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from perdure.assets.core_schema import code_digest
from perdure.assets.scorer_specs import label_of, scorer_name
from perdure.assets.scorers import (
    AnswerRelevance,
    Cheaper,
    CodePasses,
    Contains,
    ContextPrecision,
    ContextRecall,
    Custom,
    Exact,
    Faster,
    FitsSchema,
    Grounded,
    Judged,
    Matches,
    Number,
    Refuses,
    RougeL,
    Scorer,
    SetF1,
    Similar,
    Together,
    TokenF1,
    ToolCalls,
)
from perdure.assets.suite import Case, Suite
from perdure.core.canonical import content_hash
from perdure.core.ports import Answered, Embed, Entails, RunCode
from perdure.engines.evals.coding import CodePassesPart
from perdure.engines.evals.composite import put_together
from perdure.engines.evals.custom import CustomPart
from perdure.engines.evals.exact import ContainsPart, ExactPart, MatchesPart, NumberPart
from perdure.engines.evals.grounding import GroundedPart
from perdure.engines.evals.operations import CheaperPart, FasterPart, RefusesPart
from perdure.engines.evals.overlap import RougeLPart, SetF1Part, TokenF1Part
from perdure.engines.evals.parts import Batched, Part, Sampled, Tools, failed, not_applicable
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.retrieval import ContextPrecisionPart, ContextRecallPart
from perdure.engines.evals.similarity import AnswerRelevancePart, SimilarPart
from perdure.engines.evals.structured import FitsSchemaPart
from perdure.engines.evals.trajectory import ToolCallsPart

Said = Mapping[str, Sequence[Score]]
"""Judge → what it says of each answer, in order."""
_NOBODY: Said = MappingProxyType({})
_ALONE: Mapping[type[Scorer], Callable[[], Part]] = MappingProxyType({
    TokenF1: TokenF1Part, RougeL: RougeLPart, ContextPrecision: ContextPrecisionPart, ContextRecall: ContextRecallPart,
    Refuses: RefusesPart,
})  # fmt: skip
_DECLARED: Mapping[type[Scorer], Callable[[Any], Part]] = MappingProxyType({
    Exact: ExactPart, Contains: ContainsPart, Matches: MatchesPart, Number: NumberPart, SetF1: SetF1Part, ToolCalls: ToolCallsPart,
    Faster: FasterPart, Cheaper: CheaperPart, Custom: CustomPart,
})  # fmt: skip
_ASKING: Mapping[type[Scorer], Callable[[Any, Tools], Part]] = MappingProxyType({
    FitsSchema: FitsSchemaPart, Similar: SimilarPart, AnswerRelevance: AnswerRelevancePart, CodePasses: CodePassesPart,
    Grounded: GroundedPart,
})  # fmt: skip
_SLOW = (Similar, AnswerRelevance, CodePasses, Custom)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """One scorer of a suite, ready to run. Shared between threads."""

    label: str
    """Unique in its suite."""
    kind: str
    """In snake case: `token_f1`."""
    weight: float
    needs: str
    """In words: what a case must hold."""
    version: str
    """Digest of kind, parameters and code: one part of the key under which a score is kept."""
    quick: bool
    """It costs microseconds, and waits for nobody: it may run where answers arrive."""
    judge: str = ""
    """Name of the judge that decides; empty: it is computed here."""
    of: tuple[Compiled, ...] = ()
    """What it puts together."""
    part: Part | None = field(default=None, repr=False)
    together: Together | None = field(default=None, repr=False)

    @property
    def judges(self) -> frozenset[str]:
        """Judges whose word it needs."""
        return frozenset((self.judge,) if self.judge else ()) | frozenset(
            name for each in self.of for name in each.judges
        )

    @property
    def of_samples(self) -> bool:
        """It may look at all answers to a case: give them to `score_samples` together, and key the score by all of them."""
        return isinstance(self.part, GroundedPart) or any(each.of_samples for each in self.of)

    def lacks(self, case: Case) -> str:
        """Why it does not apply to a case, whatever the answer; empty where it may."""
        if self.part is not None:
            return self.part.lacks(case)
        reasons = [each.lacks(case) for each in self.of]
        return reasons[0] if reasons and all(reasons) else ""

    def score(self, case: Case, answer: Answered) -> Score:
        """What one answer is worth; never raises for what it holds. A judge's word is not asked: not applicable.

        Raises:
            UpstreamError, NotReady: an embedder or a process for code could not be had; nothing is known of the answer then.
        """
        if self.part is None:
            return self.score_samples(case, (answer,))[0]
        reason = self.part.lacks(case)
        if reason:
            return not_applicable(reason)
        return failed(f"no answer: {answer.error}") if answer.error else self.part.score(case, answer)

    def score_samples(self, case: Case, answers: Sequence[Answered], said: Said = _NOBODY) -> list[Score]:
        """A score an answer to the same case, in order.

        Args:
            case: which was asked.
            answers: all samples, those that failed among them.
            said: what judges say of each answer; a judge that is not there does not apply.

        Raises:
            UpstreamError, NotReady: as `score`.
        """
        if self.judge:
            given = said.get(self.judge)
            return list(given) if given is not None else [not_applicable(f"{self.judge} was not asked")] * len(answers)
        if self.together is not None:
            rows = [each.score_samples(case, answers, said) for each in self.of]
            return [put_together(self.together, self.of, column) for column in zip(*rows, strict=True)]
        if self.of_samples and not self.lacks(case):
            return list(cast("Sampled", self.part).score_samples(case, answers))
        return self.score_all([(case, each) for each in answers])

    def score_all(self, pairs: Sequence[tuple[Case, Answered]]) -> list[Score]:
        """A score a pair, in order: for scorers that ask an embedder, which is asked once for all of them.

        Raises:
            UpstreamError, NotReady: as `score`.
        """
        if not hasattr(self.part, "score_all"):
            return [self.score(case, answer) for case, answer in pairs]
        asked = [(case, answer) for case, answer in pairs if not answer.error and not self.lacks(case)]
        scores = iter(cast("Batched", self.part).score_all(asked) if asked else ())
        return [
            self.score(case, answer) if answer.error or self.lacks(case) else next(scores) for case, answer in pairs
        ]


def compile_scorers(
    suite: Suite,
    *,
    embed: Embed | None,
    entails: Entails | None,
    run_code: RunCode | None,
    schema: Mapping[str, Any] | None,
) -> list[Compiled]:
    """The suite's scorers in its order.

    Args:
        suite: whose scorers.
        embed: who makes vectors; by name, or "" for WordLlama.
        entails: an installed model of entailment.
        run_code: who runs code; None: `CodePasses` is refused.
        schema: the prompt's `output`, for a `FitsSchema` without one.

    Raises:
        BadSuite: a scorer needs what is not there.

    >>> cases = [Case("a", {"question": "7 + 5?"}, 12)]
    >>> suite = Suite("sums", cases, [Number(), TokenF1(weight=0.5)], route="small")
    >>> scorers = compile_scorers(suite, embed=None, entails=None, run_code=None, schema=None)
    >>> [(each.label, each.score(cases[0], Answered({"content": "It is 12."})).value) for each in scorers]
    [('number', 1.0), ('token_f1', 0.5)]
    """
    tools = Tools(embed, entails, run_code, schema)
    return [_compiled(each, tools) for each in suite.scorers]


def _compiled(declared: Scorer, tools: Tools) -> Compiled:
    kind, label = scorer_name(type(declared)), label_of(declared)
    if isinstance(declared, Judged):
        version = content_hash({"kind": kind, "judge": declared.judge})
        needs = f"what judge {declared.judge!r} reads"
        return Compiled(label, kind, declared.weight, needs, version, quick=False, judge=declared.judge)
    if isinstance(declared, Together):
        return _together(declared, tools)
    part = _part(declared, tools)
    params = {**_params(declared), "code": part.code}
    if isinstance(part, FitsSchemaPart):
        params["schema"] = part.schema
    if isinstance(part, GroundedPart):
        model = declared.entails if isinstance(declared, Grounded) else False
        params["entails"] = part.entails if isinstance(model, bool) else code_digest(type(model))
    if isinstance(declared, Custom):
        params["function"] = code_digest(declared.function)
    version = content_hash({"kind": kind, **params})
    return Compiled(label, kind, declared.weight, part.needs, version, not isinstance(declared, _SLOW), part=part)


def _together(declared: Together, tools: Tools) -> Compiled:
    of = tuple(_compiled(each, tools) for each in declared.of)
    kind, label = scorer_name(type(declared)), label_of(declared)
    told = {"how": declared.how, "at_least": declared.at_least, "of": [[each.version, each.weight] for each in of]}
    return Compiled(
        label,
        kind,
        declared.weight,
        "; ".join(dict.fromkeys(each.needs for each in of)),
        content_hash({"kind": kind, **told}),
        all(each.quick for each in of),
        of=of,
        together=declared,
    )


def _part(declared: Scorer, tools: Tools) -> Part:
    kind = type(declared)
    if kind in _ALONE:
        return _ALONE[kind]()
    if kind in _DECLARED:
        return _DECLARED[kind](declared)
    return _ASKING[kind](declared, tools)


def _params(declared: Scorer) -> dict[str, Any]:
    left_out = {"weight", "label", "function"}
    return {
        each.name: getattr(declared, each.name) for each in dataclasses.fields(declared) if each.name not in left_out
    }
