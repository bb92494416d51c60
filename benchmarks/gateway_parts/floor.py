"""The floor: what a proxy costs that only passes bytes. uvicorn (uvloop, httptools), kept raw asyncio connections upstream.

No key, no limit, no guard, no record; it reads nothing of what passes but the framing.
A program: `python floor.py UPSTREAM [CA_FILE]`. It prints its URL.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from urllib.parse import urlsplit

import httptools
import uvicorn

ADDRESS = urlsplit(sys.argv[1])
TLS = ssl.create_default_context(cafile=sys.argv[2]) if len(sys.argv) > 2 else None
HEAD = b"POST %s HTTP/1.1\r\nhost: %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
IDLE: list[Line] = []


class Line(asyncio.Protocol):
    """One kept connection to the upstream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._waiter: asyncio.Future[None] | None = None

    def ask(self, path: bytes, body: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.over = self.begun = False
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(HEAD % (path, ADDRESS.netloc.encode(), len(body)) + body)

    async def moved(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-type", b"content-length"):
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.begun = True
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.over = True


async def _line() -> Line:
    if IDLE:
        return IDLE.pop()
    loop = asyncio.get_running_loop()
    host = ADDRESS.hostname if TLS else None
    _, line = await loop.create_connection(Line, ADDRESS.hostname, ADDRESS.port, ssl=TLS, server_hostname=host)
    return line


async def app(scope, receive, send) -> None:
    """Pass one request on and its answer back, each piece as it comes."""
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message["more_body"]
    line = await _line()
    line.ask(scope["raw_path"], b"".join(parts))
    while not line.begun:
        await line.moved()
    await send({"type": "http.response.start", "status": line.status, "headers": line.headers})
    while not line.over:
        if line.pieces:
            piece, line.pieces = b"".join(line.pieces), []
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not line.over:
            await line.moved()
    rest = b"".join(line.pieces)
    IDLE.append(line)
    await send({"type": "http.response.body", "body": rest})


if __name__ == "__main__":
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(2048)
    sys.stdout.write(f"http://127.0.0.1:{bound.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, lifespan="off", log_level="warning")
    uvicorn.Server(config).run(sockets=[bound])
