"""What every lake must do, as a class of tests to inherit.

class TestDelta(LakeConformance):
    def open(self, root): return DeltaLake(root)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from perdure.core.errors import DeclarationError, NotFound
from perdure.stores.lake.protocols import AppTransaction, Lake, Span

_START = datetime(2013, 3, 1, tzinfo=UTC)


def rows(*numbers: int, **more: pl.Series) -> pl.DataFrame:
    """A row a number: `n`, and `at`, so many hours after a fixed start."""
    at = [_START + timedelta(hours=number) for number in numbers]
    own = {"n": pl.Series(numbers, dtype=pl.Int64), "at": pl.Series(at, dtype=pl.Datetime("us", "UTC"))}
    return pl.DataFrame({**own, **more})


class LakeConformance(ABC):
    """Types, versions, idempotence and pruning of tables."""

    @abstractmethod
    def open(self, root: Path) -> Lake:
        """A lake under `root`; a second one under the same root sees the same tables."""

    def numbers(self, lake: Lake, table: str, *, span: Span | None = None, version: int | None = None) -> list[int]:
        """Column `n`, sorted."""
        return sorted(lake.read(table, columns=["n"], span=span, version=version)["n"])

    def test_a_table_that_is_not_there(self, tmp_path: Path) -> None:
        """No version, no transaction, and the reader is told the nearest name."""
        lake = self.open(tmp_path)
        assert lake.version("captures/a") is None
        assert lake.last_transaction("captures/a", "drain") is None
        assert lake.tables() == []
        lake.append("captures/air_time", rows(1))
        with pytest.raises(NotFound, match="captures/air_time"):
            lake.read("captures/air_tim")

    def test_dtypes_and_values_come_back_as_they_were(self, tmp_path: Path) -> None:
        """Nulls, NaN and microseconds included."""
        lake = self.open(tmp_path)
        frame = pl.DataFrame(
            {
                "text": pl.Series(["é", "", None], dtype=pl.String),
                "double": pl.Series([1.1, float("nan"), None], dtype=pl.Float64),
                "single": pl.Series([1.5, float("nan"), None], dtype=pl.Float32),
                "vector": pl.Series([[1.5, float("nan")], [], None], dtype=pl.List(pl.Float32)),
                "at": pl.Series([_START, _START + timedelta(microseconds=1), None], dtype=pl.Datetime("us", "UTC")),
                "whole": pl.Series([2**62, -1, None], dtype=pl.Int64),
                "flag": pl.Series([True, False, None], dtype=pl.Boolean),
                "raw": pl.Series([b"\0\xff", b"", None], dtype=pl.Binary),
            }
        )
        lake.append("t", frame)
        found = lake.read("t")
        assert found.schema == frame.schema
        assert found.equals(frame)
        assert lake.read("t", columns=["flag", "text"]).columns == ["flag", "text"]

    def test_each_append_makes_a_version_that_stays(self, tmp_path: Path) -> None:
        """A pinned version is read as it was, also after maintenance."""
        lake = self.open(tmp_path)
        first = lake.append("t", rows(1))
        second = lake.append("t", rows(2, 3))
        assert lake.version("t") == second > first
        lake.maintain("t")
        lake.maintain("t")
        assert self.numbers(lake, "t") == [1, 2, 3]
        assert self.numbers(lake, "t", version=first) == [1]
        assert self.numbers(lake, "t", version=second) == [1, 2, 3]
        with pytest.raises(NotFound):
            lake.read("t", version=99)

    def test_an_append_under_a_number_that_was_seen_does_nothing(self, tmp_path: Path) -> None:
        """Per table and app; smaller numbers too; a second lake and maintenance change nothing."""
        lake = self.open(tmp_path)
        version = lake.append("t", rows(1), transaction=AppTransaction("drain", 5))
        again = self.open(tmp_path)
        assert again.append("t", rows(9), transaction=AppTransaction("drain", 5)) == version
        assert again.append("t", rows(9), transaction=AppTransaction("drain", 4)) == version
        again.append("t", rows(2), transaction=AppTransaction("intake", 1))
        again.append("other", rows(3), transaction=AppTransaction("drain", 1))
        lake.maintain("t")
        lake.append("t", rows(9), transaction=AppTransaction("drain", 5))
        lake.append("t", rows(4), transaction=AppTransaction("drain", 6))
        assert self.numbers(lake, "t") == [1, 2, 4]
        assert lake.last_transaction("t", "drain") == 6
        assert lake.last_transaction("t", "intake") == 1
        assert lake.last_transaction("t", "nobody") is None

    def test_new_columns_are_added_and_missing_ones_are_null(self, tmp_path: Path) -> None:
        """Old rows are null in a new column and new rows in one they lack, read whole or in part."""
        lake = self.open(tmp_path)
        lake.append("t", rows(1, old=pl.Series(["a"])))
        lake.append("t", rows(2, new=pl.Series(["b"])))
        lake.append("t", rows(3, new=pl.Series([None])))
        found = lake.read("t").sort("n")
        assert found.schema == {**rows(1).schema, "old": pl.String, "new": pl.String}
        assert found["old"].to_list() == ["a", None, None]
        assert found["new"].to_list() == [None, "b", None]
        early = lake.read("t", columns=["new"], span=Span("at", None, _START + timedelta(hours=2)))
        assert early["new"].to_list() == [None]

    def test_a_column_never_changes_its_dtype(self, tmp_path: Path) -> None:
        """Nor is a dtype taken that would come back as another one."""
        lake = self.open(tmp_path)
        lake.append("t", rows(1))
        with pytest.raises(DeclarationError, match="'n'"):
            lake.append("t", rows(1).with_columns(n=pl.lit(1.5)))
        for wrong in (
            pl.Series([200], dtype=pl.UInt8),
            pl.Series([None]),
            pl.Series([_START.replace(tzinfo=None)]),
            pl.Series([["a"]], dtype=pl.List(pl.Categorical)),
            pl.Series([{"a": 1}], dtype=pl.Struct({"a": pl.UInt32})),
        ):
            with pytest.raises(DeclarationError, match="'more'"):
                lake.append("t", rows(2, more=wrong))
        assert self.numbers(lake, "t") == [1]

    def test_a_span_holds_its_start_and_not_its_end(self, tmp_path: Path) -> None:
        """To the microsecond, over several files, either side open; rows without the instant are outside."""
        lake = self.open(tmp_path)
        for day in range(4):
            lake.append("t", rows(*range(day * 24, day * 24 + 24)))
        lake.append("t", rows(999).with_columns(at=pl.lit(None, pl.Datetime("us", "UTC"))))
        tick = timedelta(microseconds=1)
        end = _START + timedelta(hours=47)
        assert self.numbers(lake, "t", span=Span("at", end, None)) == list(range(47, 96))
        assert self.numbers(lake, "t", span=Span("at", end + tick, None)) == list(range(48, 96))
        assert self.numbers(lake, "t", span=Span("at", None, end)) == list(range(47))
        assert self.numbers(lake, "t", span=Span("at", None, end + tick)) == list(range(48))
        assert self.numbers(lake, "t", span=Span("at", end, end + tick)) == [47]
        assert self.numbers(lake, "t", span=Span("at", end, end)) == []

    def test_a_span_may_be_of_whole_numbers(self, tmp_path: Path) -> None:
        """Such as batches: the start is in it, the end is not."""
        lake = self.open(tmp_path)
        for first in (0, 10):
            lake.append("t", rows(*range(first, first + 10)))
        assert self.numbers(lake, "t", span=Span("n", 8, 12)) == [8, 9, 10, 11]
        assert self.numbers(lake, "t", span=Span("n", 18)) == [18, 19]

    def test_the_last_instant_of_a_file_is_found_to_the_microsecond(self, tmp_path: Path) -> None:
        """Statistics may be cut to milliseconds: a file whose maximum was cut must still be read."""
        lake = self.open(tmp_path)
        last = _START + timedelta(microseconds=1_999)
        lake.append("t", rows(1).with_columns(at=pl.lit(last, pl.Datetime("us", "UTC"))))
        assert self.numbers(lake, "t", span=Span("at", last, None)) == [1]

    def test_a_frame_without_rows_makes_the_table(self, tmp_path: Path) -> None:
        """And counts as seen under its number."""
        lake = self.open(tmp_path)
        lake.append("t", rows(), transaction=AppTransaction("drain", 1))
        lake.append("t", rows(1), transaction=AppTransaction("drain", 1))
        assert lake.read("t").equals(rows())

    def test_names_are_listed_sorted_by_prefix(self, tmp_path: Path) -> None:
        """Folders that are no tables do not count."""
        lake = self.open(tmp_path)
        for name in ("labels/b", "captures/b", "captures/a", "quarantine"):
            lake.append(name, rows(1))
        assert lake.tables() == ["captures/a", "captures/b", "labels/b", "quarantine"]
        assert lake.tables("captures/") == ["captures/a", "captures/b"]

    @pytest.mark.parametrize("name", ["", "/etc", "../up", "a/../b", "a//b", "a b", ".hidden"])
    def test_a_name_never_leaves_the_lake(self, tmp_path: Path, name: str) -> None:
        """A name is parts of plain characters."""
        lake = self.open(tmp_path)
        with pytest.raises(DeclarationError):
            lake.append(name, rows(1))
        with pytest.raises(DeclarationError):
            lake.read(name)

    def test_columns_that_are_not_there_are_not_found(self, tmp_path: Path) -> None:
        """In the selection and in the span."""
        lake = self.open(tmp_path)
        lake.append("t", rows(1))
        with pytest.raises(NotFound, match="'at'"):
            lake.read("t", columns=["att"])
        with pytest.raises(NotFound, match="'at'"):
            lake.read("t", span=Span("aat", _START))

    def test_two_lakes_append_in_turns(self, tmp_path: Path) -> None:
        """Each sees the other's commits, and no row is lost or doubled, maintained in turns as well."""
        first, second = self.open(tmp_path), self.open(tmp_path)
        for number in range(0, 6, 2):
            first.append("t", rows(number))
            second.append("t", rows(number + 1))
            first.maintain("t")
            second.maintain("t")
        assert self.numbers(first, "t") == self.numbers(second, "t") == list(range(6))
        assert first.version("t") == second.version("t")
