"""Until when a command that serves goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable


def until_signalled() -> Callable[[], bool]:
    """Whether somebody has interrupted or ended this process since."""
    caught: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: caught.append(received))
    return lambda: bool(caught)
