"""Money and limits around one call: what is kept aside before it, and what it turned out to be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.prices import largest_cost
from perdure.serve.gateway.allowance import Allowance, Reservation
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.ongoing import Ongoing

_USUAL_OUTPUT = 1024
"""Output tokens kept aside for a call that sets no limit of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Settling:
    """Reserves and settles by the allowance of this process."""

    allowance: Allowance

    async def reserve(self, ask: Ask, *, cached: bool = False) -> Reservation:
        """Keep aside what the call may take: the dearest of its route's targets counts. A cached answer takes a request only.

        Where the store of the counters has to be asked, a thread does, so that no other call waits; one of the loop's own:
        behind slow guards of other calls it would wait for them.

        Raises:
            LimitReached, BudgetSpent, Refused: see `Allowance.reserve`.
        """
        call, allowance = ask.call, self.allowance
        buckets = allowance.plan(ask.team, ask.key, call.route)
        n_tokens, cost = (0, 0) if cached or not ask.endpoint.billed else _largest(ask)
        found = allowance.try_reserve(buckets, call.served_us, n_tokens, cost)
        if found is not None:
            return found
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(None, allowance.reserve, buckets, call.served_us, n_tokens, cost)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            # What the thread still gets belongs to nobody: it is given back.
            asked.add_done_callback(lambda done: self._give_back(done, call.served_us))
            raise

    def _give_back(self, done: asyncio.Future[Reservation], now_us: int) -> None:
        if not done.cancelled() and done.exception() is None:
            self.allowance.settle(done.result(), 0, 0, now_us)

    def settle(self, call: Ongoing) -> None:
        """Count what the call really took, whatever became of it."""
        usage, cost = call.total()
        self.allowance.settle(call.reservation, usage.n_total, cost, call.served_us)


def _largest(ask: Ask) -> tuple[int, int | None]:
    n_input = tokens_of_bytes(ask.peek.n_bytes)
    n_output = 0 if ask.endpoint.name == "embeddings" else (ask.peek.max_tokens or _USUAL_OUTPUT) * ask.peek.n
    costs = [largest_cost(n_input, n_output, target.price_at(ask.call.served_us)) for target in ask.route.targets]
    known = [cost for cost in costs if cost is not None]
    return n_input + n_output, max(known) if len(known) == len(costs) else None
