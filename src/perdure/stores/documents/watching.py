"""Waits until something below a folder changes: the system tells, through watchfiles.

One watch is kept open between two waits, so that nothing that happens meanwhile is missed. It is a hint: a listing is the truth.
What surprised us: a folder that is replaced by another of its name is watched on without a word, so which folder it is is looked
at again each time; and where a system has no more watches to give, a folder has to be looked at once a second.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.clock import monotonic_s

if TYPE_CHECKING:
    from watchfiles import Change

    Changes = Generator[set[tuple[Change, str]], None, None]

_STEP_MS = 100
_POLL_S = 1.0


class Watching:
    """A watch over a folder, begun by the first wait. Several threads may wait, each for what is new to it.

    Args:
        folder: with everything below it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._pump = threading.Lock()
        self._watched: tuple[int, int] | None = None
        self._changes: Changes | None = None
        self._n_changes = 0
        self._due_s = 0.0
        self._real = ""
        self._told = threading.local()

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have changed, and at a thread's first wait; False where nothing did."""
        until_s = monotonic_s() + seconds
        while not self._stop.is_set():
            if self._pump.acquire(timeout=max(0.0, min(until_s - monotonic_s(), _STEP_MS / 1000))):
                try:
                    self._look(until_s)
                finally:
                    self._pump.release()
            if getattr(self._told, "n", -1) != self._n_changes:
                self._told.n = self._n_changes
                return True
            if monotonic_s() >= until_s:
                return False
        return False

    def close(self) -> None:
        """Let the watch go; who waits is told that nothing changed."""
        self._stop.set()
        with self._pump:
            self._end()

    def _look(self, until_s: float) -> None:
        """Count what changed, waiting a moment for it."""
        if self._stop.is_set():
            return
        present = _identity(self._folder)
        if present != self._watched:
            self._end()
            self._begin(present)
            self._n_changes += 1
        if self._changes is not None:
            try:
                changes = next(self._changes, None)
                if changes is None:  # it ended, as by a signal: another one is begun
                    self._end()
                else:
                    self._n_changes += any(map(self._visible, changes))
            except (OSError, RuntimeError):  # no watch is to be had
                self._changes = None
        else:
            self._poll(until_s, there=present is not None)

    def _poll(self, until_s: float, *, there: bool) -> None:
        """A folder that cannot be watched may have changed once a second; one that is not there has not."""
        now_s = monotonic_s()
        self._stop.wait(max(0.0, min(until_s, max(self._due_s, now_s + _STEP_MS / 1000)) - now_s))
        if there and monotonic_s() >= self._due_s:
            self._due_s = monotonic_s() + _POLL_S
            self._n_changes += 1

    def _visible(self, change: tuple[Change, str]) -> bool:
        """What is hidden is no document: a store that lies in the folder itself would wake who writes it."""
        return "/." not in change[1].removeprefix(self._real)

    def _begin(self, present: tuple[int, int] | None) -> None:
        from watchfiles import watch

        self._watched = present
        if present is not None:
            self._real = os.path.realpath(self._folder)
            self._changes = watch(
                self._real, watch_filter=None, debounce=50, step=20, stop_event=self._stop, rust_timeout=_STEP_MS,
                yield_on_timeout=True, raise_interrupt=True, ignore_permission_denied=True,
            )  # fmt: skip

    def _end(self) -> None:
        if self._changes is not None:
            self._changes.close()
            self._changes = None
        self._watched = None


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder it is; None: it is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
