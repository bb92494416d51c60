"""Counters on Redis: every worker of every host shares them (extra `redis`).

Each method is one script on the server (`redis_scripts`), so each is atomic. What a method returned survives kill -9 of the
caller; what survives the server's end is the server's setting: run it with `appendonly yes`. Domain time decides when holds
are over; hosts' clocks should agree within a second. Nothing is tried again here: a lost answer is a `StoreError`, and the
caller asks again under the same step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perdure.core.errors import BadSettings, Conflict, MissingExtra, NotFound, StoreError, StoreFull
from perdure.stores.counters import redis_scripts
from perdure.stores.counters.protocols import BUCKET_KEPT_US, GAUGE, KEPT_US, Claim, Expired, Granted, Level

if TYPE_CHECKING:
    import redis

_TIMEOUT_S = 0.5
"""A server that is silent for longer counts as away."""
_KEPT_MS = KEPT_US // 1000


class RedisCounters:
    """Counters on a Redis server, 7.0 or newer; safe to share between threads.

    Args:
        url: `redis://…`, `rediss://…` or `unix://…`; it may hold a password, and is told in no error.
        namespace: how every key begins; projects that share a server need different ones. The braces keep all keys in
            one slot of a cluster.

    Raises:
        BadSettings: the address is none of Redis'.
        MissingExtra: the driver is not installed.
    """

    def __init__(self, url: str, *, namespace: str = "{perdure}") -> None:
        self._where = _told(url)
        self._prefix = f"{namespace}:"
        self._client = _client(url)
        self._take = self._client.register_script(redis_scripts.TAKE)
        self._spend = self._client.register_script(redis_scripts.SPEND)
        self._renew = self._client.register_script(redis_scripts.RENEW)
        self._expire = self._client.register_script(redis_scripts.EXPIRE)

    def take(
        self, hold: str, claims: Sequence[Claim], *, owner: str, now_us: int, expires_us: int, step: int = 0
    ) -> Granted:
        """Hold every claim, or none; see `Counters.take`. Cost: one round trip, some 0.3 ms to a server beside us."""
        given: list[str | int] = [hold, owner, expires_us, step]
        for claim in claims:
            ttl_ms = max((claim.ends_us - now_us + BUCKET_KEPT_US) // 1000, 1) if claim.ends_us else 0
            given += [claim.bucket, claim.amount, claim.ceiling, ttl_ms]
        with self._translated():
            told = self._take(keys=[self._prefix], args=given)
        if told[0] == "ended":
            raise NotFound(f"The hold {hold!r} has ended.", hint="Take under a new name.", hold=hold)
        if told[0] == "ok":
            return Granted(hold)
        short, used, both = claims[int(float(told[1]))], int(told[2]), int(told[3])
        return Granted(hold, short, Level(used, both - used))

    def settle(self, hold: str, used: Mapping[str, int], *, now_us: int) -> None:  # noqa: ARG002 - asked for by the Protocol
        """Count and end the hold, once; see `Counters.settle`."""
        self._count(hold, ("settle", 0), used, {})

    def spend(
        self,
        hold: str,
        used: Mapping[str, int],
        *,
        give_back: Mapping[str, int],
        now_us: int,  # noqa: ARG002 - asked for by the Protocol
        step: int = 0,
    ) -> None:
        """Count out of a hold that goes on; see `Counters.spend`."""
        self._count(hold, ("spend", step), used, give_back)

    def renew(self, hold: str, *, expires_us: int) -> bool:
        """Push the expiry; False when the hold has ended, or never was."""
        with self._translated():
            return bool(self._renew(keys=[self._prefix], args=[hold, expires_us]))

    def expire(self, *, now_us: int, charge: bool) -> list[Expired]:
        """End the holds that are over; see `Counters.expire`. Old keys end by themselves."""
        with self._translated():
            told = self._expire(keys=[self._prefix], args=[now_us, _KEPT_MS, int(charge), GAUGE])
        ended = [_ended(one, charge=charge) for one in told]
        return sorted(ended, key=lambda each: each.hold)

    def read(self, buckets: Sequence[str]) -> list[Level]:
        """In the order asked, in one round trip."""
        with self._translated(), self._client.pipeline(transaction=True) as pipe:
            for name in buckets:
                pipe.hmget(f"{self._prefix}bucket:{name}", ["u", "t"])
            found = pipe.execute()
        return [Level(int(used or 0), int(both or 0) - int(used or 0)) for used, both in found]

    def close(self) -> None:
        """Close the connections; what was counted stays. A later call opens them again."""
        with self._translated():
            self._client.close()

    def _count(self, hold: str, how: tuple[str, int], used: Mapping[str, int], give_back: Mapping[str, int]) -> None:
        verb, step = how
        given: list[str | int] = [hold, step, _KEPT_MS, verb]
        for bucket in used.keys() | give_back.keys():
            given += [bucket, used.get(bucket, 0), give_back.get(bucket, 0)]
        with self._translated():
            self._spend(keys=[self._prefix], args=given)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Driver errors as ours, in this one place. The driver's texts hold no password; the address is told without."""
        import redis as driver

        try:
            yield
        except driver.OutOfMemoryError as error:
            raise StoreFull(f"Redis at {self._where} has no room left.", hint="Raise its maxmemory.") from error
        except (driver.TimeoutError, driver.exceptions.BusyLoadingError, driver.ReadOnlyError) as error:
            raise Conflict(f"Redis at {self._where} does not answer now: {error}.", hint="Try again.") from error
        except driver.RedisError as error:
            hint = "Check that it runs, is reached from here, and that the name and password in limits.url are right."
            raise StoreError(f"Redis at {self._where} failed: {error}.", hint=hint) from error


def _client(url: str) -> redis.Redis:
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise MissingExtra("redis", needed_for="Counters on Redis") from error
    try:
        return Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise _bad_address() from error


def _ended(told: list[Any], *, charge: bool) -> Expired:
    hold, owner, *pairs = told
    amounts = {pairs[place]: int(pairs[place + 1]) for place in range(0, len(pairs), 2)}
    return Expired(hold, owner, amounts, charge)


def _told(url: str) -> str:
    """Host and port of an address, or a socket's path: what may be told."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError as error:
        raise _bad_address() from error
    return f"{parts.hostname}:{port}" if parts.hostname else parts.path


def _bad_address() -> BadSettings:
    return BadSettings(
        "limits.url is no address of Redis.",
        hint="Write redis://HOST:PORT/0, rediss://… or unix://….",
        key="limits.url",
    )
