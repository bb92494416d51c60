"""Memory, SQLite and Redis pass the conformance suite of the counters."""

from __future__ import annotations

import shutil
import socket
import subprocess

import pytest

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import BadSettings, StoreError
from perdure.stores.counters.memory import MemoryCounters
from perdure.stores.counters.redis import RedisCounters
from perdure.stores.counters.sqlite import SqliteCounters
from perdure.testing.conformance.counters import CountersConformance, claim, levels, take

LOOPBACK = pytest.mark.allow_hosts(["127.0.0.1", "::1"])


class TestMemory(CountersConformance):
    @pytest.fixture
    def counters(self):
        return MemoryCounters()


class TestSqlite(CountersConformance):
    @pytest.fixture
    def counters(self, tmp_path):
        store = SqliteCounters(tmp_path / "counters.db")
        yield store
        store.close()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """(port, process) of a Redis of our own on a free port of the loopback."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    folder = str(tmp_path_factory.mktemp("redis"))
    server = subprocess.Popen([program, *options, "--dir", folder], stdout=subprocess.DEVNULL)
    yield port
    server.terminate()
    server.wait(60)


@pytest.fixture
def redis_url(redis_server, request, socket_enabled):
    return f"redis://127.0.0.1:{redis_server}/0"


@pytest.fixture
def redis_counters(redis_url, request):
    store = RedisCounters(redis_url, namespace=f"{{{request.node.name}}}")
    deadline_s = monotonic_s() + 60.0
    while True:
        try:
            store.read(["ready"])
            break
        except StoreError:
            assert monotonic_s() < deadline_s
            sleep_s(0.02)
    yield store
    store.close()


@LOOPBACK
class TestRedis(CountersConformance):
    @pytest.fixture
    def counters(self, redis_counters):
        return redis_counters


@LOOPBACK
def test_keys_of_redis_end_by_themselves(redis_counters):
    """Buckets with a window, and ended holds; what goes on has no end."""
    take(redis_counters, "h1", claim("a", 1), claim("total", 1, ends_us=0))
    take(redis_counters, "h2", claim("a", 1))
    redis_counters.settle("h1", {"a": 1}, now_us=0)
    client, prefix = redis_counters._client, redis_counters._prefix
    ends = {key.removeprefix(prefix): client.ttl(key) > 0 for key in client.scan_iter(f"{prefix}*")}

    assert ends == {"bucket:a": True, "bucket:total": False, "hold:h1": True, "hold:h2": False, "holds": False}


@LOOPBACK
def test_a_redis_that_is_away_is_a_store_error_that_tells_no_password():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    counters = RedisCounters(f"redis://ann:secret@127.0.0.1:{port}/0")

    with pytest.raises(StoreError, match=f"127.0.0.1:{port}") as caught:
        counters.read(["a"])

    assert "secret" not in f"{caught.value} {caught.value.facts}"


@LOOPBACK
def test_a_lost_script_is_loaded_again(redis_counters):
    take(redis_counters, "h1", claim("a", 1))
    redis_counters._client.script_flush()

    assert take(redis_counters, "h2", claim("a", 1)).ok


@pytest.mark.parametrize("url", ["http://x", "redis://[", "nothing"])
def test_what_is_no_address_of_redis_is_told(url):
    with pytest.raises(BadSettings, match=r"limits\.url is no address of Redis"):
        RedisCounters(url)


def test_a_file_of_another_format_is_not_touched(tmp_path):
    store = SqliteCounters(tmp_path / "counters.db")
    store._connection.execute("PRAGMA user_version = 9")
    store.close()

    with pytest.raises(StoreError, match="format 9"):
        SqliteCounters(tmp_path / "counters.db")


def test_what_was_counted_is_there_after_opening_again(tmp_path):
    store = SqliteCounters(tmp_path / "deep" / "counters.db")
    take(store, "h", claim("a", 5))
    store.close()
    again = SqliteCounters(tmp_path / "deep" / "counters.db")

    assert levels(again, "a") == [(0, 5)]
    again.close()


def test_old_buckets_and_holds_leave_the_file(tmp_path):
    """What ended a day before is forgotten by the next expiry."""
    store = SqliteCounters(tmp_path / "counters.db")
    take(store, "h", claim("a", 5))
    store.settle("h", {"a": 5}, now_us=0)
    store.expire(now_us=2 * 10**15, charge=True)

    rows = [store._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("buckets", "holds")]
    assert rows == [0, 0]
    store.close()
