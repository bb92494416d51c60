"""Calls, attempts, verdicts and feedback as they are read back from the lake."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import polars as pl
import pytest

from perdure.core.clock import from_us
from perdure.core.errors import NotFound
from perdure.core.usage import Usage
from perdure.loop.work.calls import read_attempts, read_calls, read_feedback, read_guarded
from perdure.loop.work.captured import CapturedBatch
from perdure.stores.capture.events import Feedback, Guarded
from perdure.stores.lake.delta import DeltaLake
from perdure.testing.conformance.capture import call


@pytest.fixture
def lake(tmp_path):
    return DeltaLake(tmp_path)


def put(lake, number, *events):
    batch = CapturedBatch(number)
    for event in events:
        batch.add(event)
    for table, frame in batch.tables().items():
        lake.append(table, frame)


def at(number):
    return from_us(1_000_000 + number)


def test_before_anything_was_captured_frames_are_empty_and_have_their_columns(lake):
    assert read_calls(lake, None, None, None, ["outcome"]).columns == ["call_id", "served_at", "outcome"]
    assert {"target", "place", "n_input"} <= set(read_attempts(lake, None, None, None).columns)
    assert {"action", "team"} <= set(read_guarded(lake, "pii", None, None).columns)
    assert read_feedback(lake, None, None, None).is_empty()


def test_a_window_holds_its_first_instant_and_not_its_last(lake):
    put(lake, 1, *[call(number) for number in (3, 1, 2, 0)])
    assert read_calls(lake, None, at(1), at(3))["call_id"].to_list() == ["c_1", "c_2"]
    assert read_attempts(lake, None, at(1), at(3))["call_id"].to_list() == ["c_1", "c_2"]
    assert read_guarded(lake, "pii", at(1), at(3))["call_id"].to_list() == ["c_1", "c_2"]


def test_one_route_s_rows_are_told_from_another_s(lake):
    put(lake, 1, call(1), call(2, route="other", attempts=2))
    assert read_calls(lake, "other", None, None)["call_id"].to_list() == ["c_2"]
    assert read_attempts(lake, "other", None, None, ["status"])["status"].to_list() == [503, 200]
    assert read_calls(lake, "nobody", None, None).is_empty()


def test_a_call_recorded_twice_counts_once_as_it_was_recorded_last(lake):
    late = call(1, attempts=1)
    late.recorded_us += 5
    late.outcome = "cut"
    put(lake, 1, late, call(2))
    put(lake, 2, call(1, attempts=3), call(2))
    assert read_calls(lake, None, None, None, ["outcome"])["outcome"].to_list() == ["cut", "answered"]
    assert read_attempts(lake, None, None, None)["call_id"].to_list() == ["c_1", "c_2"]
    assert read_guarded(lake, None, None, None)["call_id"].to_list() == ["c_1", "c_2"]


def test_a_verdict_that_the_last_record_does_not_have_is_not_read(lake):
    late = call(1)
    late.recorded_us += 5
    late.guards = [Guarded("injection", "i@1", "champion", "input", "passed")]
    put(lake, 1, call(1), late)
    assert read_guarded(lake, "pii", None, None).is_empty()
    assert read_guarded(lake, "injection", None, None)["action"].to_list() == ["passed"]


def test_rows_come_in_the_same_order_however_they_were_captured(lake, tmp_path):
    calls = [call(number, attempts=2) for number in (5, 1, 4)]
    same = call(9)
    same.served_us = calls[0].served_us
    put(lake, 1, *calls, same)
    other = DeltaLake(tmp_path / "other")
    for number, each in enumerate([same, *reversed(calls)], 1):
        put(other, number, each)
    for read in (read_calls, read_attempts, read_guarded):
        assert read(lake, None, None, None).drop("batch").equals(read(other, None, None, None).drop("batch"))


def test_an_unknown_column_is_named_with_the_nearest(lake):
    for read in (read_calls, read_attempts, read_guarded):
        with pytest.raises(NotFound, match=r"latency_us|took_us"):
            read(lake, None, None, None, ["latency_s" if read is read_calls else "took_s"])


def test_of_feedback_the_last_by_one_key_on_one_question_stands(lake):
    put(
        lake,
        1,
        Feedback("c_1", 30, 31, "k1", "helpful", 0.0),
        Feedback("c_1", 10, 11, "k1", "helpful", 1.0),
        Feedback("c_1", 20, 21, "k2", "helpful", 1.0, "yes"),
        Feedback("c_1", 25, 26, "k1", "guard:pii", 0.0),
    )
    found = read_feedback(lake, "helpful", None, None)
    assert found.select("key", "value", "text").rows() == [("k2", 1.0, "yes"), ("k1", 0.0, "")]
    assert read_feedback(lake, "helpful", None, from_us(30))["value"].to_list() == [1.0, 1.0]
    assert read_feedback(lake, None, from_us(21), None)["name"].to_list() == ["guard:pii", "helpful"]


def test_a_token_count_beyond_64_bits_is_null_and_stops_nothing(lake):
    """It comes from an upstream's own JSON."""
    absurd = call(1)
    absurd.usage = Usage(n_input=2**64 - 1, n_output=5)
    put(lake, 1, absurd)
    [row] = read_calls(lake, None, None, None, ["n_input", "n_output"]).to_dicts()
    assert (row["n_input"], row["n_output"]) == (None, 5)


def test_what_is_unknown_or_not_kept_is_null(lake):
    plain = call(1)
    plain.request, plain.answer, plain.cost_pusd = b"", b"", None
    plain.attempts[0].usage = plain.attempts[0].cost_pusd = None
    put(lake, 1, plain)
    [row] = read_calls(lake, None, None, None).to_dicts()
    assert (row["request"], row["answer"], row["cost_pusd"]) == (None, None, None)
    [tried] = read_attempts(lake, None, None, None).to_dicts()
    assert (tried["n_input"], tried["estimated"], tried["cost_pusd"]) == (None, None, None)


def test_files_outside_of_the_window_are_not_opened(lake, tmp_path):
    """The damage of one batch's file does not reach a window that lies before it."""
    put(lake, 1, call(1))
    [early] = (tmp_path / "calls").glob("*.parquet")
    put(lake, 2, call(900_000))
    [late] = [file for file in (tmp_path / "calls").glob("*.parquet") if file != early]
    late.write_bytes(b"no parquet")
    assert read_calls(lake, "support", at(0), at(10))["call_id"].to_list() == ["c_1"]


def test_tags_are_json_that_polars_can_look_into(lake):
    put(lake, 1, call(1))
    [tags] = read_calls(lake, None, None, datetime(2100, 1, 1, tzinfo=UTC), ["tags"])["tags"]
    assert msgspec.json.decode(tags) == {"ticket": "T-1"}
    assert pl.Series([tags]).str.json_path_match("$.ticket").to_list() == ["T-1"]
