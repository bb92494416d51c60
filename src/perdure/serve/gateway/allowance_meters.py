"""What a worker holds in memory of each limit: a block of quota that it leased, and how much it seems to need.

Nothing here talks to the store, and nothing here is safe between threads: `allowance` guards it by its lock.

Amounts of a block: `leased` = `free` + what calls under way reserved + `used` that the store does not know yet. A call that
used more than it had reserved makes `free` fall below zero: the next lease covers that too.
"""

from __future__ import annotations

from dataclasses import dataclass

from perdure.serve.gateway.allowance_plan import Limit
from perdure.serve.gateway.windows import MINUTE_US, NEVER_US, minute_room
from perdure.stores.counters.protocols import Claim, Level

_SHARE = 16
"""Ahead of need a worker leases at most this part of what is left: near the ceiling, exactly what it needs."""
_NEAR = 8
"""Below this part of a ceiling, no more is kept at a sync than was drawn since the last one."""
_HUNDREDTH = 100
"""Ahead of need a worker leases at most this part of a budget: more is not lost with a worker that is killed."""
_INTERVALS = 2
"""So many times what was lacking of the block at most, between two syncs, is kept free."""
_IDLE = 8
"""By which the block of a limit that nobody draws on shrinks at each sync."""
_REFUSED_US = 50_000
"""So long a refusal is not asked for again: a caller that hammers at a limit costs the store nothing."""
_LATE_US = 86_400_000_000
"""A call may be settled so long after the window in which it began."""


@dataclass(slots=True, eq=False)
class Hold:
    """One hold of the store, under which all blocks of a worker stand."""

    id: str
    expires_us: int = 0
    step: int = 0
    taken: bool = False


class Block:
    """Quota of one bucket."""

    __slots__ = (
        "active", "bucket", "drawn", "ends_us", "free", "hold", "leased", "loan", "low", "meter", "taken", "top", "used"
    )  # fmt: skip

    def __init__(self, meter: Meter | None, bucket: str, ends_us: int, hold: Hold | None) -> None:
        self.meter = meter
        self.bucket = bucket
        self.ends_us = ends_us
        self.hold = hold
        self.free = 0
        self.used = 0
        self.leased = 0
        self.top = 0
        """Free at the last sync, with what was leased since."""
        self.low = 0
        """The least that was free since, with what was leased since."""
        self.drawn = 0
        """As much as calls took of it at a time, between the last two syncs: what they reserve and give back at their ends is
        needed once, not once a call."""
        self.taken = 0
        """Leased and not given back; of a minute, this worker's part of the limit."""
        self.loan = False
        """Not leased from the store, which is away, but from what the worker had a minute before."""
        self.active = False

    def grant(self, amount: int) -> None:
        """So much more is leased."""
        self.free += amount
        self.top += amount
        self.low += amount
        self.leased += amount
        self.taken += amount

    def lend(self, amount: int) -> None:
        """So much is free without the store."""
        self.loan = True
        self.free = self.top = self.low = amount

    def measure(self) -> None:
        """Note how much of it was needed until now."""
        self.drawn = max(self.drawn, self.top - self.low)

    def hand_over(self, surplus: int) -> tuple[int, int]:
        """(used, given back) for the store to count; here it is done."""
        used, self.used = self.used, 0
        if self.loan:
            self.top = self.low = self.free
            return used, 0
        covered = min(self.leased, used)
        back = min(surplus, self.leased - covered)
        self.leased -= covered + back
        self.taken -= back
        self.free += used - covered - surplus
        self.top = self.low = self.free
        return used, back


NOTHING = Block(None, "", 0, None)
"""The block of a meter that has none: its window is always over. Never changed."""


