"""What was served meets what came true: early, duplicate, corrected and orphan labels, rows of older contracts."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from perdure.core.clock import to_us
from perdure.core.settings import CaptureSettings
from perdure.core.units import days, hours
from perdure.engines.training.dataset import LABEL
from perdure.loop.drain import Drain
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched
from perdure.loop.work import rows as labelled
from perdure.loop.work.feed import AVAILABLE_AT, EVENT_AT
from perdure.loop.work.outcomes import read_captures, read_outcomes
from perdure.loop.work.rows import KEY, labelled_rows
from perdure.loop.work.skew import request_rows
from perdure.stores.capture.events import LabelRow, Labels, PredictionRow, Predictions
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.world import World

T0 = datetime(2025, 1, 1, tzinfo=UTC)
MODEL = World(n_days=1).project().model("minutes")
ROW = b'{"order_id":"%s","shop":"north","distance_km":1.5,"ordered_at":"2025-01-01T06:00:00Z"}'


@pytest.fixture
def captured(place, lease, tmp_path):
    """Puts events in the lake; returns the lake."""
    writer = SegmentWriter(tmp_path / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))

    def done(*events):
        assert all(writer.append(event) for event in events)
        Drain(place.stores.capture, place.stores.lake, place.stores.ledger).run(now=T0, actor="test", lease=lease)
        return place.stores.lake

    yield done
    writer.close()


def served(key, at, row=None):
    answered = PredictionRow(f"p_{key}", key, "minutes@1", "champion", row or ROW % key.encode(), b"", b"", 10.0)
    return Predictions("minutes", f"r_{key}", to_us(at), to_us(at), 250, 1, [answered])


def label(value, known, *, key="", prediction_id=""):
    rows = [LabelRow(prediction_id, key, value, to_us(known))]
    return Labels("minutes", f"l_{value}", to_us(known), to_us(known), rows)


def outcomes(lake, start, end, until):
    joined = read_outcomes(lake, "minutes", MODEL.label, (start, end), until)
    return dict(joined.frame.select("key", LABEL).iter_rows())


def test_a_label_that_comes_before_its_prediction_counts_once_the_prediction_is_there(captured):
    """Posted a week before: known before the window of the prediction even begins."""
    lake = captured(label(12.0, T0, key="o1"))
    assert outcomes(lake, T0 + days(6), T0 + days(8), T0 + days(9)) == {}
    lake = captured(served("o1", T0 + days(7)))
    assert outcomes(lake, T0 + days(6), T0 + days(8), T0 + days(9)) == {"o1": 12.0}


def test_a_label_of_an_earlier_use_of_the_key_is_not_taken(captured):
    lake = captured(label(12.0, T0, key="o1"), served("o1", T0 + days(40)))
    assert outcomes(lake, T0 + days(39), T0 + days(41), T0 + days(42)) == {"o1": None}


def test_the_newest_label_counts_and_duplicates_and_orphans_change_nothing(captured):
    at = T0 + hours(6)
    lake = captured(
        served("o1", T0),
        served("o2", T0),
        label(11.0, at, key="o1"),
        label(11.0, at, key="o1"),
        label(15.0, at + hours(1), prediction_id="p_o1"),
        label(3.0, at, key="nobody"),
        label(4.0, at, prediction_id="p_nobody"),
    )
    assert outcomes(lake, T0, T0 + hours(1), at) == {"o1": 11.0, "o2": None}
    assert outcomes(lake, T0, T0 + hours(1), at + hours(1)) == {"o1": 15.0, "o2": None}
    assert lake.read("labels/minutes").height == 5


def test_a_window_takes_its_beginning_in_and_leaves_its_end_out(captured):
    lake = captured(served("o1", T0), served("o2", T0 + hours(1)), served("o3", T0 + hours(2)))
    assert read_captures(lake, "minutes", T0, T0 + hours(1))["key"].to_list() == ["o1"]
    assert read_captures(lake, "minutes", T0 + hours(1), T0 + hours(2))["key"].to_list() == ["o2"]


def test_rows_of_an_older_contract_are_left_out_and_the_others_keep_their_order(captured):
    """The contract was made stricter since: one captured row cannot be read by it any more."""
    lake = captured(served("o1", T0), served("o2", T0 + hours(1), b'{"order":"o2"}'), served("o3", T0 + hours(2)))
    rows = read_captures(lake, "minutes", T0, T0 + days(1))
    typed, read = request_rows(Watched("minutes", "model", (), MODEL.policy, MODEL), rows)
    assert typed["order_id"].to_list() == read["key"].to_list() == ["o1", "o3"]


def test_captured_rows_are_parsed_once_whatever_stretches_of_them_are_asked_for(captured, place, monkeypatch):
    """One row that the contract cannot read is among them; later stretches give what a first look would."""
    labels = [label(10.0 + n, T0 + hours(3), key=f"o{n}") for n in (1, 2, 3)]
    old = served("o2", T0 + hours(1), b'{"order":"o2"}')
    lake = captured(served("o1", T0), old, served("o3", T0 + hours(2)), *labels)
    asset, parsed = Watched("minutes", "model", (), MODEL.policy, MODEL), []
    none, _ = request_rows(asset, read_captures(lake, "minutes", T0, T0 + hours(1)).clear())
    no_time = pl.lit(None, pl.Datetime("us", "UTC"))
    lake.append(table_of(MODEL.rows.name), none.with_columns(no_time.alias(EVENT_AT), no_time.alias(AVAILABLE_AT)))

    def noted(asset, rows):
        parsed.append(rows["key"].to_list())
        return request_rows(asset, rows)

    monkeypatch.setattr(labelled, "request_rows", noted)
    newest = labelled_rows(place, MODEL, T0 + days(1), T0 + hours(2))
    every = labelled_rows(place, MODEL, T0 + days(1))
    assert parsed == [["o3"], ["o1", "o2"]]
    assert newest.frame[KEY].to_list() == ["o3"]
    assert every.frame[KEY].to_list() == ["o1", "o3"]
    assert (newest.counts["n_outdated"], every.counts["n_outdated"]) == (0, 1)
