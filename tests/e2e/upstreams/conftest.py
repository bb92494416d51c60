"""A server that does with each connection exactly what a test says, and a loop to run it on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Self

import pytest
import uvloop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Wire:
    """One connection as the server has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []

    async def request(self) -> bytes:
        """The next request, its head and its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        request = head + await self.reader.readexactly(length)
        self.requests.append(request)
        return request

    async def send(self, *parts: bytes) -> None:
        """Parts, each in a packet of its own."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0.002)

    async def answer(self, response: bytes) -> None:
        """One request, one answer."""
        await self.request()
        await self.send(response)

    async def closed(self) -> None:
        """Until the client hangs up."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """End it without a word."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Wire], Awaitable[None]]


class Server:
    """A server on loopback; the n-th connection is treated by the n-th script, further ones by the last."""

    def __init__(self, *scripts: Script, tls=None, host="127.0.0.1") -> None:
        self.scripts = scripts
        self.tls = tls
        self.host = host
        self.wires: list[Wire] = []

    async def __aenter__(self) -> Self:
        self.listener = await asyncio.start_server(self.serve, self.host, 0, ssl=self.tls)
        self.port = self.listener.sockets[0].getsockname()[1]
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{'https' if self.tls else 'http'}://{name}:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.close()
        for wire in self.wires:
            wire.writer.transport.abort()
        await asyncio.sleep(0.01)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self.wires.append(wire)
        script = self.scripts[min(len(self.wires), len(self.scripts)) - 1]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await script(wire)
        writer.close()

    @property
    def n_requests(self) -> int:
        return sum(len(wire.requests) for wire in self.wires)


async def steady(wire: Wire) -> None:
    """Answers for ever."""
    while True:
        await wire.answer(OK)


def once(*parts: bytes) -> Script:
    """Takes one request, sends the parts, and hangs up."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(*parts)

    return script


def held(*parts: bytes) -> Script:
    """Takes one request, sends the parts, and then says nothing more."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(*parts)
        await wire.closed()

    return script


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine to its end on a loop of its own, in less than a minute."""

    def run_it(work: Awaitable[object]) -> object:
        async def bounded() -> object:
            async with asyncio.timeout(60):
                return await work

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(bounded())

    return run_it


@pytest.fixture
def world():
    """The server and its scripts."""
    return type(
        "World",
        (),
        {
            "Server": Server,
            "steady": staticmethod(steady),
            "once": staticmethod(once),
            "held": staticmethod(held),
            "OK": OK,
        },
    )


@pytest.fixture
def ask():
    """Sends a chat completion; its head has come."""

    async def ask_it(client, body=b"{}", *, first_s=30.0, idle_s=30.0, headers=()):
        return await client.send("/v1/chat/completions", headers, body, first_s=first_s, idle_s=idle_s)

    return ask_it


@pytest.fixture
def told(ask):
    """Sends a chat completion and reads its answer to the end."""

    async def told_it(client, **options):
        answer = await ask(client, **options)
        return await answer.read(1 << 20)

    return told_it


@pytest.fixture
def until():
    """Waits until something is so."""

    async def until_it(condition):
        while not condition():  # noqa: ASYNC110 - what the other end sees has no event here
            await asyncio.sleep(0.002)

    return until_it
