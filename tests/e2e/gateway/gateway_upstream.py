"""Upstreams of the gateway's tests: a small server that answers in recorded shapes, or as badly as a test says.

One server speaks all dialects, told by the path: OpenAI's chat completions, responses and embeddings, Anthropic's messages,
Gemini's generateContent. What it saw, and who hung up on it, is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_shapes import Said, events, whole

__all__ = [
    "Behaviour",
    "Said",
    "Seen",
    "Upstreams",
    "Wire",
    "cut",
    "dripping",
    "events",
    "exactly",
    "recorded",
    "stalled",
    "status",
    "streamed",
    "whole",
]

Json = dict[str, Any]


@dataclass
class Seen:
    """One request as the upstream got it."""

    path: str
    headers: Mapping[str, str]
    raw: bytes
    gone: threading.Event = field(default_factory=threading.Event)
    """The gateway hung up before the answer was whole."""

    @property
    def body(self) -> Json:
        return json.loads(self.raw)

    @property
    def kind(self) -> str:
        for name in ("chat", "responses", "embeddings", "count_tokens", "messages"):
            if name in self.path:
                return name
        return "gemini"

    @property
    def streams(self) -> bool:
        return "streamGenerate" in self.path or self.body.get("stream") is True


class Wire:
    """One answer on its way to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        named = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)

    def begin(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self._writer.write(head)

    async def piece(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self._writer.drain()

    def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")

    def raw(self, data: bytes) -> None:
        self._writer.write(data)

    def reset(self) -> None:
        """End it without a word."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def hung_up(self) -> None:
        """Until the gateway is gone."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass


Behaviour = Callable[[Wire, Seen], Awaitable[None]]


def recorded(said: Said | None = None, *, gap_s: float = 0.0, usage: bool = True) -> Behaviour:
    """Answer as the real ones do, whole or streamed; `gap_s` between two pieces of a stream."""
    told = said or Said()

    async def behave(wire: Wire, seen: Seen) -> None:
        model = str(seen.body.get("model") or "gemini-1")
        if not seen.streams:
            wire.reply(200, json.dumps(whole(seen.kind, told, model)).encode())
            return
        wire.begin()
        for each in events(seen.kind, told, model, usage=usage):
            await wire.piece(each)
            if gap_s:
                await asyncio.sleep(gap_s)
        wire.end()

    return behave


def status(code: int, message: str = "No.", *, headers: Mapping[str, str] | None = None) -> Behaviour:
    """An error in the shape of whoever is spoken to."""

    async def behave(wire: Wire, seen: Seen) -> None:
        shapes: dict[str, Json] = {
            "messages": {"type": "error", "error": {"type": "invalid_request_error", "message": message}},
            "gemini": {"error": {"code": code, "message": message, "status": "INVALID_ARGUMENT"}},
        }
        shape = shapes.get(seen.kind, {"error": {"message": message, "type": "invalid_request_error", "code": None}})
        wire.reply(code, json.dumps(shape).encode(), headers)

    return behave


def cut(after: int, *, said: Said | None = None, reset: bool = True) -> Behaviour:
    """A stream of which so many events come, and then nothing any more."""
    told = said or Said()

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.begin()
        for each in events(seen.kind, told)[:after]:
            await wire.piece(each)
        await asyncio.sleep(0.01)
        if reset:
            wire.reset()
        else:
            wire.end()

    return behave


def stalled(after: int = 0) -> Behaviour:
    """Nothing comes, or nothing more after so many events, until the gateway hangs up."""

    async def behave(wire: Wire, seen: Seen) -> None:
        if after:
            wire.begin()
            for each in events(seen.kind, Said())[:after]:
                await wire.piece(each)
        await wire.hung_up()
        seen.gone.set()

    return behave


def dripping(gap_s: float) -> Behaviour:
    """Pieces without an end, until the gateway hangs up: of a stream words, of a whole answer spaces."""

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.begin()
        word = events(seen.kind, Said())[1] if seen.streams else b" "
        if seen.streams:
            await wire.piece(events(seen.kind, Said())[0])
        with contextlib.suppress(ConnectionError):
            for _ in range(20_000):
                await wire.piece(word)
                await asyncio.sleep(gap_s)
        seen.gone.set()

    return behave


def exactly(data: bytes) -> Behaviour:
    """These bytes, whatever was asked."""

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.raw(data)

    return behave


def streamed(*pieces: bytes) -> Behaviour:
    """A stream of these pieces that ends as HTTP should."""

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.begin()
        for each in pieces:
            await wire.piece(each)
        wire.end()

    return behave


class Upstreams:
    """The server, in a thread of its own.

    Args:
        behave: what it does when nothing else was told.
    """

    def __init__(self, behave: Behaviour | None = None) -> None:
        self.seen: list[Seen] = []
        self.usual = behave or recorded()
        self._next: deque[Behaviour] = deque()
        self._by_model: dict[str, Behaviour] = {}
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._wait(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def then(self, *behaviours: Behaviour) -> None:
        """What is done with the next requests."""
        self._next.extend(behaviours)

    def of_model(self, model: str, behave: Behaviour) -> None:
        """What is always done with requests for a model."""
        self._by_model[model] = behave

    def reset(self) -> None:
        """Forget what was told and seen."""
        self.seen.clear()
        self._next.clear()
        self._by_model.clear()
        self.usual = recorded()

    def close(self) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        wire = Wire(reader, writer)
        try:
            while True:
                seen = await _request(reader)
                self.seen.append(seen)
                try:
                    await self._behaviour(seen)(wire, seen)
                    await writer.drain()
                except (ConnectionError, asyncio.CancelledError):
                    seen.gone.set()
                    raise
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _behaviour(self, seen: Seen) -> Behaviour:
        if self._next:
            return self._next.popleft()
        model = seen.path if seen.kind == "gemini" else str(seen.body.get("model"))
        return next((each for name, each in self._by_model.items() if name in model), self.usual)


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(first.split(" ")[1], headers, raw)
