"""One answer on its way to a reader: its head, and the pieces that came and were not read yet.

Whatever makes answers (a connection, a model in this process, a library) feeds one of these; the gateway reads it through
`protocols.Answering`. Feeding and reading happen on one event loop. Reading costs no task: one future for each wait, and
one timer for many waits, which is moved on rather than made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from perdure.core.errors import UpstreamBad, UpstreamCut, UpstreamError
from perdure.serve.gateway.upstream.protocols import HeaderPairs

UNREAD_LIMIT = 256 * 1024
"""Bytes that may wait for a slow reader before the source is asked to pause."""


class Source(Protocol):
    """What feeds an answer, as the answer sees it."""

    def expect(self, deadline: float) -> None:
        """Fail the answer unless it moved before this instant of the loop's clock."""
        ...

    def resume(self) -> None:
        """Go on after a pause: what had come was read."""
        ...

    def abandon(self) -> None:
        """Nobody reads the rest."""
        ...


class Watch:
    """One timer for many waits, most of which end long before it: a later deadline only moves its goal.

    Args:
        loop: whose timer it is.
        late: called when the last deadline has passed. It may have been met long ago: the callee looks.
    """

    __slots__ = ("_deadline", "_fires_at", "_handle", "_late", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[], None]) -> None:
        self._loop = loop
        self._late = late
        self._handle: asyncio.TimerHandle | None = None
        self._deadline = self._fires_at = 0.0

    def until(self, deadline: float) -> None:
        """Fire at `deadline`, an instant of the loop's clock, unless a later call moves it."""
        self._deadline = deadline
        if self._handle is None or deadline < self._fires_at:
            self.off()
            self._fires_at = deadline
            self._handle = self._loop.call_at(deadline, self._fire)

    def off(self) -> None:
        """Fire no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        if self._deadline > self._loop.time():
            self.until(self._deadline)
        else:
            self._late()


class Answer:
    """An answer that is fed on one side and read on the other; see `protocols.Answering` for the reading.

    Args:
        source: what feeds it, told of pauses and of the end of interest.
        loop: the running one.
        idle_s: longest wait for each piece.
    """

    __slots__ = (
        "_error",
        "_loop",
        "_pieces",
        "_source",
        "_waiter",
        "headers",
        "idle_s",
        "lines",
        "n_unread",
        "status",
        "whole",
    )

    def __init__(self, source: Source, loop: asyncio.AbstractEventLoop, idle_s: float) -> None:
        self.status = 0
        self.lines: list[tuple[bytes, bytes]] = []
        self.headers: HeaderPairs = self.lines
        self.idle_s = idle_s
        self.n_unread = 0
        self.whole = False
        self._source: Source | None = source
        self._loop = loop
        self._pieces: list[bytes] = []
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    # What the reader does.

    async def begun(self, deadline: float) -> None:
        """Return when the head has come.

        Raises:
            UpstreamError: it did not come, or not by `deadline`, an instant of the loop's clock.
        """
        while self.status == 0:
            if self._error is not None:
                raise self._error
            await self._moved(deadline)

    async def piece(self) -> bytes:
        """The next bytes as they came; empty at the end of a whole body."""
        while True:
            if self._pieces:
                return self._take()
            if self.whole:
                return b""
            if self._error is not None:
                raise self._error
            await self._moved(self._loop.time() + self.idle_s)

    async def read(self, max_bytes: int) -> bytes:
        """The whole rest."""
        parts: list[bytes] = []
        n_bytes = 0
        while part := await self.piece():
            n_bytes += len(part)
            if n_bytes > max_bytes:
                self.close()
                raise UpstreamBad(
                    f"The answer of the upstream has more than {max_bytes} bytes, the most that is read here.",
                    max_bytes=max_bytes,
                )
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Let go of an unread rest; its source learns it at once."""
        source = self._source
        if source is not None:
            self.fail(UpstreamCut("The answer was closed here before it was whole."))
            source.abandon()

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        unread, self.n_unread = self.n_unread, 0
        if unread > UNREAD_LIMIT and self._source is not None:
            self._source.resume()
        return data

    async def _moved(self, deadline: float) -> None:
        source = self._source
        assert source is not None, "an answer without a source is whole or has failed"
        self._waiter = self._loop.create_future()
        source.expect(deadline)
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None

    # What the source does.

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it to move."""
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    def begin(self, status: int) -> None:
        """The head is whole."""
        self.status = status
        self.wake()

    def push(self, data: bytes) -> None:
        """Bytes of the body have come; say `wake` when no more come with them."""
        self._pieces.append(data)
        self.n_unread += len(data)

    def end(self) -> None:
        """The body is whole: there is no source any more, only what is still to be read."""
        self.whole = True
        self._source = None
        self.wake()

    def fail(self, error: UpstreamError) -> None:
        """No more will come. What came before is still read first."""
        if self._source is not None:
            self._source = None
            self._error = error
            self.wake()

    def wake(self) -> None:
        """Let the reader go on, if one waits."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
