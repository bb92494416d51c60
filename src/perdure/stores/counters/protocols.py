"""The counters' Protocol: amounts in buckets under ceilings, and holds that survive the process that took them.

A bucket is a name with its window in it, such as `usd/team/support/2026-11` or `rpm/key/k1/29721431`; amounts are whole
numbers (calls, tokens, picodollars). A hold keeps amounts aside before they are known for sure: it is settled at what they
turned out to be, or it expires. `used` counts what was settled, `held` what is kept aside; a hold is granted only where
used + held + amount stays within the ceiling, for every bucket of it at once or for none.

The gateway takes holds for blocks of calls, not for each (`serve.gateway.allowance`), so one take may be of thousands.

An answer that was lost on its way leaves in doubt whether the thing was done. So what changes a hold that goes on may carry
a `step`, a number that grows with each change of that hold: asked for again under its step, it is done once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

GAUGE = "now/"
"""How names of buckets begin whose amounts are given back after use and never counted as used, such as calls under way.
What a dead owner held of them is always given back: charged, it would be missing for ever."""
LARGEST = 2**62
"""Amounts and ceilings are below it, so that sums stay within 64 bits. In picodollars: 4.6 million US dollars."""
KEPT_US = 24 * 3600 * 1_000_000
"""How long an ended hold is remembered, so that settling it twice counts once."""
BUCKET_KEPT_US = 600 * 1_000_000
"""How long a bucket is remembered after the end that its claims named."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An amount of a bucket that is asked for."""

    bucket: str
    amount: int
    ceiling: int
    ends_us: int
    """When the bucket's window ends, or nobody asks for it any more; it is forgotten some time after. 0: never."""


@dataclass(frozen=True, slots=True)
class Level:
    """How full a bucket is."""

    used: int
    held: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What became of asking. `short` is the first bucket without room, and its level, when nothing was granted."""

    hold: str
    short: Claim | None = None
    level: Level = Level(0, 0)

    @property
    def ok(self) -> bool:
        """Whether all of it was granted."""
        return self.short is None


@dataclass(frozen=True, slots=True)
class Expired:
    """A hold that nobody settled in time, with what became of its amounts."""

    hold: str
    owner: str
    amounts: Mapping[str, int]
    charged: bool
    """True: its amounts count as used; False: they were given back."""


class Counters(Protocol):
    """Shared by every worker that opens the same store. What a method returned survives kill -9 of the caller.

    Every method is atomic: others see all of it or nothing. Safe to share between threads. Instants are domain time.

    Raises (every method): `StoreError` when the store cannot be reached; then nothing was changed, or it was done and its
    answer was lost: asking again under the same `step` (`settle`: without) does it once.
    """

    def take(
        self, hold: str, claims: Sequence[Claim], *, owner: str, now_us: int, expires_us: int, step: int = 0
    ) -> Granted:
        """Hold every claim, or none. Of a hold that is there already the amounts are added to it, its expiry moves on.

        A claim of zero asks only whether used + held of its bucket is at most the ceiling.

        :raises NotFound: the hold has ended; take under a new name.
        """
        ...

    def settle(self, hold: str, used: Mapping[str, int], *, now_us: int) -> None:
        """Count `used` and end the hold: what it kept aside beyond that is given back. Twice counts once.

        A bucket that the hold did not name is counted as well, and what was used beyond the hold too: money that was
        spent is spent. A hold that expired before has been charged already: then only what goes beyond it is counted.
        """
        ...

    def spend(
        self, hold: str, used: Mapping[str, int], *, give_back: Mapping[str, int], now_us: int, step: int = 0
    ) -> None:
        """Count `used` out of a hold that goes on, and give some of it back: the sync of a block in use.

        Of a hold that expired and was charged, only what goes beyond it is counted, and what is given back is taken off
        again; of one that was given back, or that is not known, all of `used` is counted.
        """
        ...

    def renew(self, hold: str, *, expires_us: int) -> bool:
        """Push the expiry; False when it is not there any more."""
        ...

    def expire(self, *, now_us: int, charge: bool) -> list[Expired]:
        """End the holds that are over: charged as used, or given back. Those of a `GAUGE` are given back.

        Each is ended, and returned, once, whoever asks. What is old is forgotten.
        """
        ...

    def read(self, buckets: Sequence[str]) -> list[Level]:
        """In the order asked; zeros for a bucket that nobody touched."""
        ...

    def close(self) -> None: ...
