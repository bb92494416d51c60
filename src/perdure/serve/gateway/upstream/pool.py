"""Kept connections to one upstream: the youngest is taken first, the others wait out their time and are closed.

Used by `http.HttpClient` on one event loop. A *slot* is the right to have a connection open; there are `max_connections` of
them. Who finds none free queues; a slot or a connection that becomes free goes to the one who waited longest, and never to
a newcomer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from perdure.core.errors import UpstreamError
from perdure.serve.gateway.upstream.connection import Connection

KEEP_S = 55.0
"""Longest rest of a kept connection: below the 60 s after which common load balancers drop theirs without a word."""


class Pool:
    """Connections to one upstream.

    Args:
        connect: makes one.
        max_connections: at most so many at once.
        clock: seconds of a clock that never goes back, for the rest of kept ones.
    """

    __slots__ = ("_clock", "_closed", "_connect", "_idle", "_max", "_n_open", "_sweeping", "_waiters")

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], max_connections: int, clock: Callable[[], float]
    ) -> None:
        self._connect = connect
        self._max = max_connections
        self._clock = clock
        self._idle: deque[Connection] = deque()
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._n_open = 0
        self._closed = False

    @property
    def n_open(self) -> int:
        """Connections open or being opened."""
        return self._n_open

    @property
    def n_idle(self) -> int:
        """Those that are kept for the next request."""
        return len(self._idle)

    @property
    def n_waiting(self) -> int:
        """Requests that wait for one."""
        return sum(not waiter.done() for waiter in self._waiters)

    def kept(self) -> Connection | None:
        """A kept connection, the youngest; None where there is none."""
        if not self._idle:
            return None
        connection = self._idle.pop()
        if self._is_old(connection):
            # The youngest is too old, and so are all.
            connection.shut()
            self._shut_idle()
            return None
        connection.idle_since = None
        return connection

    async def take(self) -> Connection:
        """A connection, made now or handed on by a request that is done; waits for a slot.

        Raises:
            UpstreamError: it broke as soon as it was made.
            OSError: none could be made.
        """
        while self._n_open >= self._max:
            connection = await self._queue()
            if connection is None:
                return await self._open()
            if connection.alive:
                return connection
        self._n_open += 1
        return await self._open()

    def make_room(self) -> None:
        """See that a new connection can be made where kept ones fill all slots."""
        if self._n_open >= self._max and self._idle:
            self._idle[0].shut()

    def release(self, connection: Connection) -> None:
        """A connection can be asked again."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if self._closed:
            connection.shut()
            return
        connection.idle_since = self._clock()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEEP_S, self._sweep)

    def dropped(self, connection: Connection) -> None:
        """A connection is gone."""
        if connection.idle_since is not None and connection in self._idle:
            self._idle.remove(connection)
        self._free_slot()

    def close(self) -> None:
        """Close kept connections; those in use follow when their answers are whole."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._shut_idle()

    async def _open(self) -> Connection:
        try:
            connection = await self._connect()
        except BaseException:
            self._free_slot()
            raise
        if not connection.alive:
            self._free_slot()
            raise UpstreamError("An upstream closed a connection as soon as it was made.")
        connection.owned = True
        return connection

    async def _queue(self) -> Connection | None:
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if waiter.done() and not waiter.cancelled():
                self._give_back(waiter.result())
            raise

    def _give_back(self, granted: Connection | None) -> None:
        if granted is None:
            self._free_slot()
        elif granted.alive:
            self.release(granted)

    def _free_slot(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._n_open -= 1

    def _is_old(self, connection: Connection) -> bool:
        since = connection.idle_since
        return since is not None and self._clock() - since > KEEP_S

    def _shut_idle(self) -> None:
        while self._idle:
            self._idle.pop().shut()

    def _sweep(self) -> None:
        while self._idle and self._is_old(self._idle[0]):
            self._idle.popleft().shut()
        # Looked at again a whole rest later: an idle connection lives at most twice its time.
        again = asyncio.get_running_loop().call_later
        self._sweeping = again(KEEP_S, self._sweep) if self._idle else None
