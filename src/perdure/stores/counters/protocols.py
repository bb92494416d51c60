"""The counters' Protocol: amounts in buckets under ceilings, and holds that survive the process that took them.

A bucket is a name with its window in it, such as `usd/team/support/2026-11` or `rpm/key/k1/29721431`; amounts are whole
numbers (calls, tokens, picodollars). A hold keeps amounts aside before they are known for sure: it is settled at what they
turned out to be, or it expires. `used` counts what was settled, `held` what is kept aside; a hold is granted only where
used + held + amount stays within the ceiling, for every bucket of it at once or for none.

The gateway takes holds for blocks of calls, not for each (`serve.gateway.allowance`), so one take may be of thousands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """An amount of a bucket that is asked for."""

    bucket: str
    amount: int
    ceiling: int
    ends_us: int
    """When the bucket's window ends; a bucket is forgotten some time after. 0: never."""


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

    Raises (every method): `StoreError` when the store cannot be reached; then nothing was changed, or a take may have been
    done whose answer was lost: its hold expires.
    """

    def take(self, hold: str, claims: Sequence[Claim], *, owner: str, now_us: int, expires_us: int) -> Granted:
        """Hold every claim, or none. Of a hold that is there already the amounts are added to it."""
        ...

    def settle(self, hold: str, used: Mapping[str, int], *, now_us: int) -> None:
        """Count `used` and end the hold: what it kept aside beyond that is given back. Twice counts once.

        A bucket that the hold did not name is counted as well, and what was used beyond the hold too: money that was
        spent is spent. A hold that expired before has been charged already: then only what goes beyond it is counted.
        """
        ...

    def spend(self, hold: str, used: Mapping[str, int], *, give_back: Mapping[str, int], now_us: int) -> None:
        """Count `used` out of a hold that goes on, and give some of it back: the sync of a block in use."""
        ...

    def renew(self, hold: str, *, expires_us: int) -> bool:
        """Push the expiry; False when it is not there any more."""
        ...

    def expire(self, *, now_us: int, charge: bool) -> list[Expired]:
        """End the holds that are over: charged as used, or given back."""
        ...

    def read(self, buckets: Sequence[str]) -> list[Level]:
        """In the order asked; zeros for a bucket that nobody touched."""
        ...

    def close(self) -> None: ...
