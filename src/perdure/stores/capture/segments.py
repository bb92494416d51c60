"""The writer of capture segments: one a process, one frame an event, one `write` a frame.

Serve's taps call `append` on the hot path. Once `os.write` has returned, the kernel holds the frame,
so `kill -9` of the process loses nothing that was acknowledged (a power cut may lose the last seconds).

A segment is named `<microseconds>-<pid>.seg`, so the order of names is the order of creation. Its
writer holds an exclusive `flock` on it for as long as it may append; a reader that gets a shared lock
knows that the segment is closed, also when its writer died. A segment appears under its final name
only once it is locked, so that nobody takes a newborn one for an abandoned one.

What is billed is not let go for lack of room: the gateway asks `has_room` before it makes a call, and
the records of calls and runs that were under way then go into the reserve of free space that others keep off.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import weakref
from pathlib import Path

import msgspec

from perdure.core.clock import machine_us
from perdure.core.settings import CaptureSettings
from perdure.stores.capture.events import Call, Event, Feedback, Labels, Lost, RunTold
from perdure.stores.capture.frames import frame

SUFFIX = ".seg"
_FREE_CHECK_BYTES = 1_000_000
"""Written bytes between two looks at the free space: `statvfs` costs as much as a frame."""


class SegmentWriter:
    """Appends events to this process's own segments under `root`. Safe to share between threads.

    A child made by `os.fork` starts a segment of its own. Cost: 2 to 3 µs CPU an event of one row.
    """

    def __init__(self, root: Path, settings: CaptureSettings) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.n_lost = 0
        self._root = root
        self._settings = settings
        self._encode = msgspec.msgpack.Encoder().encode
        self._lock = threading.Lock()
        self._fd = -1
        self._end = 0
        self._name_us = 0
        self._unchecked_bytes = _FREE_CHECK_BYTES
        self._open = True
        self._untold: Lost | None = None
        own = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := own()) and method())

    def append(self, event: Event) -> bool:
        """Write one frame; see `CaptureWriter.append`. Never raises for lack of room or a failing disk."""
        data = frame(self._encode(event))
        with self._lock:
            if self._untold is not None:
                # One write for both: neither is there without the other.
                data = frame(self._encode(self._untold)) + data
            written = self._try(data, checked=not isinstance(event, Call | RunTold))
            if written:
                self._untold = None
            else:
                self.n_lost += 1
                self._untold = _with(self._untold, event)
            return written

    def has_room(self) -> bool:
        """Whether the record of a call made now will have its place; see `CaptureWriter.has_room`.

        After a loss it is proved by telling the loss: a disk can be out of more than bytes. Cost: 0.2 µs.
        """
        with self._lock:
            if self._untold is None:
                return self._open and self._try(b"", checked=True)
            told = self._try(frame(self._encode(self._untold)), checked=True)
            if told:
                self._untold = None
            return told

    def close(self) -> None:
        """Close the segment for good; what is appended later is counted as lost.

        A loss that was not told yet is told now, from the reserve of free space where need be.
        """
        with self._lock:
            if self._open and self._untold is not None and self._try(frame(self._encode(self._untold)), checked=False):
                self._untold = None
            self._retire()
            self._open = False

    def _try(self, data: bytes, *, checked: bool) -> bool:
        try:
            return (self._looked(len(data)) or not checked) and (not data or self._write(data))
        except OSError:
            self._give_up()
            return False

    def _looked(self, n_bytes: int) -> bool:
        """Free space is looked at every megabyte, and at every event once there was too little."""
        self._unchecked_bytes += n_bytes
        if self._unchecked_bytes < _FREE_CHECK_BYTES:
            return True
        disk = os.statvfs(self._root)
        if disk.f_bavail * disk.f_frsize < self._settings.min_free_bytes:
            return False
        self._unchecked_bytes = 0
        return True

    def _write(self, data: bytes) -> bool:
        if self._end + len(data) > self._settings.segment_bytes and self._end:
            self._retire()
        if self._fd < 0:
            if not self._open:
                return False
            self._fd = self._create()
        n_written = os.write(self._fd, data)
        if n_written == len(data):
            self._end += n_written
            return True
        os.ftruncate(self._fd, os.fstat(self._fd).st_size - n_written)
        self._give_up()
        return False

    def _create(self) -> int:
        """A new, locked segment. An empty file that a crash leaves under `.new` is never read."""
        self._name_us = max(self._name_us + 1, machine_us())
        name = f"{self._name_us:016d}-{os.getpid():07d}"
        newborn = self._root / f"{name}.new"
        fd = os.open(newborn, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            newborn.rename(self._root / f"{name}{SUFFIX}")
        except OSError:
            os.close(fd)
            raise
        return fd

    def _give_up(self) -> None:
        """After a failure: begin a new segment next time, but never a second empty one."""
        self._unchecked_bytes = _FREE_CHECK_BYTES
        if self._end:
            self._retire()

    def _retire(self) -> None:
        """Close the present segment, which also gives its lock back."""
        fd, self._fd, self._end = self._fd, -1, 0
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def _forget(self) -> None:
        """In a forked child: the segment, its lock and what is to be told belong to the parent."""
        self._lock = threading.Lock()
        self._untold = None
        self._retire()


def _with(untold: Lost | None, event: Event) -> Lost:
    """What is to be told once this event is lost too."""
    refused = int(isinstance(event, Labels | Feedback))
    if untold is None:
        process = f"{os.uname().nodename}:{os.getpid()}"
        return Lost(1, refused, event.recorded_us, event.recorded_us, process)
    return Lost(untold.n + 1, untold.n_refused + refused, untold.first_us, event.recorded_us, untold.process)
