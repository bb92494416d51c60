"""The three shapes of a check: it points at stretches, it scores a text, or it judges a whole answer.

`compiling` makes them, `guarding` and `streaming` ask them. None keeps state; each may be shared between threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from perdure.engines.guards.stretches import Finder, Gate, Hit, grouped

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    kind: str
    score: float = 1.0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """JSON-compatible, and never the text itself."""


@dataclass(frozen=True, slots=True, eq=False)
class PointingCheck:
    """A check that points at stretches, which can be masked.

    Args:
        name: of the check.
        finders: what it looks for.
        may_hold: the scan before the scans: false where nothing can be found.
        restores: whether masks may be put back into an answer.
        threshold: hits count from where their weights have summed up to it.
        slow: whether it takes more than a millisecond a text.
    """

    name: str
    finders: tuple[Finder, ...]
    may_hold: Callable[[str], bool] | None = None
    restores: bool = False
    threshold: float = 0.0
    slow: bool = False
    groups: tuple[tuple[Gate | None, tuple[Finder, ...]], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", grouped(self.finders))

    def first(self, text: str) -> Hit | None:
        """The first hit that counts, in an unveiled text."""
        if self.may_hold is not None and not self.may_hold(text):
            return None
        total = 0.0
        for gate, finders in self.groups:
            if gate is not None and not gate(text):
                continue
            for finder in finders:
                for hit in finder.find(text):
                    total += hit.weight
                    if total >= self.threshold:
                        return hit
        return None

    def hits(self, text: str) -> list[Hit]:
        """Every hit that counts, in an unveiled text."""
        if self.may_hold is not None and not self.may_hold(text):
            return []
        total, found = 0.0, []
        for gate, finders in self.groups:
            if gate is not None and not gate(text):
                continue
            for finder in finders:
                for hit in finder.find(text):
                    total += hit.weight
                    if total >= self.threshold:
                        found.append(hit)
        return found


class Scorer(Protocol):
    """Says how much a text looks like what is to be caught, and like which family of it."""

    def __call__(self, text: str) -> tuple[float, str]:
        """(0 to 1, family or empty)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ScoringCheck:
    """A check that scores a text as a whole. What the operator wrote himself (`system`, `developer`) is not judged."""

    name: str
    score: Scorer
    threshold: float
    slow: bool = False

    def judge(self, text: str) -> Finding | None:
        """A finding where the score reaches the threshold."""
        score, kind = self.score(text)
        return Finding(kind or self.name, min(score, 1.0)) if score >= self.threshold else None


class AnswerCheck(Protocol):
    """A check that judges a whole answer to a conversation; nothing of it can be masked."""

    @property
    def name(self) -> str:
        """Such as `fits_schema`."""
        ...

    def judge(self, answers: Sequence[Json], messages: Sequence[Json]) -> Finding | None:
        """Of the messages of an answer, one a choice."""
        ...


class Bound(Protocol):
    """A check that is made anew for each conversation, from what stands in it; it looks at answers only."""

    @property
    def name(self) -> str:
        """Such as `canary_leak`."""
        ...

    def bound(self, messages: Sequence[Json]) -> PointingCheck:
        """The check for answers to this conversation."""
        ...


TextCheck = PointingCheck | ScoringCheck
