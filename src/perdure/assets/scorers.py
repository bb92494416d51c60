"""Scorers of answers, declared in suites: what is compared with what. `engines.evals` computes them.

    Suite("refunds", "suites/refunds.yaml", [Exact(), TokenF1(weight=0.5), Judged("helpfulness")])

A scorer gives 0 to 1 (1 is good), or that it does not apply to a case; never 0 for what it cannot say. `needs` tells what a
case must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Match = Literal["exact", "in_order", "any_order", "subset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """What all scorers have.

    Args:
        weight: in the suite's score, which is the weighted mean of all that apply; 0: shown, not counted.
        label: by what it goes in reports, where two of one kind are declared; empty: its kind.
    """

    weight: float = 1.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Exact(Scorer):
    """The answer is `expected`, after Unicode's NFKC and without spaces around it."""

    fold_case: bool = False


@dataclass(frozen=True, slots=True)
class Contains(Scorer):
    """The expected text stands in the answer as whole words; of a list one of them, or with `every` all of them."""

    fold_case: bool = True
    every: bool = False


@dataclass(frozen=True, slots=True)
class Matches(Scorer):
    """A regular expression is found in the answer; linear time, so that no pattern can hang a run."""

    pattern: str
    whole: bool = False
    """It must match the whole answer."""


@dataclass(frozen=True, slots=True)
class FitsSchema(Scorer):
    """The answer is JSON that fits a JSON schema; without one, the prompt's `output`."""

    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Number(Scorer):
    """The number in the answer is near the expected one: |answer - expected| <= absolute + relative * |expected|."""

    absolute: float = 0.0
    relative: float = 1e-6
    which: Literal["last", "first", "only"] = "last"


@dataclass(frozen=True, slots=True)
class SetF1(Scorer):
    """F1 of items: of a JSON list in the answer, or what stands between separators, against the expected list."""

    separator: str = ","


@dataclass(frozen=True, slots=True)
class TokenF1(Scorer):
    """F1 of words against `expected`, as SQuAD's, but for any script."""


@dataclass(frozen=True, slots=True)
class RougeL(Scorer):
    """F1 of the longest common subsequence of words."""


@dataclass(frozen=True, slots=True)
class Similar(Scorer):
    """Cosine of the answer's and the expected text's vectors, from `floor` (0) to 1.

    Args:
        embedder: `upstream/model` of an embedding endpoint; empty: WordLlama (extra `similarity`).
        floor: cosine that counts nothing.
    """

    embedder: str = ""
    floor: float = 0.0


@dataclass(frozen=True, slots=True)
class AnswerRelevance(Scorer):
    """The answer is about the question: nearest sentence by vectors; a refusal is 0."""

    embedder: str = ""


@dataclass(frozen=True, slots=True)
class ContextPrecision(Scorer):
    """What was retrieved and is relevant stands first: average precision over the contexts' ids, or over claims."""


@dataclass(frozen=True, slots=True)
class ContextRecall(Scorer):
    """Share of the expected answer's claims that the contexts support, or of the relevant ids that were retrieved."""


@dataclass(frozen=True, slots=True)
class CodePasses(Scorer):
    """The code in the answer passes the case's checks in a subprocess with limits. No security boundary: opt in per suite."""

    seconds: float = 5.0
    megabytes: int = 256


@dataclass(frozen=True, slots=True)
class ToolCalls(Scorer):
    """The expected tools were called with the expected arguments."""

    match: Match = "in_order"
    arguments: bool = True


@dataclass(frozen=True, slots=True)
class Faster(Scorer):
    """The answer took at most so many milliseconds."""

    ms: float


@dataclass(frozen=True, slots=True)
class Cheaper(Scorer):
    """The answer cost at most so many US dollars; an unknown price does not apply."""

    usd: float


@dataclass(frozen=True, slots=True)
class Refuses(Scorer):
    """The model refuses where the case says so (`expected: {refuses: true}`), and nowhere else."""


@dataclass(frozen=True, slots=True)
class Grounded(Scorer):
    """Share of the answer's claims that its contexts support; unsupported spans are located. No model is asked.

    Without contexts: self-consistency, the share of the other samples that support each claim.

    Args:
        entails: a model of entailment of the project, an object with the one method of `core.ports.Entails`: it decides in place of
            words; numbers must stand in the contexts even so. True: the one that whoever compiles the scorer gives.
    """

    entails: Any = False


@dataclass(frozen=True, slots=True)
class Judged(Scorer):
    """What a judge says; its figures are corrected by people's labels, and refused where it carries no information."""

    judge: str
    """Name of a declared `Judge`."""


@dataclass(frozen=True, slots=True)
class Custom(Scorer):
    """A function of the project: `(case, answer) -> float | bool | Score`."""

    function: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Together(Scorer):
    """Several as one: their weighted mean, the least of them, or whether all reach `at_least`."""

    of: Sequence[Scorer]
    how: Literal["mean", "least", "all"] = "mean"
    at_least: float = 1.0


SCORERS: tuple[type[Scorer], ...] = (
    Exact, Contains, Matches, FitsSchema, Number, SetF1, TokenF1, RougeL, Similar, AnswerRelevance, ContextPrecision, ContextRecall,
    CodePasses, ToolCalls, Faster, Cheaper, Refuses, Grounded, Judged, Custom, Together,
)  # fmt: skip
"""All kinds, which suites in files name in snake case: `token_f1`."""
