"""The answer cache in Redis (or Valkey): shared by every host of a gateway. Extra `redis`; serve opens it.

Each change is one Lua script, so that no crash leaves an entry without its tags. Under `perdure:{project}:cache:` lie a hash
an entry (`e:`), sets of keys by tag (`t:`), sorted sets of keys by use and by end, and a stream of vectors a space (`v:`),
of which each process reads what is new to it.

What surprised us: keys that Redis expires by itself leave their names in every set they stand in. So entries are ended by
`put`, which removes them with all their names; and an end is an instant of the domain's time, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import BadSettings, Corrupt, MissingExtra, StoreError, StoreFull
from perdure.stores.cache.protocols import Entry, Near
from perdure.stores.cache.vectors import VectorSpaces, as_unit

if TYPE_CHECKING:
    import redis

_PURGED = 32
"""Entries over that one `put` removes at most: more than it adds, so they never pile up."""
_SPACE_KEPT_MS = 86_400_000
"""A space without a new vector for a day is forgotten: to lose a vector is to miss."""

_REMOVE = """
local at = KEYS[1]
local function remove(key)
    local tags = redis.call('HGET', at .. 'e:' .. key, 't')
    if tags then
        for _, tag in ipairs(cjson.decode(tags)) do redis.call('SREM', at .. 't:' .. tag, key) end
    end
    redis.call('ZREM', at .. 'used', key)
    redis.call('ZREM', at .. 'ends', key)
    return redis.call('DEL', at .. 'e:' .. key)
end
"""
_PUT = (
    _REMOVE
    + """
