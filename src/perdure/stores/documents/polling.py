"""Waits for sources that cannot be watched: their state is looked at again and again, or they may have changed once in a while."""

from __future__ import annotations

import threading
from collections.abc import Callable

from perdure.core.clock import monotonic_s

_BUSY_RATIO = 0.05
"""Of the time at most that looking may take: a source whose listing takes 2 s is looked at each 40 s."""


class Polled:
    """Looks at a state. Several threads may wait, each for what is new to it; the first wait of each is over at once.

    Args:
        every_s: from one look to the next.
        state: anything that is another after a change. None of a state is one too.
    """

    def __init__(self, every_s: float, state: Callable[[], object]) -> None:
        self._every_s = every_s
        self._state = state
        self._stop = threading.Event()
        self._seen = threading.local()

    def wait(self, seconds: float) -> bool:
        """True as soon as the state is another than this thread last waited for."""
        until_s = monotonic_s() + seconds
        while not self._stop.is_set():
            state = self._state()
            if not hasattr(self._seen, "state") or self._seen.state != state:
                self._seen.state = state
                return True
            left_s = until_s - monotonic_s()
            if left_s <= 0:
                return False
            self._stop.wait(min(left_s, self._every_s))
        return False

    def close(self) -> None:
        """Whoever waits is told that nothing changed."""
        self._stop.set()


class Due:
    """Says once in a while that a source may have changed: of one that nothing is known of without listing it whole.

    Args:
        every_s: shortest time from one listing to the next.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._took_s = 0.0
        self._stop = threading.Event()
        self._told = threading.local()

    def took(self, seconds: float) -> None:
        """A listing took so long."""
        self._took_s = seconds

    def wait(self, seconds: float) -> bool:
        """True where it is time to list again."""
        now_s = monotonic_s()
        due_s = getattr(self._told, "at_s", float("-inf")) + max(self._every_s, self._took_s / _BUSY_RATIO)
        self._stop.wait(max(0.0, min(seconds, due_s - now_s)))
        if self._stop.is_set() or monotonic_s() < due_s:
            return False
        self._told.at_s = monotonic_s()
        return True

    def close(self) -> None:
        """Whoever waits is told that nothing changed."""
        self._stop.set()
