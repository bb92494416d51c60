"""Capture's Protocols: the writer a serving process has, and the log that the drainer reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from perdure.stores.capture.events import Event


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment file. `closed`: its writer will not append to it any more."""

    name: str
    size_bytes: int
    closed: bool


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """Bytes `start <= offset < end` of a segment, both on frame borders."""

    segment: str
    start: int
    end: int


class CaptureWriter(Protocol):
    """One a process. An event that `append` acknowledged survives kill −9 of the process."""

    n_lost: int
    """Events that could not be written, since the process began."""

    def append(self, event: Event) -> bool:
        """Write one frame. False (and counted) when there is no room: an answer never fails for its record.

        What was lost is told to the log by a `Lost` event, before the first event that can be written again. A `Call`
        is written into the reserve of free space too: it was made, and will be billed. So is a `RunTold`: what it did is done.
        """
        ...

    def has_room(self) -> bool:
        """Whether there is room beside the reserve: asked before a call that must not go unrecorded, at almost no cost.

        True promises the place of the calls under way as long as their records fit into the reserve; never raises.
        """
        ...

    def close(self) -> None:
        """Close the segment for good; a loss that was not told yet is told now, if it can be."""
        ...


class CaptureLog(Protocol):
    """All segments of all processes, for the one drainer."""

    def segments(self) -> list[SegmentInfo]:
        """In order of creation."""
        ...

    def complete_end(self, segment: str, start: int) -> int:
        """End of the last whole frame at or after `start`: a torn tail is left for later or for ever.

        :raises NotFound: no such segment.
        """
        ...

    def read(self, span: SegmentRange) -> Iterator[Event]:
        """Events of a range, in order.

        Bytes that match no checksum are set aside, up to the next whole frame, and reported, not used.

        :raises NotFound: no such segment.
        :raises Corrupt: after the last good event, with the facts `segment`, `start` and `end` of the
            bytes that were set aside; the events behind them are read by a range that starts at `end`.
        """
        ...

    def remove(self, segment: str) -> None:
        """Delete a closed, fully drained segment; one that is gone already is fine.

        :raises Conflict: its writer is still at work.
        """
        ...
