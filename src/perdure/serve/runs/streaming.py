"""Answers of runs over HTTP: waited for and whole, or as server-sent events; and what becomes of them when a client hangs up.

An event of a step has the step's number as its id, so that a client that comes again with `Last-Event-ID` goes on behind it, as browsers
do by themselves. A client that hangs up stops nothing, unless it said so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import msgspec

from perdure.core.runs import RunRecord
from perdure.serve.runs.following import Following
from perdure.serve.runs.hearing import Listening
from perdure.serve.runs.protocols import RunEvent
from perdure.serve.runs.running import Runtime
from perdure.serve.scoring.http import Receive, Send

EVENTS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
BEAT = b": nothing new\n\n"


@dataclass(slots=True, eq=False)
class Draining:
    """What is waited for and followed over HTTP in this process; `begin` ends it, so that a stop need not wait for runs."""

    is_begun: bool = False
    _followed: set[Following] = field(default_factory=set)
    _stops: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self) -> None:
        """The server stops: whoever waits is answered with the run as it stands."""
        self.is_begun = True
        self._stops.set()
        for each in list(self._followed):
            each.let_go()

    @contextlib.contextmanager
    def following(self, following: Following) -> Iterator[None]:
        """While a run is followed."""
        self._followed.add(following)
        try:
            yield
        finally:
            self._followed.discard(following)

    async def begun(self) -> None:
        """Once the server stops."""
        await self._stops.wait()


async def hung_up(receive: Receive) -> None:
    """Once the client is gone; its request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def waited(runtime: Runtime, run: str, wait_s: float, receive: Receive, draining: Draining) -> RunRecord | None:
    """The run once it is over, waits for a person, or was waited for long enough; None: the client hung up."""
    waiting = asyncio.ensure_future(runtime.wait(run, wait_s))
    gone, stops = asyncio.ensure_future(hung_up(receive)), asyncio.ensure_future(draining.begun())
    try:
        await asyncio.wait((waiting, gone, stops), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        return None if gone.done() and not stops.done() else (await runtime.get(run)).run
    finally:
        for task in (waiting, gone, stops):
            task.cancel()


class Stream:
    """One answer of events on its way to a client.

    Args:
        following: the run.
        receive: of the request, which has been read.
        send: to the client.
        draining: of this process.
    """

    def __init__(self, following: Following, receive: Receive, send: Send, draining: Draining) -> None:
        self._following = following
        self._receive = receive
        self._send = send
        self._draining = draining
        self.is_gone = False
        """The client hung up."""

    async def begin(self, *headers: tuple[bytes, bytes]) -> None:
        """Send the head."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [*EVENTS, *headers]})

    async def events(self, listening: Listening | None = None) -> AsyncIterator[RunEvent | None]:
        """What the run does, until it is over, the client is gone, or the server stops."""
        gone = asyncio.ensure_future(hung_up(self._receive))
        gone.add_done_callback(self._hung_up)
        try:
            with self._draining.following(self._following):
                async for event in self._following.events(listening):
                    if self.is_gone:
                        return
                    yield event
        finally:
            gone.cancel()

    async def send(self, data: bytes) -> None:
        """Send a piece, where there is anything in it."""
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Send the end."""
        await self._send({"type": "http.response.body", "body": b""})

    def _hung_up(self, gone: asyncio.Future[None]) -> None:
        if not gone.cancelled():
            self.is_gone = True
            self._following.let_go()


def event_bytes(event: RunEvent) -> bytes:
    r"""An event as it goes over the wire.

    >>> event_bytes(RunEvent("text", {"step": 0, "text": "Tr"}))
    b'event: text\ndata: {"step":0,"text":"Tr"}\n\n'
    """
    number = b"id: %d\n" % event.data["n"] if event.name == "step" else b""
    return b"%sevent: %s\ndata: %s\n\n" % (number, event.name.encode(), msgspec.json.encode(event.data, enc_hook=str))
