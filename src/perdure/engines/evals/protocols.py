"""What a scorer is: one method. What it says of one answer: a number, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from perdure.assets.suite import Case
from perdure.core.ports import Answered

Outcome = Literal["scored", "not_applicable", "failed"]
"""`failed`: the answer is no answer (an error, no JSON where JSON is scored, a judge that obeyed the judged text)."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer says of one answer."""

    value: float | None
    """0 to 1, 1 is good; None where it does not apply. A failed answer scores 0, and says `failed`."""
    outcome: Outcome = "scored"
    why: str = ""
    """For people: what was missing, which part was not supported."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON-compatible, such as the spans of unsupported claims: `{"spans": [[start, end, text], …]}`."""


class Scorer(Protocol):
    """Scores one answer to one case. Deterministic, and quick unless it says so; judges are asked by whoever runs a suite."""

    def score(self, case: Case, answer: Answered, /) -> Score:
        """What the answer is worth; never raises for what an answer holds."""
        ...


class OfSamples(Protocol):
    """A scorer that needs the other answers to the same case too, such as self-consistency."""

    def score_samples(self, case: Case, answers: Sequence[Answered], /) -> Sequence[Score]:
        """One score an answer, in order."""
        ...
