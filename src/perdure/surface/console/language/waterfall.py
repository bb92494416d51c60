"""What took how long, one bar below the other: the steps of a run, the tries of a call. The template draws the bars from these numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perdure.surface.console.language.cells import ms
from perdure.surface.console.records import Cell, Tone

LEAST = 0.4
"""Of 100: what took no time is seen all the same."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that took time."""

    name: Cell | str
    kind: str
    tone: Tone
    state: str
    began_ms: float | None
    """After the begin of the whole; None: not known."""
    took_ms: float
    began: str = ""
    took: str = ""
    left: float = 0.0
    """Where the bar begins, and how wide it is, of 100."""
    width: float = 0.0
    depth: int = 0
    tokens: str = ""
    cost: str = ""
    with_: tuple[Cell | str, ...] = ()
    """What took part, and what is known of it elsewhere."""
    text: str = ""
    """What went wrong, in words."""


def placed(bars: Sequence[Bar], whole_ms: float) -> tuple[Bar, ...]:
    """The bars with their places, as shares of the whole.

    >>> [(each.left, each.width) for each in placed([Bar("a", "", "good", "", 50.0, 25.0)], 100.0)]
    [(50.0, 25.0)]
    """
    length = max([whole_ms, *((each.began_ms or 0.0) + each.took_ms for each in bars)], default=0.0) or 1.0
    return tuple(_placed(each, length) for each in bars)


def _placed(bar: Bar, length: float) -> Bar:
    left = 100.0 * max(0.0, bar.began_ms or 0.0) / length
    width = max(LEAST, 100.0 * bar.took_ms / length)
    left = min(left, 100.0 - LEAST)
    began = "" if bar.began_ms is None else f"+{ms(max(0.0, bar.began_ms))}"
    took = ms(bar.took_ms) if began or bar.took_ms else ""
    return replace(bar, left=round(left, 2), width=round(min(width, 100.0 - left), 2), began=began, took=took)
