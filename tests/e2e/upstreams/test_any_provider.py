"""The real any-llm-sdk against a server on loopback, where it is installed."""

from __future__ import annotations

import importlib.util
import json

import pytest

from perdure.core.errors import UpstreamCut
from perdure.serve.gateway.upstream.any_llm import AnyClient

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("any_llm") is None, reason="needs the extra `any-llm`: any-llm-sdk is not installed"
)
CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def response(status: str, body: dict, *headers: str) -> bytes:
    data = json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status}",
        "connection: close",
        f"content-length: {len(data)}",
        "content-type: application/json",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def stream(*deltas: tuple[str, str | None]) -> bytes:
    lines = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    for text, reason in deltas:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
        lines += b"data: " + json.dumps({**CHUNK, "choices": [choice]}).encode() + b"\n\n"
    return lines


WHOLE = {
    **CHUNK,
    "object": "chat.completion",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
LIMITED = response("429 Too Many", {"error": {"message": "sk-test must wait", "code": "rl"}}, "retry-after: 7")
GOOD, CUT = stream(("a", None), ("b", "stop")) + b"data: [DONE]\n\n", stream(("a", None))


@pytest.mark.filterwarnings("default")
def test_the_real_library_answers_streams_refuses_and_is_cut(run, world, monkeypatch):
    async def ask(client, **members):
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode()
        return await client.send("/chat/completions", [], body, first_s=10, idle_s=5)

    async def work():
        scripts = [world.once(data) for data in (response("200 OK", WHOLE), GOOD, LIMITED, CUT)]
        async with world.Server(*scripts) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/v1")
            client = AnyClient("openai", "sk-test")
            answer = await ask(client)
            assert json.loads(await answer.read(10_000))["usage"]["total_tokens"] == 5
            answer = await ask(client, stream=True, stream_options={"include_usage": True})
            assert (await answer.read(10_000)).endswith(b"data: [DONE]\n\n")
            answer = await ask(client)
            assert (answer.status, dict(answer.headers)[b"retry-after"]) == (429, b"7")
            assert b"sk-test" not in await answer.read(10_000)
            answer = await ask(client, stream=True)
            with pytest.raises(UpstreamCut):
                await answer.read(10_000)
            await client.close()

    run(work())
