"""Notices that a client has hung up while its answer is under way, or does not read it, and stops the work on it.

Listening costs a task, so it begins only when a call has lasted a while: most are over before. Who reads too slowly holds a
connection of the upstream and a slot of the team: somewhat after the call's own deadline that ends too.
"""

from __future__ import annotations

import asyncio

from perdure.serve.scoring.http import Receive

_AFTER_S = 0.05
_GRACE_S = 0.5
"""Behind the call's deadline: until then it ends by itself, and says so."""


class Hangup:
    """Cancels the task that made it once the client is gone; `over` ends the watch.

    Args:
        receive: of the request; its body has been read.
        total_s: how long the call may take.
    """

    __slots__ = ("_handle", "_listener", "_loop", "_receive", "_task", "_total_s", "gone", "late")

    def __init__(self, receive: Receive, total_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._task = asyncio.current_task()
        self._listener: asyncio.Task[None] | None = None
        self._handle = self._loop.call_later(_AFTER_S, self._begin)
        self._total_s = total_s
        self.gone = False
        self.late = False
        """The client is there, and did not take its answer in time."""

    def over(self) -> None:
        """Watch no more: call it before the last byte goes out, since the end of an answer looks like a hang-up."""
        self._handle.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def taken(self) -> bool:
        """Whether a cancellation came from here; takes it back."""
        ours = self.gone or self.late
        if ours and self._task is not None:
            self._task.uncancel()
        return ours

    def _begin(self) -> None:
        self._listener = self._loop.create_task(self._listen())
        self._handle = self._loop.call_later(self._total_s + _GRACE_S, self._end)

    def _end(self) -> None:
        if self._task is not None and not self.gone:
            self.late = True
            self._task.cancel()

    async def _listen(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._task is not None and not self.late:
            self.gone = True
            self._task.cancel()
