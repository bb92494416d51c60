"""Which answers are given again: keys of requests, what may be kept, and a cache that fails as one that misses.

The gateway makes a `RouteCache` a route version at load, asks it by the raw members of a request, and keeps what was answered
in neutral form; `caching_replay` makes streams of it, `caching_semantic` finds answers to questions that mean the same.

What is cached, as the common gateways do it: a route that declares a cache wants it, so an answer is kept at any
temperature, and temperature is part of the key. A caller says otherwise with the header `cache-control`: `no-cache` (ask
anew, and keep the answer), `no-store` (do not keep it), `max-age=SECONDS` (no older answer). Never kept are several answers
to one request (`n` above 1: they are wanted to differ), spoken answers (they are named by ids that end), requests that
leave something at the provider (`store`), and the endpoint `responses` (it continues what lies there).

What surprised us: the neutral request need not be made to find its key. msgspec hands out the members' own bytes, so a key
costs a hash of what came. Hence the order of members makes no difference and white space inside them does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.clock import monotonic_s
from perdure.core.errors import StoreError
from perdure.stores.cache.protocols import AnswerCache, Entry, Near

Members = Mapping[str, msgspec.Raw]
"""Members of a request as they came: `msgspec.json.decode(body, type=dict[str, msgspec.Raw])`."""

SILENT = frozenset(
    {
        *("model", "stream", "stream_options", "user", "metadata", "store"),
        *("safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"),
    }
)
"""Members that do not change what is answered. Whatever is not among them is part of the key, known or not. `model` is the
route's name, and the key has its version."""
_ENDPOINTS = frozenset({"chat", "messages", "embeddings"})
_ONE = (b"1", b"null")
_NOT_STORED = (b"false", b"null")
_WHOLE = frozenset({"stop", "length", "tool_calls", "function_call"})
"""How an answer ends that is given again; one that a provider's filter cut is not."""
_MAX_BODY_BYTES = 1_000_000
_HEADER_CHARS = 200
_REST_S = 1.0
"""After a failure the store is left alone so long: an answer does not wait for a cache that is down."""
_digest = hashlib.blake2b
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class CacheRules:
    """A route's declaration of its cache."""

    ttl_us: int
    semantic: float | None = None
    """Cosine from which a question is taken to mean the same; None: words must be the same."""
    embedder: str = ""
    sample: float = 0.0
    shared: bool = False

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> CacheRules | None:
        """Of a route version's definition; None where it keeps no answers."""
        declared = definition.get("cache")
        if declared is None:
            return None
        rest = {name: declared[name] for name in ("semantic", "embedder", "sample", "shared") if name in declared}
        return cls(round(declared["ttl_s"] * 1e6), **rest)


class Caller(msgspec.Struct, frozen=True):
    """Whose request it is, and what was made of it before its members were read."""

    team: str
    endpoint: str
    prompt: str = ""
    """Version of the prompt that it renders."""
    told: tuple[bytes, ...] = ()
    """Headers that go to the upstream and change what it answers, each with its name."""


class Asked(msgspec.Struct, frozen=True):
    """A request as the cache sees it."""

    key: str
    """40 hex digits."""
    space: bytes
    """Digest of route version, tenant, prompt, endpoint and headers that count: what keys and spaces of vectors begin with."""
    read: bool = True
    keep: bool = True
    max_age_us: int | None = None


class Hit(msgspec.Struct, frozen=True):
    """An answer that is given again."""

    entry: Entry
    kind: Literal["exact", "semantic"]
    similarity: float = 1.0
    sampled: bool = False
    """The fresh answer is to be asked for too, for evaluation; its call carries `tags`."""

    def tags(self) -> dict[str, str]:
        """Tags of the fresh call: which call's answer it is to be compared with, and how near the questions were."""
        return {"cache_of": self.entry.call_id, "cache_similarity": f"{self.similarity:.6f}"}


class Forgiving:
    """A store of answers that never raises: what fails is a miss, and is counted. Safe to share between threads."""

    def __init__(self, store: AnswerCache, *, rest_s: float = _REST_S) -> None:
        self.n_failed = 0
        """Calls of the store that failed; those left out while it rests are not counted."""
        self.last_error = ""
        self._store = store
        self._rest_s = rest_s
        self._rests_until_s = float("-inf")

    def get(self, key: str, now_us: int) -> Entry | None:
        """The entry, or None."""
        if monotonic_s() < self._rests_until_s:
            return None
        try:
            return self._store.get(key, now_us=now_us)
        except StoreError as error:
            self._failed(error)
            return None

    def put(self, key: str, entry: Entry, ends_us: int, tags: Sequence[str]) -> bool:
        """Keep an entry; False when it could not be."""
        if monotonic_s() < self._rests_until_s:
            return False
        try:
            self._store.put(key, entry, ends_us=ends_us, tags=tags)
        except StoreError as error:
            self._failed(error)
            return False
        return True

    def put_vector(self, space: str, key: str, vector: NDArray[np.float32]) -> None:
        """Keep a vector, or not."""
        if monotonic_s() < self._rests_until_s:
            return
        try:
            self._store.put_vector(space, key, vector)
        except StoreError as error:
            self._failed(error)

    def nearest(self, space: str, vector: NDArray[np.float32], now_us: int) -> Near | None:
        """The nearest entry, or None."""
        if monotonic_s() < self._rests_until_s:
            return None
        try:
            return self._store.nearest(space, vector, now_us=now_us)
        except StoreError as error:
            self._failed(error)
            return None

    def _failed(self, error: StoreError) -> None:
        self.n_failed += 1
        self.last_error = error.code
        self._rests_until_s = monotonic_s() + self._rest_s


