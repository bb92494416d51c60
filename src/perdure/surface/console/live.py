"""Tells open pages that something is new: `/live`, a stream of server-sent events, one for each topic of the board that changed.

One thread waits on the board for all connections and wakes them; a connection costs a task and no thread. A panel that hears its topic
asks for its page again. What surprised us: a browser that leaves a page says so only to whoever reads its connection, so a stream that
only writes is counted long after it is gone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from perdure.core.clock import iso, monotonic_s
from perdure.core.errors import LimitReached, NotReady
from perdure.surface.console.board import TOPICS

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from perdure.surface.console.board import Board, Boards, Topic

PER_PERSON = 6
IN_ALL = 200
_WAIT_S = 5.0
"""How long the one thread waits on the board before it looks whether it should end."""
_PING_S = 20.0
_LEAST_S = 1.0
"""Between two tellings of one connection: a loop that catches up on a year makes many boards a second."""
_RETRY_MS = 2000
OVER = "signed-out"
"""The last event of a stream whose person may look no more: `hx-sse:close` of the layout names it, so that the page does not ask again."""


class Live:
    """The streams of one console.

    Args:
        boards: what is waited on.
    """

    def __init__(self, boards: Boards) -> None:
        self._boards = boards
        self._wakers: set[Callable[[], None]] = set()
        self._people: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._over = False

    @property
    def over(self) -> bool:
        """Whether the console ends."""
        return self._over

    def end(self) -> None:
        """Let go of every stream, and of the thread."""
        self._over = True
        self._wake()

    def news(self, after: int) -> tuple[Board, frozenset[Topic]]:
        """The newest board, and what is new in it since another; waits for nothing.

        Numbers begin anew with each start of the console: to whoever knows of a later one, everything is new.
        """
        newest, topics = self._boards.changed(after, 0.0)
        return self._boards.now(), TOPICS if newest < after else topics

    def check(self, person: str) -> None:
        """Refuse one stream too many, before it begins.

        Raises:
            LimitReached: the person, or everybody, has too many already.
            NotReady: the console ends.
        """
        if self._over:
            raise NotReady("The console stops.")
        with self._lock:
            self._check(person)

    @contextmanager
    def following(self, person: str, wake: Callable[[], None]) -> Iterator[None]:
        """Be woken at each new board, and at the end.

        Args:
            person: whose stream it is.
            wake: called from another thread.

        Raises:
            LimitReached: others that asked at the same instant were let in before.
        """
        with self._lock:
            self._check(person)
            self._people[person] += 1
            self._wakers.add(wake)
            if self._thread is None:
                self._thread = threading.Thread(target=self._wait, name="perdure-console-live", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._wakers.discard(wake)
                self._people[person] -= 1

    def _check(self, person: str) -> None:
        if self._people[person] >= PER_PERSON or self._people.total() >= IN_ALL:
            raise LimitReached("Too many pages are followed live.", hint="Close some; a page works without.")

    def _wait(self) -> None:
        seen = -1
        while not self._over:
            try:
                newest, _ = self._boards.changed(seen, _WAIT_S)
            except NotReady:
                continue
            if newest != seen:
                seen = newest
                self._wake()

    def _wake(self) -> None:
        with self._lock:
            wakers = list(self._wakers)
        for wake in wakers:
            wake()


class LiveResponse(Response):
    """One stream, until the browser leaves, its person is signed out, or the console ends.

    Args:
        live: the console's streams.
        person: whose it is.
        after: the newest board that the browser knows of; -1 when it does not say.
        still: whether the person may still look; asked now and then.
    """

    def __init__(self, live: Live, person: str, after: int, still: Callable[[], bool]) -> None:
        super().__init__()
        self._live = live
        self._person = person
        self._after = after
        self._still = still

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - every response is called so
        """Send events until somebody leaves."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        try:
            with self._live.following(self._person, wake):
                kind = (b"content-type", b"text/event-stream; charset=utf-8")
                headers = [kind, (b"x-accel-buffering", b"no")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                left = asyncio.ensure_future(_left(receive))
                try:
                    await self._tell(send, woken, left)
                finally:
                    left.cancel()
        except LimitReached as error:
            await send({"type": "http.response.start", "status": error.status, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def _tell(self, send: Send, woken: asyncio.Event, left: asyncio.Future[None]) -> None:
        board, topics = self._live.news(self._after) if self._after >= 0 else (self._live.news(0)[0], frozenset())
        await _sent(send, f"retry: {_RETRY_MS}\n\n" + events(board, topics))
        told_s = checked_s = monotonic_s()
        while not self._live.over and not left.done():
            woken.clear()
            board, topics = self._live.news(board.generation)
            # Before panels ask again for what they may see no more, where people changed; else now and then.
            if "people" in topics or monotonic_s() - checked_s >= _PING_S:
                if not await asyncio.to_thread(self._still):
                    await _sent(send, f"event: {OVER}\ndata: {{}}\n\n")
                    break
                checked_s = monotonic_s()
            if topics:
                await _sent(send, events(board, topics))
                told_s = monotonic_s()
                await asyncio.wait({left}, timeout=_LEAST_S)
                continue
            waker = asyncio.ensure_future(woken.wait())
            either: set[asyncio.Future[Any]] = {left, waker}
            await asyncio.wait(either, timeout=_PING_S, return_when=asyncio.FIRST_COMPLETED)
            waker.cancel()
            if monotonic_s() - told_s >= _PING_S:
                await _sent(send, ":\n\n")
                told_s = monotonic_s()
        if not left.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def events(board: Board, topics: frozenset[Topic]) -> str:
    """What is sent of a board: `live` with what waits, for the counts; then `live-TOPIC` for each topic that is new."""
    waits = {"incidents": len(board.incidents), "inbox": len(board.questions), "as_of": iso(board.at)}
    data = msgspec.json.encode(waits).decode()
    names = ["live", *(f"live-{topic}" for topic in sorted(topics))]
    return "".join(f"id: {board.generation}\nevent: {name}\ndata: {data}\n\n" for name in names)


async def _left(receive: Receive) -> None:
    """Until the browser has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _sent(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
