"""Every answer cache passes one suite: in memory, in a SQLite file, in a real Redis."""

from __future__ import annotations

import pytest

from perdure.stores.cache.memory import MemoryCache
from perdure.stores.cache.sqlite import SqliteCache
from perdure.testing.conformance.answer_cache import AnswerCacheConformance, SharedAnswerCacheConformance


class TestMemory(AnswerCacheConformance):
    def open(self, root, max_entries):
        return MemoryCache(max_entries=max_entries)


class TestSqlite(SharedAnswerCacheConformance):
    def open(self, root, max_entries):
        return SqliteCache(root / "cache.db", max_entries=max_entries)


@pytest.mark.allow_hosts(["127.0.0.1"])
class TestRedis(SharedAnswerCacheConformance):
    @pytest.fixture(autouse=True)
    def server(self, redis_url):
        self.url = redis_url

    def open(self, root, max_entries):
        from perdure.stores.cache.redis import RedisCache

        return RedisCache(self.url, project=root.name, max_entries=max_entries, timeout_s=5.0)
