"""Vectors that were not used for half a year leave the cache, once a day, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perdure.core.units import days
from perdure.loop.work.indexes.forgetting import KEPT, Forgetting
from perdure.stores.vectors.embedded import EmbeddingCache

NOW = datetime(2026, 5, 1, tzinfo=UTC)
VECTOR = b"\0\0\x80?"


class Clock:
    us = 10 * KEPT // timedelta(microseconds=1)

    def __call__(self):
        return self.us


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    made = EmbeddingCache(tmp_path / "embeddings.db", now_us=clock)
    yield made
    made.close()


def known(cache):
    return set(cache.find("words-1", ["old", "used", "new"]))


def pass_by(clock, duration):
    clock.us += duration // timedelta(microseconds=1)


def test_what_nobody_used_for_half_a_year_goes_and_what_was_used_since_stays(place, cache, clock, tmp_path):
    cache.put("words-1", {"old": VECTOR, "used": VECTOR})
    pass_by(clock, KEPT - days(2))
    cache.find("words-1", ["used"])
    pass_by(clock, days(3))
    cache.put("words-1", {"new": VECTOR})
    Forgetting(tmp_path / "embeddings.db", now_us=clock).run(place, NOW)
    assert known(cache) == {"used", "new"}


def test_it_is_done_once_a_day_whoever_asks(place, cache, clock, tmp_path):
    """The ledger says when; what grew too old meanwhile waits until then."""
    forgetting = [Forgetting(tmp_path / "embeddings.db", now_us=clock) for _ in range(2)]
    forgetting[0].run(place, NOW)
    cache.put("words-1", {"old": VECTOR})
    pass_by(clock, KEPT + days(1))
    forgetting[1].run(place, NOW + timedelta(hours=23))
    assert cache.find("words-1", ["old"]) == {"old": VECTOR}, "and this was a use"
    pass_by(clock, KEPT + days(1))
    forgetting[1].run(place, NOW + days(1))
    assert known(cache) == set()


def test_where_nothing_was_embedded_no_file_is_made_and_nothing_is_written_down(place, tmp_path):
    Forgetting(tmp_path / "none.db").run(place, NOW)
    assert not (tmp_path / "none.db").exists()
    with place.stores.ledger.read() as session:
        assert session.cursors.list("schedule/") == {}
