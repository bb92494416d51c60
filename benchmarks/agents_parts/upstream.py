"""The provider of the gateway's part: at once a call of `look`, four times in a conversation, then `done`. It prints its URL."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

N_CALLS = 4


def _answer(n: int) -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": "done" if n >= N_CALLS else None}
    if n < N_CALLS:
        arguments = json.dumps({"query": f"q{n}", "top": 3})
        message["tool_calls"] = [
            {"id": f"c{n}", "type": "function", "function": {"name": "look", "arguments": arguments}}
        ]
    finish = "stop" if n >= N_CALLS else "tool_calls"
    body = json.dumps(
        {
            "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-x",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
    ).encode()  # fmt: skip
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


ANSWERS = [_answer(n) for n in range(N_CALLS + 1)]


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
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
        n_body = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._data) < end + 4 + n_body:
            return
        body, self._data = self._data[end + 4 :], b""
        self._transport.write(ANSWERS[min(body.count(b'"role":"assistant"'), N_CALLS)])


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
