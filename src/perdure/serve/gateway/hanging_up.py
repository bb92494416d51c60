"""Notices that a client has hung up while its answer is under way, and stops the work on it.

Listening costs a task, so it begins only when a call has lasted a while: most are over before.
"""

from __future__ import annotations

import asyncio

from perdure.serve.scoring.http import Receive

_AFTER_S = 0.05


class Hangup:
    """Cancels the task that made it once the client is gone; `over` ends the watch.

    Args:
        receive: of the request; its body has been read.
    """

    __slots__ = ("_handle", "_listener", "_loop", "_receive", "_task", "gone")

    def __init__(self, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._task = asyncio.current_task()
        self._listener: asyncio.Task[None] | None = None
        self._handle = self._loop.call_later(_AFTER_S, self._begin)
        self.gone = False

    def over(self) -> None:
        """Watch no more: call it before the last byte goes out, since the end of an answer looks like a hang-up."""
        self._handle.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def taken(self) -> bool:
        """Whether a cancellation came from here; takes it back."""
        if self.gone and self._task is not None:
            self._task.uncancel()
        return self.gone

    def _begin(self) -> None:
        self._listener = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._task is not None:
            self.gone = True
            self._task.cancel()
