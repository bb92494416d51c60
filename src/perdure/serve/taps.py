"""Where serve records: builds the events of answers, labels and rejected rows, and appends them.

An answer is recorded before it is sent, so that every prediction id a client holds is in the log,
kill −9 included. When the log cannot take an event the writer counts the loss and the answer is
sent all the same; labels are the exception, since their sender can try again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perdure.core.clock import machine_us
from perdure.core.ids import PredictionIds
from perdure.stores.capture.events import LabelRow, Labels, PredictionRow, Predictions, Rejected
from perdure.stores.capture.protocols import CaptureWriter


class Taps:
    """Appends what happened to this process's capture segment; called by the serving thread only."""

    __slots__ = ("_writer", "next_id")

    def __init__(self, writer: CaptureWriter) -> None:
        self._writer = writer
        self.next_id = PredictionIds().next

    @property
    def n_lost(self) -> int:
        """Events that could not be recorded since the process began."""
        return self._writer.n_lost

    def request_id(self) -> str:
        """An id for a request that has no predictions."""
        return "r" + self.next_id()[1:]

    def predictions(
        self, model: str, rows: list[PredictionRow], *, served_us: int, latency_s: float, generation: int
    ) -> bool:
        """Record answered rows (or those of a shadow); the request goes by the id of its first row."""
        event = Predictions(model, rows[0].id, served_us, machine_us(), int(latency_s * 1e6), generation, rows)
        return self._writer.append(event)

    def labels(self, model: str, rows: list[LabelRow], *, received_us: int) -> bool:
        """Record labels; False when they are not in the log."""
        return self._writer.append(Labels(model, self.request_id(), received_us, machine_us(), rows))

    def rejected(self, model: str, rows: Sequence[bytes], errors: Sequence[object], *, served_us: int) -> str:
        """Record rows that broke their contract, with their errors; returns the request's id."""
        request_id = self.request_id()
        encoded = msgspec.json.encode(errors, enc_hook=str)
        self._writer.append(Rejected(model, request_id, served_us, machine_us(), list(rows), encoded))
        return request_id

    def close(self) -> None:
        """Close the segment for good."""
        self._writer.close()
