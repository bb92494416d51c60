"""The system prompt does not come out: a canary in it, or so many of its own words in a row.

The check is bound to a conversation: it knows that conversation's system prompt, and no other. Whoever writes the prompt puts
a canary into it with `canary()`; `find_canaries` finds them by their shape.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perdure.engines.guards.checks import Json, PointingCheck
from perdure.engines.guards.conversation import said
from perdure.engines.guards.folding import unveiled
from perdure.engines.guards.stretches import Finder, Gate, Hit, Pattern

_CANARY = re.compile(r"canary-[0-9a-f]{16}")
_WORD = re.compile(r"\w{1,64}")
_BETWEEN = 8  # characters that may stand between two words beyond one
_LONGEST = 4_096


def canary() -> str:
    """A fresh canary for a system prompt: unguessable, and worth nothing to anybody else."""
    return f"canary-{secrets.token_hex(8)}"


def find_canaries(text: str) -> list[str]:
    """The canaries in a text.

    >>> find_canaries("Be kind. canary-0123456789abcdef")
    ['canary-0123456789abcdef']
    """
    return _CANARY.findall(text)


@dataclass(frozen=True, slots=True)
class Recited:
    """Finds so many words of a prompt in a row, whatever stands between them and whatever their case."""

    runs: frozenset[tuple[str, ...]]
    n_words: int
    longest: int
    back: int = 0
    tail: None = None
    gate: Gate | None = None

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """A hit for each run; those of a longer recital overlap, and are one when they are masked."""
        words = [(match[0].lower(), match.start(), match.end()) for match in _WORD.finditer(text, start)]
        spoken = tuple(word for word, _, _ in words)
        # A first word that `start` cut in two is another word than it was.
        first = 1 if words and words[0][1] == start and start and text[start - 1].isalnum() else 0
        for index in range(first, len(words) - self.n_words + 1):
            if spoken[index : index + self.n_words] in self.runs:
                begin, end = words[index][1], words[index + self.n_words - 1][2]
                if end - begin <= self.longest:
                    yield Hit(begin, end, "system_prompt", begin, begin + 1)


@dataclass(frozen=True, slots=True)
class CanaryCheck:
    """Judges whether an answer gives its system prompt away.

    Args:
        n_words: so many words in a row are a leak.
    """

    n_words: int = 12
    name: str = "canary_leak"

    def bound(self, messages: Sequence[Json]) -> PointingCheck:
        """The check for answers to a conversation; one that finds nothing where there is no system prompt."""
        prompts = [unveiled(each.text).text for each in said(messages) if each.role in ("system", "developer")]
        finders: list[Finder] = []
        marks = sorted({mark for prompt in prompts for mark in find_canaries(prompt)})
        if marks:
            finders.append(Pattern("canary", re.compile("|".join(marks)), 24, tuple(marks)))
        runs, longest = self._runs(prompts)
        if runs:
            finders.append(Recited(runs, self.n_words, longest))
        return PointingCheck(self.name, tuple(finders))

    def _runs(self, prompts: Sequence[str]) -> tuple[frozenset[tuple[str, ...]], int]:
        runs: set[tuple[str, ...]] = set()
        longest = 0
        for prompt in prompts:
            words = [word.lower() for word in _WORD.findall(prompt)]
            for index in range(len(words) - self.n_words + 1):
                run = tuple(words[index : index + self.n_words])
                runs.add(run)
                longest = max(longest, sum(map(len, run)) + self.n_words * _BETWEEN)
        return frozenset(runs), min(longest, _LONGEST)
