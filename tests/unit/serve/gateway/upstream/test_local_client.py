"""A model in this process, with a library shaped like llama-cpp-python in its place."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from perdure.assets.upstream import Upstream
from perdure.core.errors import BadRoute, MissingExtra, UpstreamCut, UpstreamError, UpstreamTimedOut
from perdure.serve.gateway.upstream.local import LocalClient
from perdure.serve.gateway.upstream.making import make_client

END = 0
WORDS = {1: "One", 2: " two", 3: " three"}


class Llama:
    """Says three words, as slowly as a test lets it."""

    def __init__(self, *, model_path, n_ctx, n_threads, n_gpu_layers, verbose):
        if Path(model_path).read_text() == "broken":
            raise ValueError(f"Failed to load model from file: {model_path}")
        self.loaded = (n_ctx, n_threads, n_gpu_layers, verbose)
        self.n_made = 0
        self.gate = threading.Semaphore(1000)
        self.asked = []
        made.append(self)

    def detokenize(self, tokens):
        return "".join(WORDS.get(token, "") for token in tokens).encode()

    def generate(self, tokens, temp=0.8):
        for token in (1, 2, 3, END):
            self.gate.acquire()
            self.n_made += 1
            yield token

    def create_chat_completion(self, messages, *, model=None, stream=False, **params):
        self.asked.append(params)
        "".join(message["content"] for message in messages)  # as a model's template joins them
        if len(messages) > 5:
            raise ValueError("Requested tokens (931) exceed context window of 512")
        if "logprobs" in params:
            raise ValueError("a message that quotes " + messages[0]["content"])
        if "crash" in messages[0]["content"]:
            raise RuntimeError("llama_decode returned -1")
        chunks = self.chunks(messages, model, params.get("max_tokens", 9))
        return chunks if stream else self.whole(messages, model)

    def chunks(self, messages, model, max_tokens):
        shape = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model}
        for n_made, token in enumerate(self.generate([7] * len(messages))):
            if token == END:
                break
            yield {**shape, "choices": [{"index": 0, "delta": {"content": WORDS[token]}, "finish_reason": None}]}
            if n_made + 1 == max_tokens:
                break
        yield {**shape, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

    def whole(self, messages, model):
        text = self.detokenize([token for token in self.generate([7] * len(messages)) if token != END]).decode()
        message = {"role": "assistant", "content": text}
        return {"id": "c1", "model": model, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

    def close(self):
        self.closed = True


made: list[Llama] = []


@pytest.fixture
def file(tmp_path, monkeypatch):
    made.clear()
    monkeypatch.setitem(sys.modules, "llama_cpp", SimpleNamespace(Llama=Llama))
    file = tmp_path / "tiny.gguf"
    file.write_text("a model")
    return file


def ask(client, content="hi", *, n_messages=1, path="/chat/completions", first_s=5.0, **members):
    messages = [{"role": "user", "content": content}] * n_messages
    body = json.dumps({"model": "tiny", "messages": messages, **members}).encode()
    return client.send(path, [], body, first_s=first_s, idle_s=5.0)


async def told(client, *args, **members):
    answer = await ask(client, *args, **members)
    return answer.status, dict(answer.headers), await answer.read(1 << 20)


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a thread has no event here
        await asyncio.sleep(0.001)


def with_client(file, work):
    async def run():
        async with asyncio.timeout(10):
            client = LocalClient(str(file))
            await work(client)
            await client.close()

    asyncio.run(run())


def test_a_completion_is_answered_whole(file):
    async def work(client):
        status, headers, body = await told(client, temperature=0, max_completion_tokens=5, user=None, store=True)
        assert (status, headers) == (200, {b"content-type": b"application/json"})
        assert json.loads(body)["choices"][0]["message"]["content"] == "One two three"
        assert json.loads(body)["model"] == "tiny"
        assert made[0].asked == [{"temperature": 0, "max_tokens": 5}]

    with_client(file, work)
    assert made[0].loaded == (4096, None, 0, False)
    assert made[0].closed


def test_a_message_that_only_calls_a_tool_is_read(file):
    """Its content is null, and templates join texts."""
    call = {"id": "call_0_0", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    calls = {"role": "assistant", "content": None, "tool_calls": [call]}

    async def work(client):
        result = {"role": "tool", "tool_call_id": "call_0_0", "content": "found"}
        body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}, calls, result]}).encode()
        answer = await client.send("/chat/completions", [], body, first_s=5.0, idle_s=5.0)
        assert answer.status == 200

    with_client(file, work)


def test_a_stream_comes_as_events_and_ends_in_so_many_words(file):
    async def work(client):
        status, headers, body = await told(client, stream=True)
        events = body.decode().split("\n\n")
        assert (status, headers) == (200, {b"content-type": b"text/event-stream"})
        assert events[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(line.removeprefix("data: ")) for line in events[:-2]]
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "One two three"
        assert not any("usage" in chunk for chunk in chunks)

    with_client(file, work)


@pytest.mark.parametrize(("options", "n_completion"), [({}, 3), ({"max_tokens": 2}, 2)])
def test_a_stream_tells_its_usage_where_it_is_asked_to(file, options, n_completion):
    async def work(client):
        _, _, body = await told(client, n_messages=2, stream=True, stream_options={"include_usage": True}, **options)
        last = json.loads(body.decode().split("\n\n")[-3].removeprefix("data: "))
        assert (last["choices"], last["id"], last["object"]) == ([], "c1", "chat.completion.chunk")
        assert last["usage"] == {
            "prompt_tokens": 2,
            "completion_tokens": n_completion,
            "total_tokens": 2 + n_completion,
        }

    with_client(file, work)


@pytest.mark.parametrize("stream", [True, False])
def test_a_cancel_is_honoured_between_two_tokens(file, stream):
    async def work(client):
        await told(client)
        llm, n_before = made[0], made[0].n_made
        llm.gate = threading.Semaphore(1)
        task = asyncio.create_task(told(client, stream=stream))
        await until(lambda: llm.n_made > n_before)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        llm.gate.release(100)
        assert (await told(client))[0] == 200
        assert llm.n_made - n_before == 2 + 4

    with_client(file, work)


def test_one_request_is_worked_on_at_a_time_and_one_that_waited_too_long_not_at_all(file):
    async def work(client):
        await told(client)
        llm = made[0]
        llm.gate = threading.Semaphore(0)
        first = asyncio.create_task(told(client))
        await until(lambda: len(llm.asked) == 2)
        with pytest.raises(UpstreamTimedOut):
            await ask(client, first_s=0.02)
        llm.gate.release(100)
        assert (await first)[0] == 200
        assert (await told(client))[0] == 200
        assert len(llm.asked) == 3

    with_client(file, work)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"n_messages": 9}, 400, "exceed context window of 512"),
        ({"logprobs": True}, 400, "ValueError"),
        ({"content": "crash"}, 500, "RuntimeError"),
        ({"n": 2}, 400, "n must be 1"),
        ({"messages": []}, 400, "no list of messages"),
        ({"path": "/embeddings"}, 404, "Only /chat/completions"),
    ],
)
def test_what_cannot_be_answered_is_told_as_openai_would(file, options, status, words):
    async def work(client):
        got, _, body = await told(client, **{"content": "a private thing", **options})
        error = json.loads(body)["error"]
        assert got == status
        assert words in error["message"]
        assert "private" not in body.decode()

    with_client(file, work)


def test_a_context_that_is_too_long_has_the_code_that_sdks_know(file):
    async def work(client):
        assert b'"code":"context_length_exceeded"' in (await told(client, n_messages=9))[2]
        answer = await client.send("/chat/completions", [], b"[1", first_s=1, idle_s=1)
        assert (answer.status, b"no JSON object" in await answer.read(1000)) == (400, True)

    with_client(file, work)


def test_a_model_that_cannot_be_loaded_fails_each_request(file):
    file.write_text("broken")

    async def work(client):
        for _ in range(2):
            with pytest.raises(UpstreamError, match="cannot be loaded: ValueError") as caught:
                await ask(client)
            assert str(file.parent) not in str(caught.value)

    with_client(file, work)


def test_a_closed_client_ends_what_runs_and_takes_no_more(file):
    async def work():
        client = LocalClient(str(file))
        running = asyncio.create_task(told(client))
        await asyncio.sleep(0.01)
        await client.close()
        assert (await running)[0] == 200
        with pytest.raises(UpstreamError, match="was closed"):
            await ask(client)
        await client.close()

    asyncio.run(work())


def test_a_close_that_is_cancelled_stops_what_runs(file):
    async def work():
        client = LocalClient(str(file))
        await told(client)
        llm = made[0]
        llm.gate = threading.Semaphore(0)
        running = asyncio.create_task(told(client))
        await until(lambda: len(llm.asked) == 2)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0.01)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        llm.gate.release(100)
        with pytest.raises(UpstreamCut, match="stopped"):
            await running
        await client.close()

    asyncio.run(work())


def test_options_stand_behind_the_file(file):
    async def work(client):
        await told(client)
        assert made[0].loaded == (512, 3, -1, False)

    with_client(f"{file}?n_ctx=512&n_threads=3&n_gpu_layers=-1", work)


@pytest.mark.parametrize(
    ("rest", "words"),
    [("?n_cxt=1", "Did you mean 'n_ctx'"), ("?n_ctx=many", "whole number"), (".gone", "no model file")],
)
def test_a_file_or_an_option_that_means_nothing_is_refused_where_it_is_declared(file, rest, words):
    with pytest.raises(BadRoute) as caught:
        make_client(Upstream("tiny", f"{file}{rest}", dialect="local"), "")
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_without_the_library_the_extra_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(MissingExtra, match="'local'"):
        LocalClient(str(file))


def test_a_form_that_is_asked_for_as_openai_says_it_is_one_that_llama_cpp_forces(file):
    """Its library reads a schema only beside `json_object`; what is no schema is passed on as it is."""
    schema = {"type": "object", "properties": {"verdict": {"enum": ["bad", "good"]}}}
    strict = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}
    loose, none, odd = {"type": "json_object"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": 1}

    async def work(client):
        for wanted in (strict, loose, none, odd):
            await told(client, response_format=wanted)
        asked = [each["response_format"] for each in made[0].asked]
        assert asked == [{"type": "json_object", "schema": schema}, loose, none, odd]

    with_client(file, work)
