"""Notices that a client has hung up while its answer is under way, or does not read it, and stops the work on it.

Listening costs a task, so it begins only when a call has lasted a while: most are over before. Who reads too slowly holds a
connection of the upstream and a slot of the team: somewhat after the call's own deadline that ends too.
"""

from __future__ import annotations

import asyncio
from collections import deque

from perdure.serve.scoring.http import Receive

_AFTER_S = 0.05
_GRACE_S = 0.5
"""Behind the call's deadline: until then it ends by itself, and says so."""


class Hangups:
    """Watches the calls of one event loop; one timer looks after all that are young, since a timer each costs more."""

    __slots__ = ("_loop", "_sleeps", "_young")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._young: deque[Hangup] = deque()
        self._sleeps = True

    def watch(self, receive: Receive, total_s: float) -> Hangup:
        """Watch the running task's call, which may take `total_s`; its request's body has been read. Cost: 1 µs."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        hangup = Hangup(loop, receive, total_s)
        self._young.append(hangup)
        if self._sleeps:
            self._sleeps = False
            loop.call_later(_AFTER_S, self._look)
        return hangup

    def _look(self) -> None:
        young, loop = self._young, self._loop
        assert loop is not None, "nobody looks before somebody is watched"
        now = loop.time()
        while young and (young[0].is_over or young[0].began + _AFTER_S <= now):
            young.popleft().listen()
        if young:
            loop.call_at(young[0].began + _AFTER_S, self._look)
        else:
            self._sleeps = True


class Hangup:
    """Cancels the task that made it once the client is gone; `over` ends the watch."""

    __slots__ = ("_handle", "_listener", "_loop", "_receive", "_task", "_total_s", "began", "gone", "is_over", "late")

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive, total_s: float) -> None:
        self._loop = loop
        self._receive: Receive | None = receive
        self._task = asyncio.current_task(loop)
        self._listener: asyncio.Task[None] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._total_s = total_s
        self.began = loop.time()
        self.gone = False
        self.late = False
        """The client is there, and did not take its answer in time."""
        self.is_over = False

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
        ours = self.gone or self.late
        if ours and self._task is not None:
            self._task.uncancel()
        return ours

    def listen(self) -> None:
        """Begin to listen, unless the call is over."""
        if not self.is_over:
            self._listener = self._loop.create_task(self._listen())
            self._handle = self._loop.call_later(self._total_s + _GRACE_S, self._end)

    def _end(self) -> None:
        if self._task is not None and not self.gone:
            self.late = True
            self._task.cancel()

    async def _listen(self) -> None:
        receive = self._receive
        assert receive is not None, "nobody listens once the call is over"
        message = await receive()
        if message["type"] == "http.disconnect" and self._task is not None and not self.late:
            self.gone = True
            self._task.cancel()
