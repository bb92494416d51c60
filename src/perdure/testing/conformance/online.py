"""What every online store must do, as a class of tests to inherit.

class TestSqlite(OnlineConformance):
    def open(self, root): return SqliteOnline(root / "online.db")
    def open_reader(self, root): return SqliteOnline(root / "online.db", read_only=True)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure.core.errors import LostLease, Refused
from perdure.stores.online.protocols import Online, OnlineRow


def row(key: str, event_us: int, available_us: int = 0, value: float = 0.0) -> OnlineRow:
    """A row with one feature."""
    return OnlineRow(key, (value,), event_us, available_us)


class OnlineConformance(ABC):
    """Which row is kept, and who sees it when."""

    @abstractmethod
    def open(self, root: Path) -> Online:
        """The store under `root`, for writing."""

    @abstractmethod
    def open_reader(self, root: Path) -> Online:
        """The same store, read-only, as serve opens it; it may not exist yet."""

    def test_values_of_every_type_come_back(self, tmp_path: Path) -> None:
        """In order, and a float stays a float."""
        store = self.open(tmp_path)
        kept = OnlineRow("JFK", (1.0, 2, "UA", True, None, float("inf"), -(2**53)), 5, 6)
        assert store.put("weather@1", [kept]) == 1
        found = store.get("weather@1", ["JFK", "LGA"])
        assert found == {"JFK": kept}
        assert [type(value) for value in found["JFK"].values] == [type(value) for value in kept.values]
        store.close()

    def test_the_newest_row_of_a_key_is_kept(self, tmp_path: Path) -> None:
        """By event, then by availability; of equal ones the last that came."""
        store = self.open(tmp_path)
        store.put("v", [row("a", 10, 10, 1.0)])
        assert store.put("v", [row("a", 9, 99, 2.0)]) == 0
        assert store.put("v", [row("a", 10, 9, 3.0)]) == 0
        assert store.get("v", ["a"])["a"].values == (1.0,)
        assert store.put("v", [row("a", 10, 10, 4.0)]) == 1
        assert store.get("v", ["a"])["a"].values == (4.0,)
        assert store.put("v", [row("a", 10, 11, 5.0)]) == 1
        assert store.put("v", [row("a", 11, 0, 6.0)]) == 1
        assert store.get("v", ["a"])["a"].values == (6.0,)
        store.close()

    def test_the_order_of_rows_does_not_matter(self, tmp_path: Path) -> None:
        """One put or many, in any order: the same newest row, counted once a key."""
        store = self.open(tmp_path)
        every = [
            row(f"k{key}", event, available, event * 10.0)
            for key in range(3)
            for event in range(4)
            for available in (0, 1)
        ]
        expected = {f"k{key}": row(f"k{key}", 3, 1, 30.0) for key in range(3)}
        for attempt in range(5):
            every = every[1::2] + every[::2]
            assert store.put(f"whole{attempt}", every) == 3
            for single in every:
                store.put(f"single{attempt}", [single])
            for name in ("whole", "single"):
                assert store.get(f"{name}{attempt}", list(expected)) == expected
        store.close()

    @pytest.mark.parametrize("n_keys", [0, 1, 3, 4, 1200])
    def test_a_batch_of_any_size_is_read(self, tmp_path: Path, n_keys: int) -> None:
        """Missing keys are left out and a key asked for twice is there once."""
        store = self.open(tmp_path)
        every = {f"k{number}": row(f"k{number}", number, 0, float(number)) for number in range(n_keys)}
        assert store.put("v", list(every.values())) == n_keys
        assert store.get("v", [*every, *every, "missing"]) == every
        assert store.count("v") == n_keys
        store.close()

    def test_versions_of_a_view_live_side_by_side(self, tmp_path: Path) -> None:
        """One is dropped and the other stays."""
        store = self.open(tmp_path)
        store.put("v@2", [row("a", 2)])
        store.put("v@1", [row("a", 1), row("b", 1)])
        assert store.views() == ["v@1", "v@2"]
        assert (store.count("v@1"), store.count("v@2"), store.count("v@3")) == (2, 1, 0)
        store.drop("v@1")
        store.drop("v@3")
        assert store.views() == ["v@2"]
        assert store.get("v@1", ["a"]) == {}
        assert store.get("v@2", ["a"]) == {"a": row("a", 2)}
        store.close()

    def test_a_reader_may_come_first_and_sees_each_commit_at_once(self, tmp_path: Path) -> None:
        """Nothing before the store exists, then every put as it returns."""
        reader = self.open_reader(tmp_path)
        assert (reader.get("v", ["a"]), reader.views(), reader.count("v")) == ({}, [], 0)
        writer = self.open(tmp_path)
        assert reader.get("v", ["a"]) == {}
        for number in range(3):
            writer.put("v", [row("a", number)])
            assert reader.get("v", ["a"]) == {"a": row("a", number)}
        assert (reader.views(), reader.count("v")) == (["v"], 1)
        writer.close()
        assert reader.get("v", ["a"]) == {"a": row("a", 2)}
        reader.close()

    def test_a_reader_changes_nothing(self, tmp_path: Path) -> None:
        """Serve only reads."""
        writer, reader = self.open(tmp_path), self.open_reader(tmp_path)
        writer.put("v", [row("a", 1)])
        with pytest.raises(Refused):
            reader.put("v", [row("a", 2)])
        with pytest.raises(Refused):
            reader.replace("v", [row("a", 2)])
        with pytest.raises(Refused):
            reader.drop("v")
        assert writer.get("v", ["a"]) == {"a": row("a", 1)}
        reader.close()
        writer.close()

    def test_replaced_rows_are_the_only_ones(self, tmp_path: Path) -> None:
        """Older ones take the place of newer ones; other views are not touched."""
        store = self.open(tmp_path)
        store.put("v", [row("a", 9), row("b", 9), row("c", 9)])
        store.put("w", [row("a", 9)])
        assert store.replace("v", [row("a", 1, 0, 1.0), row("a", 2, 0, 2.0), row("d", 1)]) == 2
        assert store.get("v", ["a", "b", "c", "d"]) == {"a": row("a", 2, 0, 2.0), "d": row("d", 1)}
        assert (store.count("v"), store.count("w")) == (2, 1)
        assert store.replace("v", []) == 0
        assert store.views() == ["w"]
        store.close()

    def test_a_replacing_that_fails_leaves_the_old_rows(self, tmp_path: Path) -> None:
        """It is atomic."""
        store = self.open(tmp_path)
        store.put("v", [row("a", 1)])
        with pytest.raises((OverflowError, TypeError, OSError)):
            store.replace("v", [row("b", 1), row("c", 2**70)])
        assert store.get("v", ["a", "b"]) == {"a": row("a", 1)}
        store.close()

    def test_a_lower_epoch_than_the_highest_seen_writes_nothing(self, tmp_path: Path) -> None:
        """Whichever way it writes, in this process or after opening again; its rows would be newer."""
        store = self.open(tmp_path)
        store.put("v", [row("a", 1)], epoch=3)
        stale: list[Callable[[Online], object]] = [
            lambda late: late.put("v", [row("a", 9)], epoch=2),
            lambda late: late.replace("v", [row("a", 9)], epoch=2),
            lambda late: late.drop("v", epoch=2),
        ]
        for _ in range(2):
            for write in stale:
                with pytest.raises(LostLease):
                    write(store)
            assert store.get("v", ["a"]) == {"a": row("a", 1)}
            store.close()
            store = self.open(tmp_path)
        assert store.put("v", [row("a", 2)], epoch=3) == 1
        assert store.replace("v", [row("a", 3)], epoch=4) == 1
        with pytest.raises(LostLease):
            store.put("w", [row("a", 1)], epoch=3)
        assert store.views() == ["v"]
        store.close()

    def test_an_epoch_is_seen_only_with_what_it_wrote(self, tmp_path: Path) -> None:
        """A write that fails raises no fence; without an epoch there is none, and none is raised."""
        store = self.open(tmp_path)
        with pytest.raises((OverflowError, TypeError, OSError)):
            store.put("v", [row("a", 2**70)], epoch=9)
        assert store.put("v", [row("a", 1)], epoch=2) == 1
        assert store.put("v", [row("a", 2)]) == 1
        assert store.put("v", [row("a", 3)], epoch=2) == 1
        store.close()

    def test_what_was_put_is_there_after_opening_again(self, tmp_path: Path) -> None:
        """And a closed store can be closed again."""
        store = self.open(tmp_path)
        store.put("v", [row("a", 1)])
        store.close()
        store.close()
        again = self.open(tmp_path)
        assert again.get("v", ["a"]) == {"a": row("a", 1)}
        again.close()

    def test_a_put_that_fails_leaves_nothing(self, tmp_path: Path) -> None:
        """A put of many rows is atomic."""
        store = self.open(tmp_path)
        with pytest.raises((OverflowError, TypeError, OSError)):
            store.put("v", [row("a", 1), OnlineRow("b", (object(),), 1, 1)])  # type: ignore[arg-type]
        with pytest.raises((OverflowError, TypeError, OSError)):
            store.put("v", [row("a", 1), row("b", 2**70)])
        assert store.count("v") == 0
        assert store.put("v", [row("a", 1)]) == 1
        store.close()
