"""The three shapes of a check: it points at stretches, it scores a text, or it judges a whole answer.

`compiling` makes them, `guarding` and `streaming` ask them. None keeps state; each may be shared between threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from perdure.engines.guards.stretches import Finder, Gate, Hit, grouped

Json = dict[str, Any]
READ, TOLD, LITERAL = 0, 1, 2
"""What a string of a request is: a model reads it; it is words, but nobody's to read; it is an id, a name or another literal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    kind: str
    score: float = 1.0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """JSON-compatible, and never the text itself."""


class Clean:
    """Texts in which nothing was found, so that none is looked through twice.

    A system prompt comes with every call and what was said before with every turn; what a guard let pass is looked through
    again before it is recorded. Two generations, so that what still comes stays: of some 400,000 characters each.
    """

    __slots__ = ("_n_chars", "_new", "_old")

    def __init__(self) -> None:
        self._new: set[str] = set()
        self._old: set[str] = set()
        self._n_chars = 0

    def __contains__(self, text: str) -> bool:
        """Whether nothing was found in it."""
        if text in self._new:
            return True
        if text not in self._old:
            return False
        self.add(text)
        return True

    def add(self, text: str) -> None:
        """Nothing was found in it."""
        self._n_chars += len(text) + _OWN_CHARS
        if self._n_chars > _MOST_CHARS:
            self._old, self._new, self._n_chars = self._new, set(), len(text) + _OWN_CHARS
        self._new.add(text)


_MOST_CHARS = 400_000
_OWN_CHARS = 100  # what a text takes beside its characters


@lru_cache(maxsize=32)
def clean_of(finders: tuple[Finder, ...]) -> Clean:  # noqa: ARG001 - the key of what is made once
    """The clean texts of some finders: one for all checks that look for the same, in whatever guard they are."""
    return Clean()


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
        clean: texts that hold nothing; None where they are not remembered.
        reach: which strings of a request it is asked about: up to this level.
    """

    name: str
    finders: tuple[Finder, ...]
    may_hold: Callable[[str], bool] | None = None
    restores: bool = False
    threshold: float = 0.0
    slow: bool = False
    clean: Clean | None = None
    reach: int = READ
    groups: tuple[tuple[Gate | None, tuple[Finder, ...]], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", grouped(self.finders))

    def first(self, text: str) -> Hit | None:
        """The first hit that counts, in an unveiled text."""
        clean = self.clean
        if clean is not None and text in clean:
            return None
        total = 0.0
        for hit in self._found(text):
            total += hit.weight
            if total >= self.threshold:
                return hit
        if clean is not None and not total:  # every hit weighs something
            clean.add(text)
        return None

    def hits(self, text: str) -> list[Hit]:
        """Every hit that counts, in an unveiled text."""
        clean = self.clean
        if clean is not None and text in clean:
            return []
        total, found = 0.0, []
        for hit in self._found(text):
            total += hit.weight
            if total >= self.threshold:
                found.append(hit)
        if clean is not None and not total:
            clean.add(text)
        return found

    def _found(self, text: str) -> Iterator[Hit]:
        if self.may_hold is not None and not self.may_hold(text):
            return
        for gate, finders in self.groups:
            if gate is None or gate(text):
                for finder in finders:
                    yield from finder.find(text)


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
    reach: int = READ
    clean: Clean = field(default_factory=Clean)

    def judge(self, text: str) -> Finding | None:
        """A finding where the score reaches the threshold."""
        if text in self.clean:
            return None
        score, kind = self.score(text)
        if score >= self.threshold:
            return Finding(kind or self.name, min(score, 1.0))
        self.clean.add(text)
        return None


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
