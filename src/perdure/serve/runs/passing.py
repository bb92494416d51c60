"""A capture writer in front of the one of this process: what is counted or let go on its way is told apart in a class of its own."""

from __future__ import annotations

from perdure.stores.capture.events import Event
from perdure.stores.capture.protocols import CaptureWriter


class PassingWriter:
    """A capture writer that hands everything on.

    Args:
        writer: of this process.
    """

    def __init__(self, writer: CaptureWriter) -> None:
        self._writer = writer

    @property
    def n_lost(self) -> int:
        """As the writer counts them."""
        return self._writer.n_lost

    @n_lost.setter
    def n_lost(self, n: int) -> None:
        self._writer.n_lost = n

    def append(self, event: Event) -> bool:
        """As the writer does."""
        return self._writer.append(event)

    def has_room(self) -> bool:
        """As the writer says."""
        return self._writer.has_room()

    def close(self) -> None:
        """Close the segment."""
        self._writer.close()
