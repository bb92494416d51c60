"""The reader of capture segments, for the one drainer; the writers may be at work or long dead.

Surprises that shaped it: a segment's closedness must be asked *before* its size (the other way round
a writer may append and close in between, and the segment would be removed with events in it); and
`flock` belongs to an open file, so the log works in the same process as a writer.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from perdure.core.errors import Conflict, Corrupt, NotFound, StoreError
from perdure.stores.capture.events import Event
from perdure.stores.capture.frames import HEADER_BYTES, Stretch, walk
from perdure.stores.capture.protocols import SegmentInfo, SegmentRange
from perdure.stores.capture.segments import SUFFIX

_DECODER: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


class SegmentLog:
    """All segments under `root`. What cannot be used is set aside in `root/corrupt`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def segments(self) -> list[SegmentInfo]:
        """In order of creation. Cost: about 60 µs a segment."""
        if not self._root.is_dir():
            return []
        found = []
        for path in sorted(self._root.glob(f"*{SUFFIX}")):
            try:
                closed = _is_closed(path)
                found.append(SegmentInfo(path.stem, path.stat().st_size, closed))
            except FileNotFoundError:
                continue
        return found

    def complete_end(self, segment: str, start: int) -> int:
        """End of the last whole frame at or after `start`; bytes that are no frame count once nothing follows.

        Checksums are verified. The torn tail of a closed segment was never acknowledged: it stays outside.

        Raises:
            NotFound: no such segment.
        """
        path = self._path(segment)
        closed = _is_closed(path)
        end, bad_end = start, start
        for stretch in walk(_bytes(path, start)):
            if stretch.kind == "frame":
                end = bad_end = start + stretch.end
            elif stretch.kind == "bad":
                bad_end = start + stretch.end
        return bad_end if closed else end

    def read(self, span: SegmentRange) -> Iterator[Event]:
        """Events of a range, in order; see `CaptureLog.read`. Cost: about 2 µs an event of one row.

        Raises:
            NotFound: no such segment.
            Corrupt: after the last good event. Facts: `segment`, `start` and `end` of what was set
                aside (read on at `end`), and `file`, where it is now.
        """
        data = _bytes(self._path(span.segment), span.start, span.end)
        view = memoryview(data)
        for stretch in walk(data):
            if stretch.kind != "frame":
                raise self._set_aside(span, stretch, data, "does not match its checksum")
            try:
                event = _DECODER.decode(view[stretch.start + HEADER_BYTES : stretch.end])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise self._set_aside(span, stretch, data, f"is no capture event ({error})") from error
            yield event

    def remove(self, segment: str) -> None:
        """Delete a closed segment; nothing happens when it is gone already.

        Raises:
            Conflict: its writer is still at work.
        """
        try:
            path = self._path(segment)
            if not _is_closed(path):
                raise Conflict(f"Segment {segment!r} is still being written.", hint="Remove it once it is closed.")
            path.unlink()
        except (NotFound, FileNotFoundError):
            return

    def _path(self, segment: str) -> Path:
        path = self._root / f"{segment}{SUFFIX}"
        if not path.exists():
            raise NotFound(f"There is no capture segment {segment!r}.", hint="It may have been drained.")
        return path

    def _set_aside(self, span: SegmentRange, stretch: Stretch, data: bytes, what: str) -> Corrupt:
        start, end = span.start + stretch.start, span.start + stretch.end
        folder = self._root / "corrupt"
        target = folder / f"{span.segment}-{start:012d}.bin"
        part = target.with_suffix(".part")
        try:
            folder.mkdir(exist_ok=True)
            part.write_bytes(data[stretch.start : stretch.end])
            part.replace(target)
        except OSError as error:
            raise StoreError(
                f"Damaged bytes of segment {span.segment!r} cannot be set aside in {folder}: {error}.",
                hint="Make room or fix the permissions; nothing was removed.",
            ) from error
        return Corrupt(
            f"Segment {span.segment!r} from byte {start} to {end} {what}.",
            hint=f"The bytes were set aside in {target}; the events after them are read on.",
            segment=span.segment,
            start=start,
            end=end,
            file=str(target),
        )


def _is_closed(path: Path) -> bool:
    """True when no process holds the segment for writing, now and for ever."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def _bytes(path: Path, start: int, end: int | None = None) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read() if end is None else file.read(end - start)
    except OSError as error:
        raise StoreError(f"The capture segment {path} cannot be read: {error}.") from error
