"""What every answer cache must do, as a class of tests to inherit.

class TestMemory(AnswerCacheConformance):
    def open(self, root, max_entries): return MemoryCache(max_entries=max_entries)

class TestSqlite(SharedAnswerCacheConformance):
    def open(self, root, max_entries): return SqliteCache(root / "cache.db", max_entries=max_entries)
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from perdure.stores.cache.protocols import AnswerCache, Entry

NOW_US = 1_000_000
ENDS_US = 2_000_000


def entry(number: int, *, made_us: int = NOW_US) -> Entry:
    """An answer, number `number`."""
    return Entry(b'{"n":%d}' % number, f"c_{number}", made_us, number * 1_000, f"How many is {number}?")


def direction(*numbers: float) -> NDArray[np.float32]:
    """A vector."""
    return np.array(numbers, dtype=np.float32)


class AnswerCacheConformance(ABC):
    """What is kept, for how long, and what is nearest."""

    @abstractmethod
    def open(self, root: Path, max_entries: int) -> AnswerCache:
        """The cache under `root`; opened twice there, a shared one shows the same."""

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Iterator[AnswerCache]:
        """A cache with room enough."""
        cache = self.open(tmp_path, 1_000)
        yield cache
        cache.close()

    def test_an_entry_comes_back_as_it_was_put(self, cache: AnswerCache) -> None:
        """Unknown costs and every character too."""
        kept = Entry('{"text":"é\\u0000😀"}'.encode(), "c_1", 123, None, "Où ?\n\0\N{PILE OF POO}")
        cache.put("k", kept, ends_us=ENDS_US)
        cache.put("free", replace(kept, cost_pusd=0, question=""), ends_us=ENDS_US)
        assert cache.get("k", now_us=NOW_US) == kept
        assert cache.get("free", now_us=NOW_US) == replace(kept, cost_pusd=0, question="")
        assert cache.get("other", now_us=NOW_US) is None
        assert cache.count() == 2

    def test_an_entry_lives_until_its_end_and_not_at_it(self, cache: AnswerCache) -> None:
        """The end is an instant of the domain's time, whatever the machine's clock says."""
        cache.put("k", entry(1), ends_us=ENDS_US)
        assert cache.get("k", now_us=ENDS_US - 1) == entry(1)
        assert cache.get("k", now_us=ENDS_US) is None

    def test_of_the_same_key_the_last_entry_counts(self, cache: AnswerCache) -> None:
        """With its own end and its own tags."""
        cache.put("k", entry(1), ends_us=NOW_US + 1, tags=["source:old"])
        cache.put("k", entry(2), ends_us=ENDS_US, tags=["source:new"])
        assert cache.get("k", now_us=NOW_US + 2) == entry(2)
        assert cache.drop(["source:old"]) == 0
        assert cache.get("k", now_us=NOW_US) == entry(2)
        assert cache.drop(["source:new"]) == 1
        assert cache.get("k", now_us=NOW_US) is None

    def test_entries_are_dropped_by_their_tags(self, cache: AnswerCache) -> None:
        """Those with one of the tags, each counted once; a second time there are none."""
        cache.put("both", entry(1), ends_us=ENDS_US, tags=["source:handbook", "route:support"])
        cache.put("one", entry(2), ends_us=ENDS_US, tags=["route:support"])
        cache.put("none", entry(3), ends_us=ENDS_US)
        assert cache.drop(["source:nothing"]) == 0
        assert cache.drop([]) == 0
        assert cache.drop(["source:handbook", "route:support"]) == 2
        assert [cache.get(key, now_us=NOW_US) for key in ("both", "one", "none")] == [None, None, entry(3)]
        assert cache.drop(["source:handbook", "route:support"]) == 0
        assert cache.count() == 1

    def test_a_tag_may_hold_any_character(self, cache: AnswerCache) -> None:
        """Names of sources are not ours alone."""
        tags = ['source:"é"', "source:a\nb", "source:*", "source:\\"]
        for number, tag in enumerate(tags):
            cache.put(f"k{number}", entry(number), ends_us=ENDS_US, tags=[tag])
        assert [cache.drop([tag]) for tag in tags] == [1] * 4

    def test_what_was_used_the_longest_ago_goes_first(self, tmp_path: Path) -> None:
        """A use is a `put` or a `get` that found it."""
        cache = self.open(tmp_path, 3)
        for number in range(3):
            cache.put(f"k{number}", entry(number, made_us=NOW_US + number), ends_us=ENDS_US, tags=["t"])
        assert cache.get("k0", now_us=NOW_US + 10) is not None
        cache.put("k3", entry(3, made_us=NOW_US + 20), ends_us=ENDS_US)
        assert cache.count() == 3
        found = [cache.get(f"k{number}", now_us=NOW_US + 30) is not None for number in range(4)]
        assert found == [True, False, True, True]
        assert cache.drop(["t"]) == 2
        cache.close()

    def test_a_cache_of_one_keeps_the_newest(self, tmp_path: Path) -> None:
        """Its own entry is not what makes room for itself, even where its clock is behind."""
        cache = self.open(tmp_path, 1)
        cache.put("old", entry(1, made_us=NOW_US + 5), ends_us=ENDS_US)
        cache.put("new", entry(2), ends_us=ENDS_US)
        assert (cache.get("old", now_us=NOW_US), cache.get("new", now_us=NOW_US)) == (None, entry(2))
        cache.close()

    def test_the_nearest_is_by_cosine_whatever_the_lengths(self, cache: AnswerCache) -> None:
        """3-4-5 and the axes: cosines .8, .6, and 1 of a vector with itself."""
        for key, vector in {"x": direction(10, 0), "y": direction(0, 0.1)}.items():
            cache.put(key, entry(1), ends_us=ENDS_US)
            cache.put_vector("s", key, vector)
        near = cache.nearest("s", direction(3, 4), now_us=NOW_US)
        assert near is not None
        assert (near.key, near.entry) == ("y", entry(1))
        assert near.similarity == pytest.approx(0.8, abs=1e-6)
        itself = cache.nearest("s", direction(7, 0), now_us=NOW_US)
        assert itself is not None
        assert itself.key == "x"
        assert 0.999999 < itself.similarity <= 1.0

    def test_spaces_know_nothing_of_each_other(self, cache: AnswerCache) -> None:
        """A tenant's question never finds another's answer."""
        cache.put("k", entry(1), ends_us=ENDS_US)
        cache.put_vector("mine", "k", direction(1, 0))
        assert cache.nearest("yours", direction(1, 0), now_us=NOW_US) is None
        assert cache.nearest("mine", direction(1, 0), now_us=NOW_US) is not None

    def test_the_nearest_lives(self, cache: AnswerCache) -> None:
        """What is over, was dropped or was never put makes place for the next, however many there are."""
        for number in range(120):
            ends_us, tag = (NOW_US + 5, "t:a") if number % 2 else (ENDS_US, "t:b")
            cache.put(f"k{number}", entry(number), ends_us=ends_us, tags=[tag])
            cache.put_vector("s", f"k{number}", direction(1, number / 1000))
        cache.put("far", entry(999), ends_us=ENDS_US)
        cache.put_vector("s", "far", direction(-1, 1))
        cache.put_vector("s", "never", direction(1, 0))
        assert _nearest(cache) == "k0"
        assert _nearest(cache, now_us=NOW_US + 5) == "k0"
        assert cache.drop(["t:b"]) == 60
        assert _nearest(cache, now_us=NOW_US + 5) == "far"
        assert cache.nearest("s", direction(1, 0), now_us=ENDS_US) is None

    def test_of_one_key_the_last_vector_counts(self, cache: AnswerCache) -> None:
        """Its former place is not near any more."""
        cache.put("k", entry(1), ends_us=ENDS_US)
        cache.put_vector("s", "k", direction(1, 0))
        assert _nearest(cache) == "k"
        cache.put_vector("s", "k", direction(0, 1))
        near = cache.nearest("s", direction(1, 0), now_us=NOW_US)
        assert near is not None
        assert near.similarity == pytest.approx(0.0, abs=1e-6)

    def test_a_vector_without_a_direction_is_near_to_nothing(self, cache: AnswerCache) -> None:
        """Zero, and numbers that are none; asked for or kept."""
        cache.put("k", entry(1), ends_us=ENDS_US)
        for vector in (direction(0, 0), direction(float("nan"), 1), direction(float("inf"), 1)):
            cache.put_vector("s", "k", vector)
            assert _nearest(cache) is None
        cache.put_vector("s", "k", direction(1, 0))
        assert cache.nearest("s", direction(0, 0), now_us=NOW_US) is None
        assert cache.nearest("s", direction(1, 0, 0), now_us=NOW_US) is None
        assert _nearest(cache) == "k"

    def test_threads_share_a_cache(self, cache: AnswerCache) -> None:
        """No entry is another's, and none is lost."""
        wrong = []

        def work(worker: int) -> None:
            for number in range(30):
                key = f"{worker}-{number}"
                cache.put(key, entry(number), ends_us=ENDS_US, tags=["t"])
                cache.put_vector(f"s{worker}", key, direction(worker + 1, number))
                near = cache.nearest(f"s{worker}", direction(worker + 1, number), now_us=NOW_US)
                if cache.get(key, now_us=NOW_US) != entry(number) or near is None or near.similarity < 0.999:
                    wrong.append(key)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert cache.count() == cache.drop(["t"]) == 120


