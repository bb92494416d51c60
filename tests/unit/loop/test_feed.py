"""Reading a source: parsed and judged once, cut by when rows could be known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from perdure import Contract, Source, csv, hours, parquet
from perdure.core.errors import BadSource, MissingExtra
from perdure.loop.work.feed import Feeds


class Seen(Contract):
    """A sensor's row."""

    sensor: str
    at: datetime
    value: float | None


def _source(path: Path, **options: object) -> Source:
    return Source("seen", contract=Seen, read=csv(path, **options), event_at="at", available_at=hours(1))  # type: ignore[arg-type]


def test_rows_are_cut_by_when_they_could_be_known(tmp_path: Path) -> None:
    """An observation of 6 o'clock that takes an hour to arrive is not there at 6:59."""
    path = tmp_path / "seen.csv"
    path.write_text("sensor,at,value\na,2025-01-01T06:00:00Z,1.5\na,2025-01-01T07:00:00Z,\n")
    rows = Feeds().rows(_source(path))
    before = rows.between(None, datetime(2025, 1, 1, 6, 59, tzinfo=UTC))
    after = rows.between(None, datetime(2025, 1, 1, 7, tzinfo=UTC))
    assert (before.n_rows, after.n_rows) == (0, 1)
    assert after.good["value"].to_list() == [1.5]
    assert rows.between(datetime(2025, 1, 1, 7, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)).good["value"][0] is None


def test_a_row_that_breaks_its_contract_is_kept_with_its_reasons(tmp_path: Path) -> None:
    path = tmp_path / "seen.csv"
    path.write_text("sensor,at,value\na,2025-01-01T06:00:00Z,1\nb,2025-01-01T06:00:00Z,cold\n")
    rows = Feeds().rows(_source(path))
    assert rows.good["sensor"].to_list() == ["a"]
    assert rows.bad.height == 1
    assert "cold" in rows.bad["row"][0]
    assert "value" in rows.bad["errors"][0]
    assert rows.bad["_available_at"][0] == datetime(2025, 1, 1, 7, tzinfo=UTC)


def test_instants_without_a_zone_are_refused_unless_a_zone_is_declared(tmp_path: Path) -> None:
    path = tmp_path / "seen.csv"
    path.write_text("sensor,at,value\na,2025-07-01 06:00:00,1\nb,2025-07-01,2\nc,2025-07-01T06:00:00+02:00,3\n")
    assert Feeds().rows(_source(path)).good["sensor"].to_list() == ["c"]
    zoned = Feeds().rows(_source(path, timezone="Europe/Berlin")).good.sort("sensor")
    assert zoned["at"].to_list() == [
        datetime(2025, 7, 1, 4, tzinfo=UTC),
        datetime(2025, 6, 30, 22, tzinfo=UTC),
        datetime(2025, 7, 1, 4, tzinfo=UTC),
    ]


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    path, feeds = tmp_path / "seen.csv", Feeds()
    path.write_text("sensor,at,value\na,2025-01-01T06:00:00Z,1\n")
    first = feeds.rows(_source(path))
    assert feeds.rows(_source(path)) is first
    path.write_text("sensor,at,value\na,2025-01-01T06:00:00Z,1\nb,2025-01-01T07:00:00Z,2\n")
    assert feeds.rows(_source(path)).good.height == 2


def test_a_frame_that_is_built_anew_is_judged_again_only_when_its_content_changed() -> None:
    frames = [
        pl.DataFrame({"sensor": ["a"], "at": [datetime(2025, 1, 1, tzinfo=UTC)], "value": [each]})
        for each in (1.0, 2.0)
    ]
    source = Source("seen", contract=Seen, read=lambda: pl.DataFrame(frames[0]), event_at="at")
    feeds = Feeds()
    first = feeds.rows(source)
    assert feeds.rows(source) is first
    frames.reverse()
    assert feeds.rows(source).good["value"].to_list() == [2.0]


def test_columns_are_renamed_and_parquet_reads_alike(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a"], "when": [datetime(2025, 1, 1, tzinfo=UTC)], "value": [2.0]})
    frame.write_parquet(tmp_path / "seen.parquet")
    read = parquet(tmp_path / "seen.parquet", rename={"id": "sensor", "when": "at"})
    source = Source("seen", contract=Seen, read=read, event_at="at")
    assert Feeds().rows(source).good.select("sensor", "value").rows() == [("a", 2.0)]


def test_a_reader_that_returns_something_else_is_told_what_to_return() -> None:
    source = Source("seen", contract=Seen, read=lambda: [1, 2], event_at="at")  # type: ignore[arg-type, return-value]
    with pytest.raises(BadSource, match=r"returned a list.*Return polars"):
        Feeds().rows(source)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="does not exist"):
        Feeds().rows(_source(tmp_path / "none.csv"))


def test_an_error_that_a_reader_raises_on_purpose_keeps_its_words() -> None:
    def read() -> pl.DataFrame:
        raise MissingExtra("demo", needed_for="This source")

    with pytest.raises(MissingExtra, match=r"pip install 'perdure\[demo\]'"):
        Feeds().rows(Source("seen", contract=Seen, read=read, event_at="at"))
