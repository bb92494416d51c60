"""Searches count in the limits of a team and of its keys: requests, and searches under way beside calls. They take no tokens and no money.

The counters are those of the gateway; a project that declares teams and indexes and no route has its own, see `lending`. A search that
an answer is made from is not counted: the call of the model is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from perdure.serve.gateway.allowance import Allowance, Buckets, Reservation
from perdure.serve.retrieval.callers import PREFIX, Caller


@dataclass(frozen=True, slots=True)
class Limiting:
    """Counts searches.

    Args:
        allowance: of this process; None: nothing is limited.
        noted: told the domain time of each search.
    """

    allowance: Allowance | None
    noted: Callable[[int], None] | None = None

    @asynccontextmanager
    async def counted(self, caller: Caller, index: str, now_us: int) -> AsyncIterator[None]:
        """A search of a caller, from its begin to its end, whatever becomes of it.

        Raises:
            LimitReached: the caller or his team makes too many; `delay_s` says when there is room.
            NotReady: the store of the counters is away, and what was leased before is used up.
        """
        if self.allowance is None or caller.team is None or caller.record is None:
            yield
            return
        if self.noted is not None:
            self.noted(now_us)
        buckets = self.allowance.plan(caller.team, caller.record, PREFIX + index)
        held = await self._reserved(self.allowance, buckets, now_us)
        try:
            yield
        finally:
            self.allowance.settle(held, 0, 0, now_us)

    async def _reserved(self, allowance: Allowance, buckets: Buckets, now_us: int) -> Reservation:
        found = allowance.try_reserve(buckets, now_us, 0, 0)
        if found is not None:
            return found
        asked = asyncio.get_running_loop().run_in_executor(None, allowance.reserve, buckets, now_us, 0, 0)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            # What the thread still gets belongs to nobody: it is given back.
            asked.add_done_callback(lambda done: _give_back(allowance, done, now_us))
            raise


def _give_back(allowance: Allowance, done: asyncio.Future[Reservation], now_us: int) -> None:
    if not done.cancelled() and done.exception() is None:
        allowance.settle(done.result(), 0, 0, now_us)
