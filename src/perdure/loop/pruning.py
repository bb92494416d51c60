"""Runs that ended long ago leave the store of runs, a few a round: the lake has them.

It is told at the end of a round, when the drain has brought into the lake whatever was acknowledged before. A run that could not be told
for lack of room is no exception: the incident of that loss counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from perdure.core.clock import Clock, MachineClock, to_us
from perdure.core.units import days
from perdure.loop.protocols import Workplace
from perdure.stores.runs.protocols import Runs

_AT_ONCE = 50
"""Runs of one transaction: servers that write meanwhile wait some 25 ms for it."""
_AT_MOST = 10
"""Transactions a round: a round stays short, and the next one goes on."""


class RunPruning:
    """Removes runs that ended longer ago than they are kept.

    Args:
        opened: the store of runs, for a moment; None where no run was ever begun.
        keep: since the end of a run, on the machine's clock.
        clock: the machine's.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Runs] | None],
        keep: timedelta = days(30),
        *,
        clock: Clock | None = None,
    ) -> None:
        self._opened = opened
        self._keep = keep
        self._clock = clock or MachineClock()

    def run(self, place: Workplace, now: datetime) -> None:  # noqa: ARG002 - asked for by the Protocol
        """Remove at most 500 of them. Cost: 0.5 ms a run that is removed, and one look where there is none."""
        store = self._opened()
        if store is None:
            return
        before_us = to_us(self._clock.now() - self._keep)
        with store as runs:
            for _ in range(_AT_MOST):
                if runs.prune(before_us, _AT_ONCE) < _AT_ONCE:
                    return
