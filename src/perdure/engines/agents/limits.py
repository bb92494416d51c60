"""Limits of runs in figures: which one is reached, and what is left for a run below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from perdure.assets.agent import RunLimits
from perdure.core.usage import PICO, picodollars, usd_text

_LEAST = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run has taken, with the runs below it."""

    steps: int = 0
    tokens: int = 0
    pusd: int = 0
    wall_s: float = 0.0


def first_reached(limits: RunLimits, taken: Taken) -> tuple[str, str] | None:
    """Code and words of the first limit that leaves no room for another step; None while there is room for one.

    Steps are counted before they are taken, tokens and money after: a run may end above them by one step.

    >>> first_reached(RunLimits(steps=3), Taken(steps=3))
    ('limit.steps', 'The run took 3 steps of 3.')
    >>> first_reached(RunLimits(usd=0.05), Taken(steps=1, pusd=60_000_000_000))
    ('limit.usd', 'The run cost $0.060000 of $0.050000.')
    >>> first_reached(RunLimits(), Taken(steps=3)) is None
    True
    """
    wall_s = limits.wall.total_seconds()
    most_pusd = picodollars(limits.usd)
    if taken.steps >= limits.steps:
        return "limit.steps", f"The run took {taken.steps} steps of {limits.steps}."
    if taken.tokens >= limits.tokens:
        return "limit.tokens", f"The run took {taken.tokens:,} tokens of {limits.tokens:,}."
    if taken.pusd >= most_pusd:
        return "limit.usd", f"The run cost {usd_text(taken.pusd)} of {usd_text(most_pusd)}."
    if taken.wall_s >= wall_s:
        return "limit.wall", f"The run was driven for {taken.wall_s:.1f} s of {wall_s:g} s."
    return None


def what_is_left(above: RunLimits, taken: Taken, own: RunLimits) -> RunLimits:
    """Limits of a run below: its own, and no more than the one above it has left. How deep runs may go is counted by who begins them.

    >>> what_is_left(RunLimits(steps=10), Taken(steps=7), RunLimits(steps=20)).steps
    3
    """
    return replace(
        own,
        steps=max(1, min(own.steps, above.steps - taken.steps)),
        tokens=max(1, min(own.tokens, above.tokens - taken.tokens)),
        usd=max(1 / PICO, min(own.usd, above.usd - taken.pusd / PICO)),
        wall=max(_LEAST, min(own.wall, above.wall - timedelta(seconds=taken.wall_s))),
    )


def covered_s(spans: Sequence[tuple[int, int]]) -> float:
    """Seconds that at least one of some stretches covers, each (began, took) in microseconds: what ran side by side counts once.

    >>> covered_s([(0, 2_000_000), (1_000_000, 2_000_000), (10_000_000, 500_000)])
    3.5
    """
    total = end = 0
    for began, took in sorted(spans):
        total += max(0, began + took - max(began, end))
        end = max(end, began + took)
    return total / 1e6
