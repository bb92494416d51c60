"""Counters in the memory of one process: for tests, notebooks and a gateway with a single worker that may forget.

Two processes that each open one have two budgets; several workers use SQLite or Redis. The rules stand here in the
plainest form: the conformance suite compares the other adapters with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from perdure.core.errors import NotFound
from perdure.stores.counters.holds import CHARGED, LIVE, RELEASED, SETTLED, moved
from perdure.stores.counters.protocols import BUCKET_KEPT_US, GAUGE, KEPT_US, Claim, Expired, Granted, Level


@dataclass(slots=True)
class _Bucket:
    used: int = 0
    held: int = 0
    ends_us: int = 0


@dataclass(slots=True)
class _Hold:
    owner: str
    expires_us: int
    step: int = 0
    state: int = LIVE
    ended_us: int = 0
    amounts: dict[str, int] = field(default_factory=dict)


class MemoryCounters:
    """Counters that end with the process. Safe to share between threads; cost: some 5 µs a call."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._buckets: dict[str, _Bucket] = {}
        self._holds: dict[str, _Hold] = {}

    def take(
        self,
        hold: str,
        claims: Sequence[Claim],
        *,
        owner: str,
        now_us: int,  # noqa: ARG002 - asked for by the Protocol
        expires_us: int,
        step: int = 0,
    ) -> Granted:
        """Hold every claim, or none; see `Counters.take`."""
        with self._lock:
            found = self._holds.get(hold)
            if found is not None and found.state != LIVE:
                raise NotFound(f"The hold {hold!r} has ended.", hint="Take under a new name.", hold=hold)
            if found is not None and step and step <= found.step:
                return Granted(hold)
            asked: dict[str, int] = {}
            for claim in claims:
                asked[claim.bucket] = asked.get(claim.bucket, 0) + claim.amount
                level = self._level(claim.bucket)
                if level.used + level.held + asked[claim.bucket] > claim.ceiling:
                    return Granted(hold, claim, level)
            if found is None:
                found = self._holds[hold] = _Hold(owner, expires_us)
            found.expires_us = max(found.expires_us, expires_us)
            found.step = max(found.step, step)
            for claim in claims:
                if claim.amount:
                    bucket = self._buckets.setdefault(claim.bucket, _Bucket())
                    bucket.held += claim.amount
                    bucket.ends_us = claim.ends_us
                    found.amounts[claim.bucket] = found.amounts.get(claim.bucket, 0) + claim.amount
            return Granted(hold)

    def settle(self, hold: str, used: Mapping[str, int], *, now_us: int) -> None:
        """Count and end the hold, once; see `Counters.settle`."""
        with self._lock:
            found = self._holds.get(hold)
            if found is not None and found.state == SETTLED:
                return
            found = self._known(hold, now_us)
            give_back = dict(found.amounts) if found.state == LIVE else {}
            self._spend(found, used, give_back)
            found.state, found.ended_us, found.amounts = SETTLED, now_us, {}

    def spend(
        self, hold: str, used: Mapping[str, int], *, give_back: Mapping[str, int], now_us: int, step: int = 0
    ) -> None:
        """Count out of a hold that goes on; see `Counters.spend`."""
        with self._lock:
            found = self._known(hold, now_us)
            if step and step <= found.step:
                return
            found.step = max(found.step, step)
            self._spend(found, used, give_back)

    def renew(self, hold: str, *, expires_us: int) -> bool:
        """Push the expiry; False when the hold has ended, or never was."""
        with self._lock:
            found = self._holds.get(hold)
            if found is None or found.state != LIVE:
                return False
            found.expires_us = max(found.expires_us, expires_us)
            return True

    def expire(self, *, now_us: int, charge: bool) -> list[Expired]:
        """End the holds that are over; see `Counters.expire`."""
        with self._lock:
            over = [name for name, each in self._holds.items() if each.state == LIVE and each.expires_us <= now_us]
            ended = [self._end(name, now_us, charge=charge) for name in sorted(over)]
            self._forget(now_us)
            return ended

    def read(self, buckets: Sequence[str]) -> list[Level]:
        """In the order asked."""
        with self._lock:
            return [self._level(name) for name in buckets]

    def close(self) -> None:
        """Nothing to close: what was counted stays while the object does."""

    def _level(self, name: str) -> Level:
        bucket = self._buckets.get(name)
        return Level(0, 0) if bucket is None else Level(bucket.used, bucket.held)

    def _known(self, hold: str, now_us: int) -> _Hold:
        """The hold; one that is not known is remembered as given back, so that its steps are done once."""
        found = self._holds.get(hold)
        if found is None:
            found = self._holds[hold] = _Hold("", 0, state=RELEASED, ended_us=now_us)
        return found

    def _spend(self, hold: _Hold, used: Mapping[str, int], give_back: Mapping[str, int]) -> None:
        for name in used.keys() | give_back.keys():
            kept, count = hold.amounts.get(name, 0), used.get(name, 0)
            if kept or count:
                bucket = self._buckets.setdefault(name, _Bucket())
                change = moved(hold.state, kept, count, give_back.get(name, 0))
                bucket.used += change.used
                bucket.held += change.held
                hold.amounts[name] = change.kept

    def _end(self, name: str, now_us: int, *, charge: bool) -> Expired:
        hold = self._holds[name]
        amounts = {bucket: amount for bucket, amount in hold.amounts.items() if amount}
        for each, amount in amounts.items():
            bucket = self._buckets[each]
            bucket.held -= amount
            if charge and not each.startswith(GAUGE):
                bucket.used += amount
        kept = {each: amount for each, amount in amounts.items() if charge and not each.startswith(GAUGE)}
        hold.state, hold.ended_us, hold.amounts = (CHARGED if charge else RELEASED), now_us, kept
        return Expired(name, hold.owner, amounts, charge)

    def _forget(self, now_us: int) -> None:
        old_us = now_us - KEPT_US
        for name in [name for name, each in self._holds.items() if each.state != LIVE and each.ended_us < old_us]:
            del self._holds[name]
        old_us = now_us - BUCKET_KEPT_US
        for name in [name for name, each in self._buckets.items() if 0 < each.ends_us < old_us and not each.held]:
            del self._buckets[name]
