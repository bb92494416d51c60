"""Whether a call may be made, and what it used: limits and budgets on the hot path, from memory.

The app reserves before a call and settles after it, whatever became of it. Quota is leased from the shared counters in
blocks, and a call draws on the blocks in a few microseconds; workers never spend what they did not lease, so the sum over
all of them never passes a ceiling. Blocks are small parts of what is left, and near a ceiling exactly what a call needs; and
before a call is refused the store is asked for just that.

What blocks: `try_reserve` and `settle` never talk to the store. `reserve` does where a block is empty or a window begins:
some 0.2 ms on SQLite, a round trip on Redis, and while the store does not answer, once, its time-out. So a loop tries
`try_reserve` first, and `reserve` in a thread. `sync` talks to the store, in a thread too, twice a second.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.assets.team import Team
from perdure.core.errors import StoreError
from perdure.core.settings import LimitSettings
from perdure.serve.gateway.allowance_lender import Lender
from perdure.serve.gateway.allowance_levels import LevelReport, levels_of
from perdure.serve.gateway.allowance_meters import Block, Meter, Want
from perdure.serve.gateway.allowance_plan import Limit, limits_of_call, unpriced
from perdure.stores.counters.protocols import Counters, Expired
from perdure.stores.ledger.protocols import Key

_PLANS = 16_384
"""Pairs of key and route that are remembered."""


class Buckets:
    """What a call of one key to one route counts in; made by `Allowance.plan`."""

    __slots__ = ("key", "money", "requests", "route", "slots", "team", "tokens")

    def __init__(self, team: Team, key: Key, route: str, meters: Sequence[Meter]) -> None:
        self.team = team
        self.key = key
        self.route = route
        self.requests, self.tokens, self.slots, self.money = (
            [meter for meter in meters if meter.limit.kind == kind]
            for kind in ("requests", "tokens", "concurrency", "usd")
        )

    def limits(self) -> list[Limit]:
        """Every limit that applies, in the order in which they are asked."""
        return [meter.limit for meter, _ in self.wants(0, 0)]

    def wants(self, n_tokens: int, cost_pusd: int) -> list[Want]:
        """What a call needs of each meter."""
        counts = [(meter, 1) for meter in (*self.requests, *self.slots)]
        return [*counts, *((meter, n_tokens) for meter in self.tokens), *((meter, cost_pusd) for meter in self.money)]

    def amounts(self) -> Buckets:
        """Its tokens and money alone: what a further try of a call takes that is counted already."""
        return Buckets(self.team, self.key, self.route, (*self.tokens, *self.money))


class Reservation:
    """What a call under way keeps aside; settled once."""

    __slots__ = ("beside", "cost_pusd", "further", "money", "n_tokens", "requests", "settled", "slots", "tokens")

    def __init__(
        self, counts: tuple[list[Block], list[Block]], tokens: list[Block], money: list[Block], amounts: tuple[int, int]
    ) -> None:
        self.requests, self.slots = counts
        self.tokens = tokens
        self.money = money
        self.n_tokens, self.cost_pusd = amounts
        self.settled = False
        self.beside: tuple[int, int] | None = None
        """Tokens and picodollars that were used for the call, and are not on its own record."""
        self.further: list[Reservation] = []
        """Of tokens and money, for tries behind one that was billed."""


class Allowance:
    """Limits and budgets of one worker; safe to share between threads.

    Args:
        counters: shared with every other worker.
        owner: names this worker in what expires; need not be unique.
        settings: the section `[limits]`.
    """

    def __init__(self, counters: Counters, owner: str, settings: LimitSettings | None = None) -> None:
        self._counters = counters
        self._lender = Lender(counters, owner, settings or LimitSettings())
        self._plans: dict[tuple[str, str], Buckets] = {}
        self._meters: dict[tuple[str, ...], Meter] = {}

    @property
    def away(self) -> bool:
        """Whether the store of the counters could not be reached when it was last asked."""
        return self._lender.away

    def plan(self, team: Team, key: Key, route: str) -> Buckets:
        """What applies to calls of a key to a route; remembered while team and key are the same objects.

        Cost: 0.2 µs, the first time some 50 µs.

        Raises:
            BadTeam: a limit of the team or the key means nothing.
        """
        found = self._plans.get((key.id, route))
        if found is not None and found.team is team and found.key is key:
            return found
        with self._lender.state:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
                self._meters.clear()
            meters = [self._meter(limit) for limit in limits_of_call(team, key, route)]
            found = self._plans[key.id, route] = Buckets(team, key, route, meters)
            return found

    def reserve(self, buckets: Buckets, now_us: int, n_tokens: int, cost_pusd: int | None) -> Reservation:
        """Keep one call's amounts aside in every bucket, or in none. May wait for the store.

        Args:
            buckets: from `plan`.
            now_us: domain time.
            n_tokens: the most that the call may use, input and output.
            cost_pusd: the most that it may cost; None: not known.

        Raises:
            LimitReached: too much at once; `delay_s` says when there is room if nothing else comes.
            BudgetSpent: no room in a budget; the facts say until when.
            TooLarge: more tokens than an empty minute has.
            Refused: the price is not known, a budget applies, and the team refuses such calls.
            NotReady: the store is away, and what was leased before is used up.
        """
        while True:
            found = self.try_reserve(buckets, now_us, n_tokens, cost_pusd)
            if found is not None:
                return found
            wants = buckets.wants(n_tokens, cost_pusd or 0)
            if not self._lender.away:
                with self._lender.io:  # held until it is drawn: no sync gives back what was just leased
                    self._lender.cover(wants, now_us)
                    found = self.try_reserve(buckets, now_us, n_tokens, cost_pusd)
                if found is not None:
                    return found
            if self._lender.away:
                self._lender.alone(wants, now_us)
                with self._lender.state:
                    found = _drawn(buckets, now_us, (n_tokens, cost_pusd or 0))
                if found is not None:
                    return found

    def try_reserve(self, buckets: Buckets, now_us: int, n_tokens: int, cost_pusd: int | None) -> Reservation | None:
        """As `reserve`, from memory alone; None where the store must be asked. Cost: some 3 µs with five buckets.

        Raises:
            Refused: the price is not known, a budget applies, and the team refuses such calls.
        """
        if cost_pusd is None:
            if buckets.money and buckets.team.unpriced == "refuse":
                raise unpriced(buckets.team, buckets.route)
            cost_pusd = 0
        lender = self._lender
        with lender.state:
            return _drawn(buckets, now_us, (n_tokens, cost_pusd)) if now_us < lender.good_until_us else None

    def settle(self, reservation: Reservation, n_tokens: int, cost_pusd: int | None, now_us: int) -> None:  # noqa: ARG002 - a call counts in the window in which it began
        """Exact amounts replace the reserved ones, and the slot is free again; twice counts once. Never waits.

        Call it for every reservation: a call that failed or was cancelled settles what it used, 0 too. A request counts
        as one all the same. Amounts count in the window in which the call began.

        Args:
            reservation: from `reserve`.
            n_tokens: input and output that were used.
            cost_pusd: what it cost; None: not known, what was reserved is counted.
            now_us: domain time.
        """
        cost_pusd = reservation.cost_pusd if cost_pusd is None else cost_pusd
        lender = self._lender
        with lender.state:
            if reservation.settled:
                return
            reservation.settled = True
            for block in reservation.requests:
                block.used += 1
                if not block.active:
                    lender.activate(block)
            for block in reservation.slots:
                block.free += 1
                if not block.active:
                    lender.activate(block)
            left = reservation.n_tokens - n_tokens
            for block in reservation.tokens:
                block.used += n_tokens
                block.free += left
                if not block.active:
                    lender.activate(block)
            left = reservation.cost_pusd - cost_pusd
            for block in reservation.money:
                block.used += cost_pusd
                block.free += left
                if not block.active:
                    lender.activate(block)

    def sync(self, now_us: int) -> list[Expired]:
        """Tell the store what was used, give idle quota back, lease ahead, renew the hold, end those of dead workers.

        Call it every half second, in a thread: it waits for the store. While the store is away nothing is lost, `away`
        says so, and the next sync tries again.

        Returns: holds of dead workers that this sync ended.
        """
        with self._lender.io:
            try:
                return self._lender.sync(now_us)
            except StoreError:
                return []

    def close(self, now_us: int) -> None:
        """Tell the store everything and give everything back, when no call is under way any more.

        While the store is away nothing can be told: then the hold expires.
        """
        with self._lender.io:
            try:
                self._lender.close(now_us)
            except StoreError:
                return

    def levels(self, team: Team, now_us: int, keys: Sequence[Key] = ()) -> list[LevelReport]:
        """How full the limits and budgets of a team are, and those of its keys; see `levels_of`."""
        return levels_of(self._counters, team, now_us, keys)

    def _meter(self, limit: Limit) -> Meter:
        meter = self._meters.get(limit.same)
        if meter is None or meter.limit != limit:
            if meter is not None:
                self._lender.retire(meter)
            meter = self._meters[limit.same] = Meter(limit)
        return meter


def _drawn(  # noqa: C901, PLR0912 - four short loops twice: a function for one would cost more than it does
    buckets: Buckets, now_us: int, amounts: tuple[int, int]
) -> Reservation | None:
    """Draw on every block, or on none."""
    n_tokens, cost_pusd = amounts
    requests = [meter.block for meter in buckets.requests]
    slots = [meter.block for meter in buckets.slots]
    tokens = [meter.block for meter in buckets.tokens]
    money = [meter.block for meter in buckets.money]
    for block in requests:
        if block.free < 1 or now_us >= block.ends_us:
            return None
    for block in slots:
        if block.free < 1 or now_us >= block.ends_us:
            return None
    for block in tokens:
        if (block.free < n_tokens and n_tokens) or now_us >= block.ends_us:
            return None
    for block in money:
        if (block.free < cost_pusd and cost_pusd) or now_us >= block.ends_us:
            return None
    for block in requests:
        block.free = free = block.free - 1
        if free < block.low:  # noqa: PLR1730 - min() costs more than the rest
            block.low = free
    for block in slots:
        block.free = free = block.free - 1
        if free < block.low:  # noqa: PLR1730 - min() costs more than the rest
            block.low = free
    for block in tokens:
        block.free = free = block.free - n_tokens
        if free < block.low:  # noqa: PLR1730 - min() costs more than the rest
            block.low = free
    for block in money:
        block.free = free = block.free - cost_pusd
        if free < block.low:  # noqa: PLR1730 - min() costs more than the rest
            block.low = free
    return Reservation((requests, slots), tokens, money, amounts)
