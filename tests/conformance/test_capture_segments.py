"""Segment files pass the conformance suite of capture."""

from __future__ import annotations

from perdure.core.settings import CaptureSettings
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import CaptureConformance


class TestSegments(CaptureConformance):
    def open_writer(self, root):
        return SegmentWriter(root, CaptureSettings(min_free_bytes=0))

    def open_log(self, root):
        return SegmentLog(root)
