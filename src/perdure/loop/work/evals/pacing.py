"""How fast a run asks and what it may spend: one pace and one purse for all its questions, those to judges too.

The pace is that of TCP: a question more at a time for each round that went well, and a third less at once where somebody says that
it is too much, with the wait that was asked for. Money is claimed before a question, from the highest price that it can have, and
settled by what it cost: so a run never spends more than it may, however many questions are under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from perdure.core.clock import monotonic_s
from perdure.core.ports import Answered, Answerer, Asked

_LESS = 0.67
_MOST_TRIES = 8
_LONGEST_WAIT_S = 120.0
"""A longer wait that was asked for ends the run: it goes on when it is resumed."""
_POLL_S = 0.02
_BUSY = frozenset({"limit_reached", "upstream.busy", "not_ready", "http.429", "http.503", "http.529"})
_SPENT = frozenset({"budget_spent", "insufficient_quota"})
_FAILING = ("upstream", "http.5", "not_ready", "limit_reached", "store")
_MOST_FAILED = 25
"""So many failed answers in a row say that nobody is there; ours, without a source."""
NO_MONEY = "budget"
"""The error of a question that was not asked, because there is no money for it."""
OUT_OF_MONEY = "the budget of the run is spent"
"""Why a purse's end stops everything."""

PriceOf = Callable[[Asked], int | None]


@dataclass(slots=True)
class Purse:
    """What a run may spend, and did; picodollars.

    Args:
        limit: None: without a limit of its own.
        spent: by earlier parts of the run.
    """

    limit: int | None = None
    spent: int = 0
    claimed: int = 0

    def claim(self, most: int) -> bool:
        """Keep aside the most that a question can cost; False where that is more than what is left."""
        if self.limit is not None and self.spent + self.claimed + most > self.limit:
            return False
        self.claimed += most
        return True

    def settle(self, most: int, cost: int | None) -> None:
        """What it cost, in the place of what was claimed; where that is not known, all that was claimed."""
        self.claimed -= most
        self.spent += most if cost is None else cost


@dataclass(slots=True, eq=False)
class Paced:
    """The port `Answerer` at the pace that the other side takes, within the purse; for one event loop.

    Args:
        answerer: who answers.
        most: questions under way at a time.
        purse: what may be spent.
        price_of: the most that a question can cost; asked only where the purse has a limit.
    """

    answerer: Answerer
    most: int
    purse: Purse
    price_of: PriceOf
    stopped: str = ""
    """Why nothing is asked any more, in words; empty while it goes on."""
    n_asked: int = 0
    _limit: float = field(init=False)
    _under_way: int = 0
    _until_s: float = 0.0
    _n_failed: int = 0

    def __post_init__(self) -> None:
        self._limit = float(self.most)

    async def ask(self, asked: Asked) -> Answered:
        """The answer, asked again where it was too much at once. Where there is no money left it says so in `error`."""
        purse = self.purse
        if purse.limit is not None or self._under_way >= self._limit or self._until_s or self.stopped:
            return await self._in_turn(asked)
        # The usual case, with nothing to wait for and nothing to claim.
        self._under_way += 1
        self.n_asked += 1
        try:
            found = await self.answerer.ask(asked)
        finally:
            self._under_way -= 1
        if not found.error:
            self._n_failed = 0
            if self._limit < self.most:
                self._quicken()
        elif self._tries_again(found):
            found = await self._answered(asked)
        purse.spent += found.cost_pusd or 0
        return found

    async def _in_turn(self, asked: Asked) -> Answered:
        most = 0
        if self.purse.limit is not None:
            most = self.price_of(asked) or 0
            if not await self._claimed(most):
                return Answered({}, error=NO_MONEY)
        cost: int | None = 0
        try:
            found = await self._answered(asked)
            cost = found.cost_pusd
            return found
        finally:
            self.purse.settle(most, cost)

    def _quicken(self) -> None:
        self._limit = min(float(self.most), self._limit + 1.0 / self._limit)

    async def close(self) -> None:
        """Let the answerer's connections go."""
        await self.answerer.close()

    async def _claimed(self, most: int) -> bool:
        """Money for a question; waits while others may give some back."""
        while not self.purse.claim(most):
            if not self.purse.claimed or self.stopped:
                self.stopped = self.stopped or OUT_OF_MONEY
                return False
            await asyncio.sleep(_POLL_S)
        return True

    async def _answered(self, asked: Asked) -> Answered:
        found = Answered({}, error="cancelled")
        for _ in range(_MOST_TRIES):
            if self._under_way >= self._limit or self._until_s:
                await self._turn()
            if self.stopped:
                return found
            self._under_way += 1
            self.n_asked += 1
            try:
                found = await self.answerer.ask(asked)
            finally:
                self._under_way -= 1
            if not found.error:
                self._n_failed = 0
                self._quicken()
                return found
            if not self._tries_again(found):
                return found
        return found

    async def _turn(self) -> None:
        while not self.stopped:
            wait_s = self._until_s - monotonic_s()
            if wait_s <= 0.0:
                self._until_s = 0.0
                if self._under_way < self._limit:
                    return
            await asyncio.sleep(max(_POLL_S, min(wait_s, 1.0)))

    def _tries_again(self, found: Answered) -> bool:
        """Note a failure; whether the question is worth another try."""
        if found.error in _SPENT:
            self.stopped = "the budget of the team that asks is spent"
            return False
        busy = found.error in _BUSY
        if found.error.startswith(_FAILING) and not busy:
            self._n_failed += 1
            if self._n_failed >= _MOST_FAILED:
                self.stopped = f"{self._n_failed} answers in a row failed, the last by {found.error}"
        if not busy:
            return False
        self._limit = max(1.0, self._limit * _LESS)
        wait_s = max(found.retry_after_s, 0.05)
        if wait_s > _LONGEST_WAIT_S:
            self.stopped = f"it was asked to wait {wait_s:.0f} s ({found.error})"
            return False
        self._until_s = max(self._until_s, monotonic_s() + wait_s)
        return True