class SharedAnswerCacheConformance(AnswerCacheConformance):
    """What more a cache must do that several processes open."""

    def test_what_one_puts_another_gets(self, tmp_path: Path) -> None:
        """Entries, vectors and drops, at once."""
        one, two = self.open(tmp_path, 100), self.open(tmp_path, 100)
        one.put("k", entry(1), ends_us=ENDS_US, tags=["t"])
        one.put_vector("s", "k", direction(1, 0))
        assert two.get("k", now_us=NOW_US) == entry(1)
        assert _nearest(two) == "k"
        one.put("nearer", entry(2), ends_us=ENDS_US)
        one.put_vector("s", "nearer", direction(2, 0.01))
        one.put_vector("s", "k", direction(0, 1))
        assert _nearest(two) == "nearer"
        assert two.drop(["t"]) == 1
        assert one.get("k", now_us=NOW_US) is None
        assert (one.count(), two.count()) == (1, 1)
        one.close()
        two.close()

    def test_what_was_put_outlives_its_process(self, tmp_path: Path) -> None:
        """And a closed cache opens again by itself."""
        cache = self.open(tmp_path, 100)
        cache.put("k", entry(1), ends_us=ENDS_US, tags=["t"])
        cache.put_vector("s", "k", direction(1, 0))
        cache.close()
        again = self.open(tmp_path, 100)
        assert (again.get("k", now_us=NOW_US), _nearest(again)) == (entry(1), "k")
        again.close()
        assert cache.get("k", now_us=NOW_US) == entry(1)
        cache.close()

    def test_entries_that_are_over_are_purged_as_others_come(self, tmp_path: Path) -> None:
        """They do not wait for the cache to be full."""
        cache = self.open(tmp_path, 1_000)
        for number in range(20):
            cache.put(f"k{number}", entry(number), ends_us=NOW_US + 1, tags=["t"])
        cache.put("late", entry(99, made_us=ENDS_US), ends_us=ENDS_US + 5)
        assert cache.count() == 1
        assert cache.drop(["t"]) == 0
        cache.close()


def _nearest(cache: AnswerCache, *, now_us: int = NOW_US) -> str | None:
    """Key of what is nearest to the first axis in the space `s`."""
    near = cache.nearest("s", direction(1, 0), now_us=now_us)
    return None if near is None else near.key
