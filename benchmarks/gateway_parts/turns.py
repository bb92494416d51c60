"""Servers measured in turns: one short run of each kind for each server, round after round, medians in the end."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway_parts.load import Load, Measured, measure
from gateway_parts.serving import Serving

KINDS = {
    "1 connection": Load(2_500, 1),
    "32 connections": Load(4_000, 32),
    "24-chunk stream, 1 connection": Load(1_200, 1, stream=True),
    "24-chunk stream, 32 connections": Load(1_600, 32, stream=True),
}
_ROUNDS = 5
_SLOWER = 12
"""A peer of milliseconds a request is asked so many times less."""


@dataclass
class Figures:
    """All runs, by server and kind."""

    runs: dict[tuple[str, str], list[Measured]] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    def median(self, serving: Serving, kind: str, what: str) -> float:
        """Of a figure over the rounds."""
        return statistics.median(getattr(each, what) for each in self.runs[serving.name, kind])

    def ratio(self, serving: Serving, other: Serving, kind: str, what: str) -> float:
        """Median over the rounds of how many times the other's figure this one's is: noise of a round hits both."""
        pairs = zip(self.runs[serving.name, kind], self.runs[other.name, kind], strict=True)
        return statistics.median(getattr(mine, what) / getattr(theirs, what) for mine, theirs in pairs)

    def has(self, serving: Serving, kind: str) -> bool:
        """Whether it was measured."""
        return (serving.name, kind) in self.runs

    def n_asked(self, serving: Serving) -> int:
        """Requests that it was sent in turns."""
        return self.asked.get(serving.name, 0)

    def answers(self) -> dict[bool, set[str]]:
        """What all said: whole, streamed."""
        found: dict[bool, set[str]] = {False: set(), True: set()}
        for (_, kind), runs in self.runs.items():
            for each in runs:
                found["stream" in kind] |= each.answers
        return found


def take_turns(
    servings: Sequence[Serving], *, quick: bool, kinds: dict[str, Load] = KINDS, rounds: int = _ROUNDS
) -> Figures:
    """Measure each in turns, after a warm-up; memory is read after all its runs."""
    figures = Figures()
    for turn in range(2 if quick else rounds + 1):
        for kind, load in kinds.items():
            for serving in servings:
                if load.stream and not serving.streams:
                    continue
                warm = turn == 0
                n = load.n // (_SLOWER if serving.slow else 1) // (10 if quick else 3 if warm else 1)
                run = Load(max(n, 2 * load.n_connections), load.n_connections, load.stream, load.padding)
                measured = measure(serving.where, run, serving.pids)
                figures.asked[serving.name] = figures.n_asked(serving) + run.n
                if not warm:
                    figures.runs.setdefault((serving.name, kind), []).append(measured)
    for serving in servings:
        figures.rss_mb[serving.name] = serving.rss_mb()
    return figures
