"""Waits until something below a folder changes: the system tells, through watchfiles.

One watch is kept open between two waits, so that nothing that happens meanwhile is missed. It is a hint: a listing is the truth.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.clock import monotonic_s, sleep_s

if TYPE_CHECKING:
    from watchfiles import Change

_STEP_MS = 200


class Watching:
    """A watch over a folder, begun by the first wait.

    Args:
        folder: with everything below it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._changes: Iterator[set[tuple[Change, str]]] | None = None

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have changed, and at the first wait; False where nothing did. For one thread at a time."""
        until_s = monotonic_s() + seconds
        if not self._folder.is_dir():
            sleep_s(min(seconds, 1.0))
            return True
        if self._changes is None:
            self._changes = self._watch()
            next(self._changes)
            return True
        while not self._stop.is_set():
            if next(self._changes, None):
                return True
            if monotonic_s() >= until_s:
                return False
        return False

    def close(self) -> None:
        """Let the watch go."""
        self._stop.set()

    def _watch(self) -> Iterator[set[tuple[Change, str]]]:
        from watchfiles import watch

        return watch(
            self._folder, watch_filter=None, debounce=50, step=20, stop_event=self._stop, rust_timeout=_STEP_MS,
            yield_on_timeout=True, raise_interrupt=False,
        )  # fmt: skip
