"""What each scorer is made of: whether a case holds what it needs, and what an answer to it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from perdure.assets.suite import Case
from perdure.core.ports import Answered, Embed, Entails, RunCode
from perdure.engines.evals.protocols import Score


class Part(Protocol):
    """A scorer without its label and weight."""

    needs: str
    """In words: what a case must hold."""
    code: int
    """Raised when the same answer would be scored otherwise than before: scores kept under the old number are made anew."""

    def lacks(self, case: Case, /) -> str:
        """Why it does not apply to a case, in words; empty where it does."""
        ...

    def score(self, case: Case, answer: Answered, /) -> Score:
        """What an answer is worth to a case that it applies to; never raises for what the answer holds."""
        ...


class Batched(Protocol):
    """A part that looks at many answers at once for less, such as by one call of an embedder."""

    def score_all(self, pairs: Sequence[tuple[Case, Answered]], /) -> Sequence[Score]:
        """A score a pair, in order."""
        ...


class Sampled(Protocol):
    """A part that looks at the other answers to the same case."""

    def score_samples(self, case: Case, answers: Sequence[Answered], /) -> Sequence[Score]:
        """A score an answer, in order; answers that failed are among them."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What scorers ask of the outside."""

    embed: Embed | None = None
    entails: Entails | None = None
    run_code: RunCode | None = None
    schema: Mapping[str, Any] | None = None
    """The prompt's `output`."""


def not_applicable(why: str) -> Score:
    """The scorer says nothing of this answer."""
    return Score(None, "not_applicable", why)


def failed(why: str) -> Score:
    """The answer is no answer."""
    return Score(0.0, "failed", why)
