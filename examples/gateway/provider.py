"""A stand-in provider: speaks OpenAI's chat completions on loopback, and falls ill when it is told to.

`python provider.py` serves until it is stopped, and prints its address. Its answers are made by a rule, so nothing is
downloaded and the story is the same at every run. `POST /ill {"fails": 0.5, "slow_ms": 0, "changed": false}` makes it ill.
"""

from __future__ import annotations

import asyncio
import json
import sys
from random import Random

_RANDOM = Random(7)


class Provider:
    """One provider's state: how often it fails, how slow it is, whether another model answers under the same name."""

    def __init__(self) -> None:
        self.fails, self.slow_ms, self.changed = 0.0, 0.0, False

    def answer(self, request: dict) -> tuple[int, dict]:
        """Status and body of one completion."""
        if _RANDOM.random() < self.fails:
            return 503, {"error": {"message": "overloaded", "type": "server_error", "code": None, "param": None}}
        asked = str(request["messages"][-1]["content"])
        said = self.reply(asked)
        usage = {"prompt_tokens": len(asked) // 4 + 8, "completion_tokens": len(said) // 4 + 1}
        usage["total_tokens"] = sum(usage.values())
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return 200, {
            "id": "chatcmpl-stand-in", "object": "chat.completion", "created": 0, "model": request["model"],
            "choices": [choice], "usage": usage,
        }  # fmt: skip

    def reply(self, asked: str) -> str:
        """What is said; a changed model refuses more and says it in other words."""
        if self.changed:
            return f"I'm sorry, but I can't help with that. You asked about {len(asked.split())} words."
        words = [word.strip("?.,") for word in asked.split() if len(word) > 4]
        return f"Thank you for asking. About {', '.join(words[:4]) or 'that'}: we will answer within a day."


def _events(answer: dict) -> bytes:
    """The same as a stream: a chunk a word, one with the end, one with what was counted."""
    head = {"id": answer["id"], "object": "chat.completion.chunk", "created": 0, "model": answer["model"]}
    choices = [[{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}]
               for word in answer["choices"][0]["message"]["content"].split()]  # fmt: skip
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    chunks = [{**head, "choices": each} for each in choices] + [{**head, "choices": [], "usage": answer["usage"]}]
    return "".join(f"data: {each}\n\n" for each in [*map(json.dumps, chunks), "[DONE]"]).encode()


async def _serve(provider: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            body = json.loads(await reader.readexactly(length) or b"{}")
            if head.startswith("post /ill"):
                provider.__dict__.update(body)
                status, answer = 200, vars(provider)
            else:
                status, answer = provider.answer(body)
                await asyncio.sleep(provider.slow_ms / 1000.0)
            streams = status == 200 and body.get("stream", False)
            kind, data = (
                ("text/event-stream", _events(answer)) if streams else ("application/json", json.dumps(answer).encode())
            )
            writer.write(
                f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int = 0) -> None:
    """Serve until stopped."""
    provider = Provider()
    server = await asyncio.start_server(lambda reader, writer: _serve(provider, reader, writer), "127.0.0.1", port)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
