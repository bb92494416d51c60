"""The as-of join by example; the property tests compare it with its definition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from perdure.core.errors import BadView
from perdure.engines.features import EXPIRED, FRESH, MISSING, NOT_YET, as_of_join


def _at(hour: int) -> datetime:
    return datetime(2013, 1, 1, hour, tzinfo=UTC)


def _history(*rows: tuple) -> pl.DataFrame:
    """Rows (key, hour of event, hour of availability, value)."""
    data = [(key, _at(event), _at(known), value) for key, event, known, value in rows]
    return pl.DataFrame(data, schema=["k", "event", "known", "v"], orient="row")


def _join(history: pl.DataFrame, keys: list, hours: list[int], ttl: timedelta | None = None) -> list[tuple]:
    asked = pl.DataFrame({"k": keys, "t": [_at(hour) for hour in hours]})
    return as_of_join(asked, "t", history, "k", ("event", "known"), ttl).select("v", "_status").rows()


def test_a_correction_counts_from_when_it_became_available():
    """Not from the instant it is about."""
    history = _history(("a", 1, 1, "first"), ("a", 1, 5, "corrected"))
    assert _join(history, ["a", "a"], [4, 5]) == [("first", FRESH), ("corrected", FRESH)]


def test_a_late_row_of_an_older_event_hides_nothing():
    """The newer event that was known before it stays the newest."""
    history = _history(("a", 3, 3, "new"), ("a", 1, 6, "late"))
    assert _join(history, ["a"], [7]) == [("new", FRESH)]


def test_the_ttl_is_counted_from_the_event_and_includes_its_end():
    """A row that became available late is not younger for it."""
    history = _history(("a", 1, 3, "x"))
    ttl = timedelta(hours=4)
    assert _join(history, ["a", "a"], [5, 6], ttl) == [("x", FRESH), (None, EXPIRED)]


def test_a_newer_event_that_is_expired_is_not_replaced_by_an_older_one():
    """The newest known row decides, and it says: too old."""
    history = _history(("a", 1, 1, "old"), ("a", 2, 2, "newer"))
    assert _join(history, ["a"], [9], timedelta(hours=1)) == [(None, EXPIRED)]


def test_a_key_that_is_known_only_later_is_told_from_one_that_is_unknown():
    """Not yet available, and missing."""
    assert _join(_history(("a", 9, 9, "x")), ["a", "b"], [5, 5]) == [(None, NOT_YET), (None, MISSING)]


def test_keys_of_different_types_meet_as_texts():
    """A request's "7" finds the source's 7, as it does in the online store."""
    assert _join(_history((7, 1, 1, "x")), ["7", "8"], [2, 2]) == [("x", FRESH), (None, MISSING)]


def test_a_column_that_is_missing_is_named():
    """With the nearest one that is there."""
    with pytest.raises(BadView, match=r"history have no column 'knwon'.*'known'|The history .*'knwon'.*'known'"):
        as_of_join(pl.DataFrame({"k": ["a"], "t": [_at(1)]}), "t", _history(("a", 1, 1, "x")), "k", ("event", "knwon"))