class RouteCache:
    """The cache of one route version.

    Args:
        store: where answers lie.
        rules: what the route declares.
        route: its name.
        version: its version; an answer of another version is never given.
        source: the retrieval source that its answers rest on; empty without one.
    """

    def __init__(self, store: Forgiving, rules: CacheRules, *, route: str, version: str, source: str = "") -> None:
        self.rules = rules
        self.store = store
        self._version = version
        self._tags = [f"route:{route}", *([f"source:{source}"] if source else [])]

    def asked(self, members: Members, caller: Caller, cache_control: str = "") -> Asked | None:
        """The request as the cache sees it; None when its answer is neither given again nor kept.

        Cost: 4 µs for a small body, and 1 µs a kilobyte.
        """
        if not _cacheable(members, caller.endpoint):
            return None
        team = "" if self.rules.shared else caller.team
        space = _space(self._version, team, self.rules.shared, caller)
        key = exact_key(members, space)
        if not cache_control:
            return Asked(key, space)
        asked = Asked(key, space, *_directives(cache_control[:_HEADER_CHARS]))
        return asked if asked.read or asked.keep else None

    def find(self, asked: Asked, *, now_us: int) -> Hit | None:
        """The answer to the very same request, if one is kept."""
        entry = self.store.get(asked.key, now_us) if asked.read else None
        return None if entry is None or is_older(entry, asked, now_us) else Hit(entry, "exact")

    def keep(self, asked: Asked, entry: Entry) -> bool:
        """Keep an answer that was given whole; whether it is kept. `entry.body` is in neutral form; of embeddings what came.

        Where a guard masks what is personal, give it as it is before masks are restored if the cache is shared.
        """
        if not asked.keep or len(entry.body) > _MAX_BODY_BYTES or not is_whole(entry.body):
            return False
        return self.store.put(asked.key, entry, entry.made_us + self.rules.ttl_us, self._tags)


def exact_key(members: Members, space: bytes) -> str:
    """Key of a request within a space: a hash of its members' bytes by name, in the order of names.

    Each length is hashed before its bytes, so that no two different requests read the same.

    >>> decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    >>> one, two = decode(b'{"top_p":1,"n":1,"stream":true}'), decode(b'{"n":1,"top_p":1}')
    >>> exact_key(one, b"") == exact_key(two, b"")
    True
    """
    names = _heard(tuple(members))
    told = _encode((names, [memoryview(members[name]) for name in names]))
    return _digest(told, key=space, digest_size=20).hexdigest()


@lru_cache(maxsize=1_024)
def _heard(names: tuple[str, ...]) -> list[str]:
    return sorted(name for name in names if name not in SILENT)


def is_older(entry: Entry, asked: Asked, now_us: int) -> bool:
    """Whether an entry is older than the caller allows."""
    return asked.max_age_us is not None and now_us - entry.made_us > asked.max_age_us


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] = []
    data: msgspec.Raw = msgspec.Raw()


_body: msgspec.json.Decoder[_Body] = msgspec.json.Decoder(_Body)


def is_whole(body: bytes) -> bool:
    """Whether a neutral answer came to its own end: each choice of a chat, or the data of embeddings.

    >>> is_whole(b'{"choices":[{"finish_reason":"stop"}]}'), is_whole(b'{"choices":[{"finish_reason":null}]}')
    (True, False)
    """
    try:
        read = _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    if read.choices:
        return all(choice.finish_reason in _WHOLE for choice in read.choices)
    return bytes(read.data).startswith(b"[")


def _cacheable(members: Members, endpoint: str) -> bool:
    if endpoint not in _ENDPOINTS:
        return False
    n, store, modalities = members.get("n"), members.get("store"), members.get("modalities")
    return (
        (n is None or bytes(n) in _ONE)
        and (store is None or bytes(store) in _NOT_STORED)
        and (modalities is None or b'"audio"' not in bytes(modalities))
    )


@lru_cache(maxsize=4_096)
def _space(version: str, team: str, shared: bool, caller: Caller) -> bytes:
    told = (version, team, shared, caller.prompt, caller.endpoint, caller.told)
    return _digest(_encode(told), digest_size=20).digest()


@lru_cache(maxsize=256)
def _directives(header: str) -> tuple[bool, bool, int | None]:
    """Whether to read, whether to keep, and the greatest age; what is not known is passed over."""
    read, keep, max_age_us = True, True, None
    for part in header.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name == "no-cache":
            read = False
        elif name == "no-store":
            keep = False
        elif name == "max-age" and value.isascii() and value.isdigit() and len(value) < 12:
            max_age_us = int(value) * 1_000_000
    return read, keep, max_age_us
