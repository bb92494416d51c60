"""The provider: answers chat completions at once, or streams 24 chunks. As little CPU as can be, no parsing beyond its needs.

A program: `python upstream.py [--pause-ms N] [--certificate FILE --key FILE]`. It prints its URL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys

import uvloop

N_CHUNKS = 24
TEXT = "Hello there."
STREAMED = "".join(f"tok{at} " for at in range(N_CHUNKS))
USAGE = {"prompt_tokens": 10, "completion_tokens": N_CHUNKS, "total_tokens": 10 + N_CHUNKS}

_BODY = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x", "choices": choices, **more}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"  # without spaces, as OpenAI's


CHUNKS = [
    _piece(_event([{"index": 0, "delta": {"content": f"tok{at} "}, "finish_reason": None}])) for at in range(N_CHUNKS)
]
_STOP = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
_DONE = b"data: [DONE]\n\n"
LAST = _piece(_STOP + _DONE) + b"0\r\n\r\n"
LAST_WITH_USAGE = _piece(_STOP + _event([], usage=USAGE) + _DONE) + b"0\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection of a caller."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            # llhttp speaks chunked in no client measured here; a HEAD or GET asks whether we are there
            self._data = b""
            self._transport.write(WHOLE)
            return
        n_body = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._data) < end + 4 + n_body:
            return
        body, self._data = self._data[end + 4 :], b""
        asks = body if len(body) < 4096 else body[:512] + body[-512:]
        if b'"stream":true' in asks or b'"stream": true' in asks:
            last = LAST_WITH_USAGE if b"include_usage" in asks else LAST
            asyncio.get_running_loop().create_task(self._stream(last))
        else:
            self._transport.write(WHOLE)

    async def _stream(self, last: bytes) -> None:
        self._transport.write(_HEAD)
        for chunk in CHUNKS:
            if self._transport.is_closing():
                return
            self._transport.write(chunk)
            await asyncio.sleep(self._pause_s)
        self._transport.write(last)


async def _serve(options: argparse.Namespace) -> None:
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate, options.key)
    loop = asyncio.get_running_loop()
    pause_s = options.pause_ms / 1e3
    server = await loop.create_server(lambda: Provider(pause_s), "127.0.0.1", 0, ssl=tls, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http{'s' if tls else ''}://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pause-ms", type=float, default=0.0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    uvloop.run(_serve(parser.parse_args()))
