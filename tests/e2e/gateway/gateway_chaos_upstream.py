"""An upstream that misbehaves by chance and keeps its own count: what the gateway's records are held against.

It runs on the loop of whoever makes it. Each request draws its fate from a seeded source, and is noted with the tokens that
the upstream counted for it and whether the whole of that count went out.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from dataclasses import dataclass
from random import Random

from gateway_upstream import Said, events, whole

_NUMBER = re.compile(rb"call n(\d+) ")
WORDS = ("Trains", " leave", " at", " noon", ".")

WHOLE = (
    ("fine", 60.0), ("429", 4.0), ("500", 4.0), ("400", 2.0), ("reset", 3.0), ("cut", 4.0), ("stall", 0.3), ("silent", 3.0),
    ("garbage", 2.0),
)  # fmt: skip
STREAMED = (
    ("fine", 60.0), ("429", 3.0), ("500", 3.0), ("400", 2.0), ("reset", 3.0), ("cut", 6.0), ("cut late", 5.0), ("stall", 0.3),
    ("stall late", 0.3), ("silent", 3.0), ("garbage", 3.0), ("error", 3.0),
)  # fmt: skip
"""What becomes of a request, and how often."""


_PAUSES_S = (*(0.0,) * 12, 0.1, 0.2)
"""Between two pieces of a stream: long enough, at times, that a client hangs up meanwhile."""


@dataclass
class Noted:
    """One request as the upstream counted it."""

    number: int
    kind: str
    model: str
    fate: str
    n_input: int
    n_output: int
    told: bool = False
    """The whole of its count has gone out, in order, and the connection was not reset after it."""


class ChaosUpstream:
    """Counts, and misbehaves.

    Args:
        seed: of every fate.
    """

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self.noted: list[Noted] = []
        self.calm = False
        """Everything is fine from now on."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen; returns the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection may be used again."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        path = head.split(b" ", 2)[1]
        kind = "messages" if b"/messages" in path else "chat" if b"/chat/" in path else "gemini"
        streams = b"streamGenerate" in path or (kind != "gemini" and json.loads(body).get("stream") is True)
        found = _NUMBER.search(body)
        rng = self._rng
        fates, weights = zip(*(STREAMED if streams else WHOLE), strict=True)
        noted = Noted(
            int(found.group(1)) if found else -1,
            kind,
            "b-1" if b"b-1" in path + body else "a-1",
            "fine" if self.calm else rng.choices(fates, weights)[0],
            rng.randint(5, 5_000),
            rng.randint(1, 2_000),
        )
        self.noted.append(noted)
        said = Said(words=WORDS, n_input=noted.n_input, n_output=noted.n_output)
        if noted.fate == "reset":
            _reset(writer)
            return False
        if noted.fate == "stall":
            await reader.read(1)
            return False
        if noted.fate in ("429", "500", "400"):
            answer = b'{"type":"error","error":{"type":"x","message":"No.","code":null}}'
            writer.write(b"HTTP/1.1 %s X\r\ncontent-length: %d\r\n\r\n%s" % (noted.fate.encode(), len(answer), answer))
            return True
        if streams:
            return await self._stream(reader, writer, noted, said)
        return self._whole(writer, noted, said)

    def _whole(self, writer: asyncio.StreamWriter, noted: Noted, said: Said) -> bool:
        told = whole(noted.kind, said, noted.model)
        if noted.fate == "silent":
            told.pop("usage", None)
            told.pop("usageMetadata", None)
        answer = b"<html>busy</html>" if noted.fate == "garbage" else json.dumps(told).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
        if noted.fate == "cut":
            writer.write(head + answer[: len(answer) // 2])
            return False
        writer.write(head + answer)
        noted.told = noted.fate == "fine"
        return True

    async def _stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, noted: Noted, said: Said
    ) -> bool:
        fate, kind = noted.fate, noted.kind
        told = events(kind, said, noted.model, usage=fate != "silent")
        if fate == "silent" and kind != "chat":
            told = [_uncounted(each) for each in told]
        if fate == "error":
            failure = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded", "code": 503}}
            told = [*told[:4], f"data: {json.dumps(failure)}\n\n".encode()]
        if fate == "garbage":
            told.insert(4, b"data: {not json\n\n")
        counted = len(told) if kind == "gemini" else len(told) - 1  # the events up to and with the last count
        sent = {"cut": 4, "stall late": 4, "cut late": counted}.get(fate, len(told))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        half = self._rng.randint(1, max(sent - 1, 1))
        for part in (told[:half], told[half:sent]):
            data = b"".join(part)
            if data:
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                await asyncio.sleep(self._rng.choice(_PAUSES_S))
        noted.told = fate in ("fine", "cut late") or (fate == "garbage" and kind == "chat")
        if fate == "stall late":
            await reader.read(1)
        if fate in ("cut", "cut late", "stall late"):
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _uncounted(event: bytes) -> bytes:
    """An event without its usage."""
    lines = event.decode().rstrip("\n").split("\n")
    told = json.loads(lines[-1].removeprefix("data: "))
    told.pop("usage", None)
    told.pop("usageMetadata", None)
    if "message" in told:
        told["message"].pop("usage", None)
    return ("\n".join([*lines[:-1], f"data: {json.dumps(told)}"]) + "\n\n").encode()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
