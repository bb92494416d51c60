"""Notices that a client has hung up while its answer is under way, or does not read it, and stops the work on it.

Listening costs a task, so it begins only when a call has lasted a while: most are over before. Who reads too slowly holds a
connection of the upstream and a slot of the team: somewhat after the call's own deadline that ends too.
"""

from __future__ import annotations

import asyncio

from perdure.serve.scoring.http import Receive
from perdure.serve.waits import Waits

AFTER_S = 0.05
_GRACE_S = 0.5
"""Behind the call's deadline: until then it ends by itself, and says so."""


class Hangup:
    """Cancels the task that made it once the client is gone; `over` ends the watch.

    Args:
        young: what times the first `AFTER_S` of all calls.
        receive: of the request; its body has been read.
        total_s: how long the call may take.
    """

    __slots__ = (
        "_handle",
        "_listener",
        "_loop",
        "_receive",
        "_task",
        "_total_s",
        "began_s",
        "gone",
        "is_over",
        "unread",
    )

    def __init__(self, young: Waits, receive: Receive, total_s: float) -> None:
        self.is_over = False
        self.began_s = 0.0
        self._loop = young.add(self)
        self._receive: Receive | None = receive
        self._task = asyncio.current_task(self._loop)
        self._listener: asyncio.Task[None] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._total_s = total_s
        self.gone = False
        self.unread = False
        """The client is there, and did not take its answer in time."""

    def over(self) -> None:
        """Watch no more: call it before the last byte goes out, since the end of an answer looks like a hang-up."""
        self.is_over = True
        self._receive = None
        if self._handle is not None:
            self._handle.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def taken(self) -> bool:
        """Whether a cancellation came from here; takes it back."""
        ours = self.gone or self.unread
        if ours and self._task is not None:
            self._task.uncancel()
        return ours

    def late(self) -> None:
        """The call has lasted a while: begin to listen."""
        self._listener = self._loop.create_task(self._listen())
        self._handle = self._loop.call_later(self._total_s + _GRACE_S, self._end)

    def _end(self) -> None:
        if self._task is not None and not self.gone:
            self.unread = True
            self._task.cancel()

    async def _listen(self) -> None:
        receive = self._receive
        assert receive is not None, "nobody listens once the call is over"
        message = await receive()
        if message["type"] == "http.disconnect" and self._task is not None and not self.unread:
            self.gone = True
            self._task.cancel()