class Meter:
    """One limit in this worker: its block, and what is known of the bucket."""

    __slots__ = (
        "before", "block", "last_taken", "level", "limit", "loaned_us", "past", "refused_amount", "refused_until_us", "target"
    )  # fmt: skip

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.block = NOTHING
        self.level = Level(0, 0)
        """Of the bucket, as the store last told it, with what this worker leased since."""
        self.before = 0
        """Total of the minute before; 0 where windows are not minutes."""
        self.target = 0
        """How large the block should be."""
        self.last_taken = 0
        """This worker's part of the limit in the last whole minute that the store knew."""
        self.past = (0, 0)
        """End of the newest window that was leased for, and how much."""
        self.loaned_us = -1
        """Begin of the minute for which a loan was last made: one a minute."""
        self.refused_amount = 0
        self.refused_until_us = 0

    @property
    def smoothed(self) -> bool:
        """Whether the minute before weighs on this one."""
        return self.limit.per == "minute"

    def open(self, now_us: int, hold: Hold, *, alone: bool = False) -> None:
        """A new block for the window of an instant; the old one is left to drain. `alone`: the store is away."""
        window = self.limit.window(now_us)
        old, self.block = self.block, Block(self, self.limit.bucket(window), window.ends_us, hold)
        self.level, self.before, self.refused_until_us = Level(0, 0), 0, 0
        if not self.smoothed:
            return
        if alone:
            self.block.lend(self.last_taken if window.starts_us > self.loaned_us else 0)
            self.loaned_us = window.starts_us
        else:
            self.remember(old)
            self.last_taken = self.past[1] if self.past[0] == window.starts_us else 0

    def remember(self, block: Block) -> None:
        """What a block that ends had of its window."""
        if block is not NOTHING and not block.loan:
            self.past = (block.ends_us, block.taken)

    def buckets(self) -> list[str]:
        """Of the present window, and of the minute before."""
        if not self.smoothed:
            return [self.block.bucket]
        return [self.block.bucket, self.bucket_before()]

    def bucket_before(self) -> str:
        """The bucket of the minute before the block's."""
        return self.limit.bucket(self.limit.window(self.block.ends_us - MINUTE_US - 1))

    def ceiling(self, now_us: int) -> int:
        """What the bucket may hold now."""
        if not self.smoothed:
            return self.limit.ceiling
        return minute_room(self.limit.ceiling, self.before, now_us - self.block.ends_us + MINUTE_US)

    def room(self, now_us: int) -> int:
        """What is left in the store, as far as is known."""
        return self.ceiling(now_us) - self.level.used - self.level.held

    def ahead(self, need: int, now_us: int) -> int:
        """How much to lease beyond `need`: for whole calls like this one, or nothing."""
        ahead = max(min(max(2 * self.target, 4 * need), self._most_ahead(self.room(now_us) - need)), 0)
        return ahead - ahead % need

    def _most_ahead(self, room: int) -> int:
        most = room // _SHARE
        return min(most, self.limit.ceiling // _HUNDREDTH) if self.limit.kind == "usd" else most

    def claims(self, amount: int, now_us: int) -> list[Claim]:
        """What to ask of the store; where minutes are smoothed also that the minute before is no fuller than we think."""
        ends_us = (
            0 if self.block.ends_us == NEVER_US else self.block.ends_us + (MINUTE_US if self.smoothed else _LATE_US)
        )
        own = Claim(self.block.bucket, amount, self.ceiling(now_us), ends_us)
        return [Claim(self.bucket_before(), 0, self.before, ends_us), own] if self.smoothed else [own]

    def granted(self, amount: int, need: int) -> None:
        """The store leased `amount`, of which `need` was needed at once."""
        self.level = Level(self.level.used, self.level.held + amount)
        self.target = max(2 * self.target, 4 * need)

    def learn(self, level: Level, before: int) -> None:
        """What the store told."""
        self.level, self.before = level, before

    def refused(self, need: int, now_us: int) -> None:
        """There was no room for `need`; nobody need ask again at once."""
        self.refused_amount, self.refused_until_us = need, now_us + _REFUSED_US

    def is_refused(self, need: int, now_us: int) -> bool:
        """Whether so much was just refused."""
        return now_us < self.refused_until_us and need >= self.refused_amount

    def adjust(self) -> None:
        """A sync: what was drawn since the last one says how much is needed."""
        shrunk = self.target // (2 if self.block.drawn else _IDLE)
        self.target = max(shrunk, _INTERVALS * self.block.drawn)

    def surplus(self, now_us: int) -> int:
        """What the block has beyond its need, given back at a sync."""
        free, drawn = self.block.free, self.block.drawn
        if self.room(now_us) * _NEAR < self.limit.ceiling:
            return max(free - min(self.target, drawn), 0)
        return free - self.target if free > 2 * self.target else 0

    def shortage(self, now_us: int) -> int:
        """What a block in use wants more, so that no call need wait for the store."""
        if self.block.loan or not self.block.drawn or self.block.free * 2 >= self.target:
            return 0
        return max(min(self.target - self.block.free, self._most_ahead(self.room(now_us))), 0)


Want = tuple[Meter, int]
"""A meter, and how much a call needs of it."""
