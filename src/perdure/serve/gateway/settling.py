"""Money and limits around one call: what is kept aside before it, and what it turned out to be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from perdure.assets.team import Team
from perdure.core.errors import PerdureError
from perdure.core.usage import Usage
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.prices import largest_cost
from perdure.serve.gateway.allowance import Allowance, Buckets, Reservation
from perdure.serve.gateway.allowance_sizes import USUAL_OUTPUT
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.ongoing import Ongoing
from perdure.stores.ledger.protocols import Key


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
        buckets = self.allowance.plan(ask.team, ask.key, ask.call.route)
        return await self._reserved(ask.call, buckets, (0, 0) if cached or not ask.endpoint.billed else _largest(ask))

    async def count(self, call: Ongoing, team: Team, key: Key) -> None:
        """Take a request for a call that could not be read: it calls nothing, and costs nothing else.

        Raises:
            LimitReached: the caller makes too many.
        """
        call.reservation = await self._reserved(call, self.allowance.plan(team, key, ""), (0, 0))

    async def _reserved(self, call: Ongoing, buckets: Buckets, amounts: tuple[int, int | None]) -> Reservation:
        allowance, (n_tokens, cost) = self.allowance, amounts
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

    async def reserve_again(self, ask: Ask) -> bool:
        """Whether a call may make a further try: as much as its tries were billed until now is kept aside once more.

        So what is kept aside is never less than what the next try may add, and a worker that is killed in the middle of it
        leaves nothing behind that nobody counts.
        """
        held: Reservation | None = ask.call.reservation
        usage, cost = ask.call.total()
        if held is None or not (usage.n_total or cost):
            return True
        more = usage.n_total - sum(each.n_tokens for each in held.further)
        more_cost = (cost or 0) - sum(each.cost_pusd for each in held.further)
        if more <= 0 and more_cost <= 0:
            return True
        buckets = self.allowance.plan(ask.team, ask.key, ask.call.route).amounts()
        try:
            held.further.append(await self._reserved(ask.call, buckets, (max(more, 0), max(more_cost, 0))))
        except PerdureError:
            return False  # the error of the try that failed says more than that there was no room for another
        return True

    def settle(self, call: Ongoing, usage: Usage, cost: int | None) -> None:
        """Count what the call really took, whatever became of it."""
        held: Reservation = call.reservation
        n_tokens, beside = usage.n_total, held.beside
        if beside is not None:
            n_tokens, cost = n_tokens + beside[0], None if cost is None else cost + beside[1]
        for further in held.further:
            part = min(further.n_tokens, n_tokens)
            part_cost = None if cost is None else min(further.cost_pusd, cost)
            self.allowance.settle(further, part, part_cost, call.served_us)
            n_tokens, cost = n_tokens - part, None if cost is None or part_cost is None else cost - part_cost
        self.allowance.settle(held, n_tokens, cost, call.served_us)


def _largest(ask: Ask) -> tuple[int, int | None]:
    """Tokens and picodollars of the dearest target, at what would be sent to it; None: a price is not known."""
    peek, embeds, now_us = ask.peek, ask.endpoint.name == "embeddings", ask.call.served_us
    own = (peek.n_bytes, 0 if embeds else (peek.max_tokens or USUAL_OUTPUT) * peek.n)
    n_tokens, most, known = 0, 0, True
    for target in ask.route.targets:
        n_bytes, n_output = own if target.added is None or embeds else target.added.to(peek)
        n_input = tokens_of_bytes(n_bytes)
        cost = largest_cost(n_input, n_output, target.price_at(now_us))
        n_tokens = max(n_tokens, n_input + n_output)
        known = known and cost is not None
        most = max(most, cost or 0)
    semantic = ask.route.semantic
    if semantic is not None:
        most += semantic.most_pusd
    return n_tokens, most if known else None
