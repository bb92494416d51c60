"""A host that answers what a test says, over real HTTP; and what tests of tools share is made importable."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tools_world import desk_run

from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.protocols import ToolContext

Answering = Callable[[bytes, bytes, asyncio.StreamWriter], Awaitable[None]]


class Host:
    """One host on a free port; keeps heads and bodies of what it was asked."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0
                )
                body = await reader.readexactly(length)
                self.heads.append(head)
                self.bodies.append(body)
                await self.answering(head, body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
def make_host() -> Callable[[Answering], Host]:
    """Makes hosts."""
    return Host


@pytest.fixture
def context() -> ToolContext:
    """Of a call whose user asked for parcel 4471."""
    world: Any = None
    return ToolContext(desk_run(b'{"task": "Where is parcel 4471?"}'), Caller("", None), "key-1", world)
