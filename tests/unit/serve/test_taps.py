"""What was answered, labelled and refused is in the capture log."""

from __future__ import annotations

import json
from dataclasses import replace

from perdure.core.settings import CaptureSettings
from perdure.serve.taps import Taps
from perdure.stores.capture.events import LabelRow, Labels, PredictionRow, Predictions, Rejected
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange
from perdure.stores.capture.segments import SegmentWriter

SETTINGS = CaptureSettings(min_free_bytes=0)


def events(root):
    log = SegmentLog(root)
    return [
        event
        for segment in log.segments()
        for event in log.read(SegmentRange(segment.name, 0, log.complete_end(segment.name, 0)))
    ]


def row(prediction_id: str) -> PredictionRow:
    return PredictionRow(prediction_id, "UA1", "air_time@1", "champion", b"{}", b"\0\0\0\0", b"\1", 227.0)


def test_each_kind_of_event_is_appended_as_it_happened(tmp_path):
    taps = Taps(SegmentWriter(tmp_path, SETTINGS))
    first, second = taps.next_id(), taps.next_id()
    taps.predictions("air_time", [row(first), row(second)], served_us=5, latency_s=0.0002, generation=3)
    taps.labels("air_time", [LabelRow(first, "", 230.0, 9)], received_us=9)
    refused = taps.rejected("air_time", [b'{"a":1}'], [{"row": 0, "field": "a"}], served_us=6)
    taps.close()
    answered, labelled, rejected = events(tmp_path)
    assert isinstance(answered, Predictions)
    assert (answered.request_id, answered.served_us, answered.latency_us, answered.generation) == (first, 5, 200, 3)
    assert [each.id for each in answered.rows] == [first, second]
    assert isinstance(labelled, Labels)
    assert (labelled.received_us, labelled.rows[0].value) == (9, 230.0)
    assert isinstance(rejected, Rejected)
    assert (rejected.request_id, rejected.rows) == (refused, [b'{"a":1}'])
    assert json.loads(rejected.errors) == [{"row": 0, "field": "a"}]


def test_what_cannot_be_written_is_counted_and_said(tmp_path):
    taps = Taps(SegmentWriter(tmp_path, replace(SETTINGS, min_free_bytes=2**62)))
    assert not taps.labels("air_time", [LabelRow("p_1", "", 1.0, 1)], received_us=1)
    assert taps.n_lost == 1
