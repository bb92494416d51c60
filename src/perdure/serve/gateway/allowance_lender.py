"""Leases blocks of quota from the shared counters, and tells them what was used: all that talks to the store.

One hold a worker stands for all its blocks. Each change of it carries a step, so that one whose answer was lost is asked
for again until the store says what became of it: nothing is counted twice, nothing is lost. While that is open, or the
store is away, calls go on with what is leased (see `Lender.alone`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock, RLock
from typing import Literal

from perdure.core.errors import NotFound, PerdureError, StoreError
from perdure.core.settings import LimitSettings
from perdure.serve.gateway.allowance_meters import NOTHING, Block, Hold, Meter, Want
from perdure.serve.gateway.allowance_refusals import away, refusal, too_large
from perdure.stores.counters.protocols import Claim, Counters, Expired, Granted, Level

_Keep = Literal["all", "needed", "nothing"]
"""Of blocks in use: all that is free, what is needed at the present rate, or nothing."""
_PATIENCE = 4
"""Syncs after an outage or a sleep before others are taken for dead: they renew at their own next sync."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a take is for which meter: so much at once needed, so much ahead."""

    meter: Meter
    block: Block
    need: int
    ahead: int

    @property
    def amount(self) -> int:
        return self.need + self.ahead


class Lender:
    """A worker's dealings with the shared counters.

    `state` guards every meter and block and is held for microseconds; `io` is held while the store is asked. Whoever needs
    both takes `io` first.
    """

    def __init__(self, counters: Counters, owner: str, settings: LimitSettings) -> None:
        self._counters = counters
        self._owner = owner
        self._settings = settings
        self._ttl_us = int(settings.hold_ttl_s * 1_000_000)
        self._hold = self._new_hold()
        self._doubt: Callable[[], None] | None = None
        self._active: dict[Block, Meter] = {}
        self._patience = 0
        self._synced_us = 0
        self._was_asleep = False
        self.state = Lock()
        self.io = RLock()
        self.away = False
        """The store could not be reached when it was last asked."""
        self.good_until_us = 0
        """Until then the worker's hold is surely its own."""

    # ------------------------------------------------------------------------------------------ a call

    def cover(self, wants: Sequence[Want], now_us: int) -> None:
        """Lease until every meter's block covers what is wanted of it. Blocks for the store; call it under `io`.

        Raises:
            LimitReached, BudgetSpent, TooLarge: there is no room.
            NotReady: the store is away, and what was leased does not do.
        """
        for meter, amount in wants:
            if meter.limit.kind == "tokens" and amount > meter.limit.ceiling:
                raise too_large(meter.limit, amount)
        try:
            self._end_doubt()
            self._keep_hold(now_us)
            self._open(wants, now_us)
            try:
                self._lease(wants, now_us)
            except NotFound:
                self._new_start(now_us)
                self._open(wants, now_us)
                self._lease(wants, now_us)
        except StoreError:
            self.away = True
            self._close_unleased(wants)
            self.alone(wants, now_us)

    def alone(self, wants: Sequence[Want], now_us: int) -> None:
        """Whether a call may go on while the store is away, by policy; opens windows that began meanwhile.

        Raises:
            NotReady: it may not.
        """
        with self.state:
            for meter, amount in wants:
                fail = self._settings.fail_budgets if meter.limit.kind == "usd" else self._settings.fail_limits
                if now_us >= self.good_until_us and fail == "closed" and amount:
                    raise away(meter.limit)
                if now_us >= meter.block.ends_us:
                    meter.open(now_us, self._hold, alone=fail == "open")
                    self.activate(meter.block)
                if amount > meter.block.free and amount:
                    raise away(meter.limit)

    def activate(self, block: Block) -> None:
        """The block is synced from now on, also one that had drained and is settled once more. Under `state`."""
        if block.meter is not None:
            block.active = True
            self._active[block] = block.meter

    def retire(self, meter: Meter) -> None:
        """Its ceiling changed: what it leased is given back by the next sync. Under `state`."""
        meter.block = NOTHING

    # ------------------------------------------------------------------------------------------ a sync

    def sync(self, now_us: int) -> list[Expired]:
        """Push what was used, give idle quota back, lease ahead, renew, end the holds of the dead. Call it under `io`.

        Raises:
            StoreError: the store is away; what is not told it yet is told by the next sync.
        """
        try:
            self._end_doubt()
            self._keep_hold(now_us)
            self._learn([meter for meter in self._meters() if meter.block.ends_us > now_us])
            self._push(now_us, keep="needed")
            self._lease_ahead(now_us)
            expired = self._expire(now_us)
        except NotFound:
            self._new_start(now_us)
            return []
        except StoreError:
            self.away = True
            self._patience = _PATIENCE
            raise
        self._return_loans()
        return expired

    def close(self, now_us: int) -> None:
        """Push everything and end the hold: what calls under way had reserved is given back."""
        self._end_doubt()
        self._push(now_us, keep="nothing")
        if self._hold.taken:
            self._counters.settle(self._hold.id, {}, now_us=now_us)
        self._new_start(now_us)

    # -------------------------------------------------------------------------------------- the hold

    def _expire(self, now_us: int) -> list[Expired]:
        """End the holds of the dead: not at once after an outage or a sleep, when nobody could renew."""
        asleep = self._synced_us and now_us - self._synced_us > self._ttl_us // 2
        if asleep and not self._was_asleep:
            self._patience = _PATIENCE
        self._synced_us, self._was_asleep = now_us, bool(asleep)
        if self._patience:
            self._patience -= 1
            return []
        return self._counters.expire(now_us=now_us, charge=self._settings.expired == "charge")

    def _new_hold(self) -> Hold:
        return Hold(f"{self._owner}/{secrets.token_hex(8)}")

    def _keep_hold(self, now_us: int) -> None:
        hold = self._hold
        if now_us < hold.expires_us - self._ttl_us // 2:
            return
        expires_us = now_us + self._ttl_us
        if hold.taken and not self._counters.renew(hold.id, expires_us=expires_us):
            self._new_start(now_us)
            return
        hold.expires_us = self.good_until_us = max(hold.expires_us, expires_us)

    def _new_start(self, now_us: int) -> None:
        """The hold was ended: others took us for dead. What stands under it drains, and nothing more is drawn of it."""
        with self.state:
            for block, meter in self._active.items():
                if meter.block is block:
                    meter.block = NOTHING
            self._hold = self._new_hold()
            self._hold.expires_us = self.good_until_us = now_us + self._ttl_us

    def _return_loans(self) -> None:
        """The store is there again: what was used of loans is told by the next sync, and blocks are leased as ever."""
        if self.away:
            with self.state:
                for block, meter in self._active.items():
                    if block.loan and meter.block is block:
                        meter.block = NOTHING
                self.away = False

    # ----------------------------------------------------------------------------- the store, by steps

    def _end_doubt(self) -> None:
        """Ask again for what the store did not answer."""
        if self._doubt is not None:
            self._doubt()
            self._doubt = None

    def _take(self, claims: Sequence[Claim], parts: Sequence[_Part], now_us: int) -> Granted:
        hold = self._hold
        hold.step += 1
        step, expires_us = hold.step, now_us + self._ttl_us

        def ask() -> Granted:
            return self._counters.take(
                hold.id, claims, owner=self._owner, now_us=now_us, expires_us=expires_us, step=step
            )

        def ask_again() -> None:
            try:
                granted = ask()
            except NotFound:
                return
            if granted.ok:
                hold.taken = True
                with self.state:
                    for part in parts:
                        part.block.grant(part.amount)

        self._doubt = ask_again
        try:
            granted = ask()
        except NotFound:
            self._doubt = None
            raise
        self._doubt = None
        if granted.ok:
            hold.taken = True
            hold.expires_us = self.good_until_us = max(hold.expires_us, expires_us)
            with self.state:
                for part in parts:
                    part.block.grant(part.amount)
                    part.meter.granted(part.amount, part.need)
        return granted

    def _spend(self, hold: Hold, used: dict[str, int], back: dict[str, int], now_us: int) -> None:
        hold.step += 1
        step = hold.step

        def ask() -> None:
            self._counters.spend(hold.id, used, give_back=back, now_us=now_us, step=step)

        self._doubt = ask
        self._end_doubt()

    # ---------------------------------------------------------------------------------------- leasing

    def _open(self, wants: Iterable[Want], now_us: int) -> None:
        """Blocks of the present windows, with the levels of their buckets."""
        fresh = [meter for meter, _ in wants if now_us >= meter.block.ends_us]
        if fresh:
            with self.state:
                for meter in fresh:
                    meter.open(now_us, self._hold)
                    self.activate(meter.block)
            self._learn(fresh)

    def _close_unleased(self, wants: Iterable[Want]) -> None:
        """Windows that were opened just before the store went away: they are opened again, without it."""
        with self.state:
            for meter, _ in wants:
                block = meter.block
                if meter.smoothed and not (block.taken or block.loan):
                    meter.block = NOTHING

    def _learn(self, meters: Sequence[Meter]) -> None:
        if not meters:
            return
        wanted = [meter.buckets() for meter in meters]
        levels = iter(self._counters.read([bucket for each in wanted for bucket in each]))
        with self.state:
            for meter, buckets in zip(meters, wanted, strict=True):
                level = next(levels)
                before = next(levels) if len(buckets) > 1 else Level(0, 0)
                meter.learn(level, before.used + before.held)

    def _lease(self, wants: Sequence[Want], now_us: int) -> None:
        exact: set[Meter] = set()
        asked: set[Meter] = set()
        while True:
            parts = self._parts(wants, exact, now_us)
            if not parts:
                return
            claims = [(part, claim) for part in parts for claim in part.meter.claims(part.amount, now_us)]
            granted = self._take([claim for _, claim in claims], parts, now_us)
            if granted.short is None:
                return
            part = next(part for part, claim in claims if claim is granted.short)
            self._adapt(part, granted)
            if not granted.short.amount:
                continue
            if part.meter not in exact:
                exact.add(part.meter)
            elif part.meter not in asked:
                asked.add(part.meter)
                self._push(now_us, keep="all")
                self._learn([part.meter])
            else:
                part.meter.refused(part.need, now_us)
                raise self._refusal(part.meter, wants, now_us)

    def _parts(self, wants: Sequence[Want], exact: set[Meter], now_us: int) -> list[_Part]:
        with self.state:
            short = [
                (meter, amount - meter.block.free) for meter, amount in wants if amount > meter.block.free and amount
            ]
            for meter, need in short:
                if meter.is_refused(need, now_us):
                    raise self._refusal(meter, wants, now_us)
            return [
                _Part(meter, meter.block, need, 0 if meter in exact else meter.ahead(need, now_us))
                for meter, need in short
            ]

    def _adapt(self, part: _Part, granted: Granted) -> None:
        """Learn from a refusal: the minute before is fuller than we thought, or there is less room."""
        assert granted.short is not None
        with self.state:
            if granted.short.bucket == part.meter.block.bucket:
                part.meter.level = granted.level
            else:
                part.meter.before = granted.level.used + granted.level.held

    def _refusal(self, meter: Meter, wants: Sequence[Want], now_us: int) -> PerdureError:
        amount = next(amount for each, amount in wants if each is meter)
        return refusal(meter.limit, amount, (meter.before, meter.level), now_us)

    def _lease_ahead(self, now_us: int) -> None:
        """Fill the blocks in use, so that no call need wait; what is refused is asked for when it is needed."""
        with self.state:
            wanted = [(meter, meter.shortage(now_us)) for meter in self._meters() if now_us < meter.block.ends_us]
            parts = [_Part(meter, meter.block, 0, amount) for meter, amount in wanted if amount]
            for meter in self._meters():
                meter.adjust()
                meter.block.drawn = 0
                meter.refused_until_us = 0
        if parts:
            claims = [claim for part in parts for claim in part.meter.claims(part.amount, now_us)]
            self._take(claims, parts, now_us)

    def _meters(self) -> list[Meter]:
        """Those with a block in use."""
        return [meter for block, meter in list(self._active.items()) if meter.block is block]

    # ---------------------------------------------------------------------------------------- pushing

    def _push(self, now_us: int, *, keep: _Keep) -> None:
        """Tell the store what was used, and give back what windows that are over left, and what is not to be kept."""
        for hold in {block.hold for block in list(self._active) if block.hold is not None}:
            used: dict[str, int] = {}
            back: dict[str, int] = {}
            with self.state:
                for block, meter in list(self._active.items()):
                    if block.hold is hold:
                        self._hand_over((block, meter), (used, back), now_us, keep)
            if used or back:
                self._spend(hold, used, back, now_us)

    def _hand_over(
        self, pair: tuple[Block, Meter], counted: tuple[dict[str, int], dict[str, int]], now_us: int, keep: _Keep
    ) -> None:
        block, meter = pair
        block.measure()
        current = meter.block is block and now_us < block.ends_us
        if current and keep != "nothing":
            surplus = meter.surplus(now_us) if keep == "needed" else 0
        else:
            surplus = max(block.free, 0)
        for total, amount in zip(counted, block.hand_over(surplus), strict=True):
            if amount:
                total[block.bucket] = total.get(block.bucket, 0) + amount
        idle = not current or (keep == "needed" and not block.free and not block.drawn)
        if idle and not block.leased and not block.used:
            block.active = False
            del self._active[block]
            if meter.block is block:
                meter.remember(block)
                meter.block = NOTHING
