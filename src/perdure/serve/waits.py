"""`Waits`: many waits of the same length on one timer, since a timer each costs more than what is timed.

For what almost always is over long before: a client that hangs up, a body that drips. Used on one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Waiting(Protocol):
    """Something that should be over in time."""

    began_s: float
    """On the loop's clock; set by `Waits.add`."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for any more."""
        ...

    def late(self) -> None:
        """It is not over, and its time is."""
        ...


class Waits:
    """Says `late` of each that is not over `after_s` after it was added. Cost: 0.5 µs each.

    Args:
        after_s: how long each may take.
    """

    __slots__ = ("_loop", "_sleeps", "_young", "after_s")

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._young: deque[Waiting] = deque()
        self._sleeps = True

    def add(self, waiting: Waiting) -> asyncio.AbstractEventLoop:
        """Time one from now on; returns the running loop."""
        loop, young = self._loop, self._young
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        while young and young[0].is_over:
            young.popleft()
        waiting.began_s = loop.time()
        young.append(waiting)
        if self._sleeps:
            self._sleeps = False
            loop.call_later(self.after_s, self._look)
        return loop

    def _look(self) -> None:
        young, loop = self._young, self._loop
        assert loop is not None, "nothing is looked at before something was added"
        now_s = loop.time()
        while young and (young[0].is_over or young[0].began_s + self.after_s <= now_s):
            first = young.popleft()
            if not first.is_over:
                first.late()
        if young:
            loop.call_at(young[0].began_s + self.after_s, self._look)
        else:
            self._sleeps = True
