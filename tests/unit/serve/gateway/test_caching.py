"""Keys of requests, what is kept, and a cache that fails as one that misses."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from perdure.assets.route import Cache, Route, Target
from perdure.assets.upstream import Upstream
from perdure.core.errors import BadSettings, StoreError
from perdure.serve.gateway.caching import Asked, CacheRules, Caller, Forgiving, RouteCache, exact_key, is_whole
from perdure.stores.cache.memory import MemoryCache
from perdure.stores.cache.protocols import Entry
from perdure.stores.cache.sqlite import SqliteCache

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
NOW_US = 1_000_000_000
TEAM = Caller("support", "chat")
BODY = {"model": "answers", "messages": [{"role": "user", "content": "Hello?"}], "temperature": 0}
ANSWER = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'


def members(**more):
    return _decode(json.dumps(BODY | more).encode())


def cache(rules=None, version="answers@1", store=None, source=""):
    forgiving = Forgiving(store or MemoryCache())
    return RouteCache(forgiving, rules or CacheRules(60_000_000), route="answers", version=version, source=source)


def entry(body=ANSWER, made_us=NOW_US):
    return Entry(body, "c_1", made_us, 500)


def key(caller=TEAM, rules=None, version="answers@1", **more):
    return cache(rules, version).asked(members(**more), caller).key


# ---- keys


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "u1"},
        {"metadata": {"ticket": "T-1"}},
        {"model": "another-name-of-the-route"},
        {"store": False},
        {"service_tier": "flex", "safety_identifier": "x", "prompt_cache_key": "y", "prompt_cache_retention": "24h"},
    ],
)
def test_members_that_do_not_change_the_answer_are_not_in_the_key(more):
    assert key(**more) == key()


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": "Hello!"}]},
        {"temperature": 0.5},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"seed": 7},
        {"stop": None},
        {"a_member_that_nobody_knows": 1},
        {"variables": {"name": "Ann"}},
    ],
)
def test_every_other_member_is_known_or_not(more):
    assert key(**more) != key()


@pytest.mark.parametrize(
    "other",
    [
        {"caller": Caller("sales", "chat")},
        {"caller": Caller("support", "messages")},
        {"caller": Caller("support", "chat", prompt="p@2")},
        {"version": "answers@2"},
    ],
)
def test_tenant_endpoint_prompt_and_route_version_are_in_the_key(other):
    assert key(**other) != key()


def test_a_shared_cache_answers_every_team_and_no_unshared_one():
    shared = CacheRules(60_000_000, shared=True)
    assert key(rules=shared) == key(Caller("sales", "chat"), rules=shared)
    assert key(rules=shared) != key(Caller("", "chat"))


def test_the_order_of_members_makes_no_difference():
    body = json.dumps(BODY).encode()
    turned = json.dumps(dict(reversed(BODY.items()))).encode()
    assert exact_key(_decode(body), b"s") == exact_key(_decode(turned), b"s")


def test_no_two_different_requests_read_the_same():
    """Where one member ends and the next begins is part of what is hashed."""
    bodies = [b'{"a":1,"b":23}', b'{"a":12,"b":3}', b'{"ab":1,"":23}', b'{"a":123}', b'{"a":1}', b"{}"]
    assert len({exact_key(_decode(body), b"") for body in bodies}) == len(bodies)


# ---- what is asked, given and kept


@pytest.mark.parametrize(
    ("more", "endpoint"),
    [
        ({"n": 2}, "chat"),
        ({"store": True}, "chat"),
        ({"modalities": ["text", "audio"]}, "chat"),
        ({}, "responses"),
    ],
)
def test_what_must_not_be_given_again_is_not_asked_for(more, endpoint):
    assert cache().asked(members(**more), Caller("support", endpoint)) is None


@pytest.mark.parametrize(
    "more", [{"n": 1}, {"n": None}, {"store": None}, {"temperature": 1.5}, {"modalities": ["text"]}]
)
def test_what_may_be_given_again_is(more):
    own = cache()
    asked = own.asked(members(**more), TEAM)
    assert own.keep(asked, entry())
    assert own.find(asked, now_us=NOW_US).entry == entry()


def test_an_answer_is_given_until_its_time_is_over():
    own = cache(CacheRules(60_000_000))
    asked = own.asked(members(), TEAM)
    assert own.find(asked, now_us=NOW_US) is None
    own.keep(asked, entry())
    hit = own.find(asked, now_us=NOW_US + 59_999_999)
    assert (hit.kind, hit.similarity, hit.sampled, hit.entry) == ("exact", 1.0, False, entry())
    assert own.find(asked, now_us=NOW_US + 60_000_000) is None


def test_no_cache_asks_anew_and_keeps_the_answer():
    own = cache()
    own.keep(own.asked(members(), TEAM), entry())
    anew = own.asked(members(), TEAM, "No-Cache")
    assert own.find(anew, now_us=NOW_US) is None
    own.keep(anew, entry(made_us=NOW_US + 1))
    assert own.find(own.asked(members(), TEAM), now_us=NOW_US).entry.made_us == NOW_US + 1


def test_no_store_reads_and_keeps_nothing():
    own = cache()
    asked = own.asked(members(), TEAM, "no-store")
    assert not own.keep(asked, entry())
    own.keep(own.asked(members(), TEAM), entry())
    assert own.find(asked, now_us=NOW_US) is not None
    assert own.asked(members(), TEAM, "no-store, no-cache") is None


def test_max_age_refuses_older_answers():
    own = cache()
    own.keep(own.asked(members(), TEAM), entry())
    asked = own.asked(members(), TEAM, "max-age=5")
    assert own.find(asked, now_us=NOW_US + 5_000_000) is not None
    assert own.find(asked, now_us=NOW_US + 5_000_001) is None
    assert own.asked(members(), TEAM, "max-age=0, private").max_age_us == 0


@pytest.mark.parametrize(
    "header", ["max-age=-1", "max-age=x", "max-age=" + "9" * 5_000, "max-age=²", ",,=,", "x" * 9_999]
)
def test_a_header_that_means_nothing_changes_nothing(header):
    asked = cache().asked(members(), TEAM, header)
    assert (asked.read, asked.keep, asked.max_age_us) == (True, True, None)


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (ANSWER, True),
        (b'{"choices":[{"finish_reason":"tool_calls"}]}', True),
        (b'{"choices":[{"finish_reason":"length"}]}', True),
        (b'{"choices":[{"finish_reason":"stop"},{"finish_reason":null}]}', False),
        (b'{"choices":[{"finish_reason":"content_filter"}]}', False),
        (b'{"choices":[]}', False),
        (b'{"object":"list","data":[{"embedding":[0.1]}]}', True),
        (b'{"error":{"message":"no"}}', False),
        (b"not JSON", False),
        (b"\xff", False),
    ],
)
def test_only_what_came_to_its_own_end_is_kept(body, whole):
    own = cache()
    assert is_whole(body) == whole
    assert own.keep(own.asked(members(), TEAM), entry(body)) == whole


def test_a_very_large_answer_is_not_kept():
    own = cache()
    assert not own.keep(own.asked(members(), TEAM), entry(ANSWER + b" " * 1_000_000))


def test_entries_are_dropped_by_route_and_by_source():
    store = MemoryCache()
    for tag in ("route:answers", "source:handbook"):
        own = cache(store=store, source="handbook")
        own.keep(own.asked(members(), TEAM), entry())
        assert store.drop([tag]) == 1


def test_rules_are_those_of_the_route_s_definition():
    route = Route("a", [Target(Upstream("u", "http://127.0.0.1:1/v1"), "m")])
    assert CacheRules.of(route.definition()) is None
    declared = Cache(timedelta(seconds=1.5), semantic=0.93, embedder="u/e", sample=0.1, shared=True)
    route = Route("a", route.targets, cache=declared)
    assert CacheRules.of(route.definition()) == CacheRules(1_500_000, 0.93, "u/e", 0.1, True)


# ---- failures


class Broken:
    """A store that is down, and says so to everybody who asks."""

    n_asked = 0

    def _down(self, *args, **kwargs):
        self.n_asked += 1
        raise StoreError("It is down.")

    get = put = put_vector = nearest = _down


def test_a_store_that_fails_is_a_miss_and_counted():
    forgiving = Forgiving(Broken(), rest_s=0.0)
    own = RouteCache(forgiving, CacheRules(1), route="a", version="a@1")
    asked = own.asked(members(), TEAM)
    assert own.find(asked, now_us=NOW_US) is None
    assert not own.keep(asked, entry())
    forgiving.put_vector("s", "k", np.ones(2, np.float32))
    assert forgiving.nearest("s", np.ones(2, np.float32), NOW_US) is None
    assert (forgiving.n_failed, forgiving.last_error) == (4, "store")


def test_a_store_that_failed_is_left_alone_for_a_while():
    """A server that does not answer must not make each call wait for it."""
    store = Broken()
    forgiving = Forgiving(store, rest_s=60.0)
    assert [forgiving.get("k", NOW_US) for _ in range(5)] == [None] * 5
    assert not forgiving.put("k", entry(), NOW_US, [])
    assert (store.n_asked, forgiving.n_failed) == (1, 1)


def test_a_damaged_file_is_a_miss(tmp_path):
    store = SqliteCache(tmp_path / "cache.db")
    store.put("k", entry(), ends_us=2 * NOW_US)
    store.close()
    for file in tmp_path.iterdir():
        file.write_bytes(b"no database of ours " * 500)
    forgiving = Forgiving(store)
    assert forgiving.get("k", NOW_US) is None
    assert (forgiving.n_failed, forgiving.last_error) == (1, "store.corrupt")


def test_a_locked_file_is_a_miss_after_a_moment(tmp_path):
    store = SqliteCache(tmp_path / "cache.db")
    other = sqlite3.connect(tmp_path / "cache.db")
    other.execute("BEGIN IMMEDIATE")
    forgiving = Forgiving(store)
    assert not forgiving.put("k", entry(), 2 * NOW_US, [])
    assert forgiving.last_error == "store.conflict"
    other.close()
    store.close()


def test_what_a_file_keeps_is_bounded_by_bytes(tmp_path):
    store = SqliteCache(tmp_path / "cache.db", max_bytes=10_000)
    for number in range(20):
        store.put(f"k{number}", Entry(b"x" * 1_000, "c", NOW_US + number, None), ends_us=2 * NOW_US)
    store.put("huge", Entry(b"x" * 10_001, "c", NOW_US, None), ends_us=2 * NOW_US)
    store.put("k19", Entry(b"x" * 4_000, "c", NOW_US + 99, None), ends_us=2 * NOW_US)
    kept = [number for number in range(20) if store.get(f"k{number}", now_us=NOW_US) is not None]
    assert kept == [13, 14, 15, 16, 17, 18, 19]
    assert store.get("huge", now_us=NOW_US) is None
    store.close()


def test_what_memory_keeps_is_bounded_by_bytes():
    store = MemoryCache(max_bytes=20_000)
    for number in range(20):
        store.put(f"k{number}", Entry(b"x" * 1_400, "c", NOW_US, None), ends_us=2 * NOW_US)
    store.put("huge", Entry(b"x" * 20_000, "c", NOW_US, None), ends_us=2 * NOW_US)
    assert store.count() == 10
    assert store.get("k19", now_us=NOW_US) is not None


def test_only_its_owner_reads_the_file(tmp_path):
    """Answers lie in it."""
    SqliteCache(tmp_path / "cache.db").close()
    assert {oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()} == {"0o600"}


def test_a_redis_that_is_not_there_is_a_miss_and_no_error_tells_its_password(allow_loopback):
    pytest.importorskip("redis")
    from perdure.stores.cache.redis import RedisCache

    store = RedisCache("redis://:secret@127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(StoreError) as error:
        store.get("k", now_us=NOW_US)
    assert "secret" not in f"{error.value} {error.value.facts}"
    forgiving = Forgiving(store)
    assert forgiving.get("k", NOW_US) is None
    assert not forgiving.put("k", entry(), NOW_US, [])
    with pytest.raises(BadSettings) as wrong:
        RedisCache("http://:secret@127.0.0.1")
    assert "secret" not in str(wrong.value)


@pytest.fixture
def allow_loopback(socket_enabled):
    """Sockets for the one test that looks for a server where none is."""


def test_asked_says_what_it_is():
    asked = cache().asked(members(), TEAM)
    assert isinstance(asked, Asked)
    assert len(asked.key) == 40