local key, data, ends, used, now, most, purged = unpack(ARGV, 1, 7)
local tags = {unpack(ARGV, 8)}
remove(key)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', at .. 'ends', '-inf', now, 'LIMIT', 0, purged)) do remove(old) end
redis.call('HSET', at .. 'e:' .. key, 'd', data, 't', #tags > 0 and cjson.encode(tags) or '[]')
redis.call('ZADD', at .. 'ends', ends, key)
for _, tag in ipairs(tags) do redis.call('SADD', at .. 't:' .. tag, key) end
local over = redis.call('ZCARD', at .. 'used') + 1 - tonumber(most)
if over > 0 then
    for _, old in ipairs(redis.call('ZRANGE', at .. 'used', 0, over - 1)) do remove(old) end
end
redis.call('ZADD', at .. 'used', used, key)
"""
)
_PUT_VECTOR = """
local at, space, key, vector, most, kept = KEYS[1], unpack(ARGV, 1, 5)
if redis.call('EXISTS', at .. 'e:' .. key) == 1 then
    redis.call('XADD', at .. 'v:' .. space, 'MAXLEN', '~', most, '*', 'k', key, 'v', vector)
    redis.call('PEXPIRE', at .. 'v:' .. space, kept)
end
"""
_DROP = (
    _REMOVE
    + """
local n = 0
for _, tag in ipairs(ARGV) do
    for _, key in ipairs(redis.call('SMEMBERS', at .. 't:' .. tag)) do n = n + remove(key) end
    redis.call('DEL', at .. 't:' .. tag)
end
return n
"""
)
_Argument = bytes | str | int
_Stored = tuple[bytes, str, int, int | None, str, int]
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Stored).decode


class RedisCache:
    """Answers in Redis. Safe to share between threads, processes and hosts. Cost: a round trip a method.

    Args:
        url: such as `redis://10.0.0.5:6379/0`, or `rediss://…` for TLS.
        project: caches of several projects live side by side.
        max_entries: at most so many; give the server's `maxmemory` room for them.
        timeout_s: a server that answers later has failed: an answer does not wait for its cache.

    Raises (every method): `StoreError` when the server cannot be reached or refuses.
    """

    def __init__(
        self, url: str, *, project: str = "default", max_entries: int = 100_000, timeout_s: float = 0.1
    ) -> None:
        self._at = f"perdure:{{{project}}}:cache:"
        self._max_entries = max_entries
        self._spaces = VectorSpaces()
        self._client = client = _connect(url, timeout_s)
        self._put = client.register_script(_PUT)
        self._put_vector = client.register_script(_PUT_VECTOR)
        self._drop = client.register_script(_DROP)

    def get(self, key: str, *, now_us: int) -> Entry | None:
        """The entry, unless it is over or was dropped."""
        return self._live([key], now_us)[0]

    def put(self, key: str, entry: Entry, *, ends_us: int, tags: Sequence[str] = ()) -> None:
        """Keep an entry until `ends_us`; of the same key the last counts."""
        data = _pack((entry.body, entry.call_id, entry.made_us, entry.cost_pusd, entry.question, ends_us))
        arguments: list[_Argument] = [
            key,
            data,
            ends_us,
            entry.made_us,
            entry.made_us,
            self._max_entries,
            _PURGED,
            *tags,
        ]
        with _translated():
            self._put(keys=[self._at], args=arguments)

    def put_vector(self, space: str, key: str, vector: NDArray[np.float32]) -> None:
        """Keep the vector of an entry's question; one without its entry, or without a direction, is not kept."""
        unit = as_unit(vector)
        if unit is None:
            return
        arguments: list[_Argument] = [space, key, unit.astype("<f4").tobytes(), self._spaces.a_space, _SPACE_KEPT_MS]
        with _translated():
            self._put_vector(keys=[self._at], args=arguments)

    def nearest(self, space: str, vector: NDArray[np.float32], *, now_us: int) -> Near | None:
        """The live entry of the space with the greatest cosine. Cost: two round trips, and vectors that are new here."""
        with _translated():
            seen = self._spaces.seen(space)
            start = "-" if seen is None else f"({seen.decode()}"
            rows: Any = self._client.xrange(f"{self._at}v:{space}", min=start)
            if rows:
                vectors = [(row[b"k"].decode(), np.frombuffer(row[b"v"], dtype="<f4")) for _, row in rows]
                self._spaces.add(space, vectors, seen=rows[-1][0])
        return self._spaces.nearest(space, vector, lambda keys: self._live(keys, now_us))

    def drop(self, tags: Sequence[str]) -> int:
        """Forget entries that have one of the tags; returns how many."""
        with _translated():
            n_dropped: Any = self._drop(keys=[self._at], args=list(tags))
        return int(n_dropped)

    def count(self) -> int:
        """Entries kept, by all hosts; those over too, until they are purged."""
        with _translated():
            n_entries: Any = self._client.zcard(f"{self._at}used")
        return int(n_entries)

    def close(self) -> None:
        """Give the connections back; a later call opens them again."""
        with _translated():
            self._client.close()

    def _live(self, keys: Sequence[str], now_us: int) -> list[Entry | None]:
        """The entries that are not over, and the mark that they were used: one round trip."""
        with _translated(), self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hget(f"{self._at}e:{key}", "d")
            # In a Lua script or a second trip the use could be marked for hits alone; for misses it has no effect.
            pipe.zadd(f"{self._at}used", dict.fromkeys(keys, now_us), xx=True, gt=True)
            found = pipe.execute()[:-1]
        return [None if data is None else _entry(data, now_us) for data in found]


def _entry(data: bytes, now_us: int) -> Entry | None:
    try:
        *own, ends_us = _unpack(data)
    except msgspec.DecodeError as error:
        raise Corrupt("An entry of the answer cache in Redis is damaged.", hint="Drop its route from it.") from error
    return Entry(*own) if now_us < ends_us else None


def _connect(url: str, timeout_s: float) -> redis.Redis:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise MissingExtra("redis", needed_for="An answer cache in Redis") from error
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # A kept connection that the server has closed is replaced once; every script may run twice.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        # The address may hold a password: it is not told.
        raise BadSettings(
            "The address of the answer cache is none of Redis.", hint="Write redis://HOST:PORT/0."
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Driver errors as ours, without the address: it may hold a password.

    Raises:
        StoreFull: the server is out of memory.
        StoreError: it cannot be reached, or refuses.
    """
    import redis

    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise StoreFull("Redis has no memory left for the answer cache.", hint="Raise its maxmemory.") from error
    except redis.exceptions.RedisError as error:
        kind = type(error).__name__
        raise StoreError(
            f"The answer cache in Redis failed ({kind}).", hint="Look at the server.", kind=kind
        ) from error
