"""Vectors by content: found again by the same embedder alone, whole or not at all, and forgotten by their last use."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from perdure.core.errors import BadIndex, StoreError
from perdure.stores.vectors.embedded import EmbeddingCache

DAY_US = 86_400_000_000


class Clock:
    now_us = 100 * DAY_US

    def __call__(self):
        return self.now_us


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    cache = EmbeddingCache(tmp_path / "stores" / "embeddings.db", now_us=clock)
    yield cache
    cache.close()


def a_vector(number):
    return np.full(8, number, "<f4").tobytes()


def test_what_was_put_is_found_by_its_embedder_alone(cache):
    cache.put("one", {"a": a_vector(1), "b": a_vector(2)})
    cache.put("other", {"a": a_vector(3)})
    assert cache.find("one", ["b", "a", "c"]) == {"a": a_vector(1), "b": a_vector(2)}
    assert cache.find("other", ["a", "b"]) == {"a": a_vector(3)}
    assert cache.find("unknown", ["a"]) == {} == cache.find("one", [])


def test_thousands_are_found_at_once(cache):
    put = {f"{i:032x}": a_vector(i) for i in range(3_000)}
    cache.put("one", put)
    assert cache.find("one", list(put)) == put


def test_of_one_digest_the_last_stands(cache):
    cache.put("one", {"a": a_vector(1)})
    cache.put("one", {"a": a_vector(2)})
    assert cache.find("one", ["a"]) == {"a": a_vector(2)}


def test_it_is_there_when_the_file_is_opened_again(cache, tmp_path):
    cache.put("one", {"a": a_vector(1)})
    again = EmbeddingCache(tmp_path / "stores" / "embeddings.db")
    assert again.find("one", ["a"]) == {"a": a_vector(1)}
    again.close()


def test_a_vector_that_was_damaged_is_not_known(cache, tmp_path):
    cache.put("one", {"a": a_vector(1), "b": a_vector(2)})
    with sqlite3.connect(tmp_path / "stores" / "embeddings.db") as other:
        other.execute("UPDATE vectors SET vector = ? WHERE digest = 'a'", (a_vector(9),))
    other.close()
    assert cache.find("one", ["a", "b"]) == {"b": a_vector(2)}


def test_half_a_float_is_refused_with_all_that_came_with_it(cache):
    with pytest.raises(BadIndex):
        cache.put("one", {"a": a_vector(1), "b": b"123"})
    assert cache.find("one", ["a", "b"]) == {}


def test_what_nobody_used_for_long_is_forgotten_and_what_was_found_lately_stays(cache, clock):
    cache.put("one", {"a": a_vector(1), "b": a_vector(2)})
    clock.now_us += 40 * DAY_US
    cache.find("one", ["a"])
    cache.put("other", {"c": a_vector(3)})
    assert cache.forget(clock.now_us - 30 * DAY_US) == 1
    assert cache.find("one", ["a", "b"]) == {"a": a_vector(1)}
    assert cache.find("other", ["c"]) == {"c": a_vector(3)}
    assert cache.forget(clock.now_us + 1) == 2


def test_threads_and_another_opening_put_side_by_side(cache, tmp_path):
    other = EmbeddingCache(tmp_path / "stores" / "embeddings.db")

    def put(i):
        (cache, other)[i % 2].put("one", {f"{i}": a_vector(i), "shared": a_vector(7)})
        return cache.find("one", [f"{i}", "shared"])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(put, range(60)))
    assert found == [{f"{i}": a_vector(i), "shared": a_vector(7)} for i in range(60)]
    other.close()


def test_a_file_of_another_format_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "e.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="format 99"):
        EmbeddingCache(tmp_path / "e.db")


def test_a_file_that_is_no_database_is_laid_aside(tmp_path):
    (tmp_path / "e.db").write_bytes(b"no database at all" * 100)
    cache = EmbeddingCache(tmp_path / "e.db")
    cache.put("e1", {"d1": a_vector(1)})
    assert cache.find("e1", ["d1"]) == {"d1": a_vector(1)}
    cache.close()
    assert (tmp_path / "e.db.damaged").read_bytes().startswith(b"no database")
