"""Providers by any-llm, with a library shaped like any-llm-sdk in its place."""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace

import pytest

from perdure.assets.upstream import Upstream
from perdure.core.errors import BadRoute, MissingExtra, UpstreamBad, UpstreamCut, UpstreamTimedOut
from perdure.serve.gateway.upstream.any_llm import AnyClient
from perdure.serve.gateway.upstream.making import make_client


class AnyLLMError(Exception):
    def __init__(self, message="", *, status_code=None, code=None):
        super().__init__(message)
        self.status_code, self.code = status_code, code


class RateLimitError(AnyLLMError):
    retry_after = "7"


class ContextLengthExceededError(AnyLLMError): ...


class UnsupportedParameterError(AnyLLMError): ...


class UnsupportedProviderError(AnyLLMError): ...


class MissingApiKeyError(AnyLLMError):
    env_var_name = "MISTRAL_API_KEY"


class Record(SimpleNamespace):
    """A pydantic model, as far as it is used."""

    def model_dump_json(self, *, exclude_none):
        assert exclude_none
        return json.dumps(self.data)


def chunk(text, finish_reason=None):
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return Record(choices=[SimpleNamespace(finish_reason=finish_reason)], data={"choices": [delta]})


class Provider:
    """Does what the model's name says."""

    def __init__(self):
        self.asked, self.n_running, self.n_closed = [], 0, 0

    async def acompletion(self, *, model, messages, stream=None, **params):
        self.asked.append(params)
        if model == "limited":
            raise RateLimitError("slow down, sk-secret", status_code=429, code="rl")
        if model == "short":
            raise ContextLengthExceededError("too long", status_code=200)
        if model == "odd":
            raise AnyLLMError("odd")
        if model == "types":
            raise TypeError("got an unexpected keyword")
        if model == "hang":
            self.n_running += 1
            try:
                await asyncio.sleep(60)
            finally:
                self.n_running -= 1
        return self.stream(model) if stream else Record(data={"id": "x", "choices": []})

    async def stream(self, model):
        try:
            yield chunk("a")
            if model == "cut":
                return
            if model == "broken":
                raise ConnectionResetError
            if model == "failed":
                raise RateLimitError("later")
            if model == "stall":
                await asyncio.sleep(60)
            yield chunk("b", "stop")
        finally:
            self.n_closed += 1


@pytest.fixture
def library(monkeypatch):
    provider = Provider()
    made = []

    def create(name, *, api_key, unified_exceptions, **options):
        made.append((name, api_key, unified_exceptions, options))
        if name == "nope":
            raise UnsupportedProviderError
        if name == "keyless":
            raise MissingApiKeyError
        if name == "bare":
            raise ImportError
        if name == "no_retries" and "max_retries" in options:
            raise UnsupportedParameterError
        return provider

    errors = {kind.__name__: kind for kind in (AnyLLMError, *AnyLLMError.__subclasses__())}
    module = SimpleNamespace(AnyLLM=SimpleNamespace(create=create), provider=provider, made=made, **errors)
    monkeypatch.setitem(sys.modules, "any_llm", module)
    return module


def ask(client, model="m", *, first_s=5.0, idle_s=5.0, path="/chat/completions", **members):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **members}).encode()
    return client.send(path, [], body, first_s=first_s, idle_s=idle_s)


def with_client(work, **options):
    async def run():
        async with asyncio.timeout(10):
            client = AnyClient("mistral", "sk-secret", **options)
            await work(client)
            await client.close()

    asyncio.run(run())


def test_a_completion_is_answered_whole(library):
    async def work(client):
        answer = await ask(client, temperature=0, user=None)
        assert (answer.status, answer.headers) == (200, [(b"content-type", b"application/json")])
        assert json.loads(await answer.read(1000)) == {"id": "x", "choices": []}
        assert library.provider.asked == [{"temperature": 0}]
        assert library.made == [("mistral", "sk-secret", True, {"max_retries": 0})]

    with_client(work)


def test_a_stream_comes_as_events_and_ends_in_so_many_words(library):
    async def work(client):
        answer = await ask(client, stream=True)
        events = (await answer.read(1000)).decode().split("\n\n")
        assert (answer.status, answer.headers) == (200, [(b"content-type", b"text/event-stream")])
        assert events[2:] == ["data: [DONE]", ""]
        assert [json.loads(event[6:])["choices"][0]["delta"]["content"] for event in events[:2]] == ["a", "b"]

    with_client(work)


@pytest.mark.parametrize("model", ["cut", "broken", "failed"])
def test_a_stream_that_ends_without_a_reason_is_cut_after_what_came(library, model):
    async def work(client):
        answer = await ask(client, model, stream=True)
        assert b'"a"' in await answer.piece()
        with pytest.raises(UpstreamCut):
            await answer.piece()

    with_client(work)
    assert library.provider.n_closed == 1


def test_errors_of_providers_are_told_as_openai_would_and_without_the_secret(library):
    async def work(client):
        answer = await ask(client, "limited")
        assert (answer.status, dict(answer.headers)[b"retry-after"]) == (429, b"7")
        error = json.loads(await answer.read(1000))["error"]
        assert error == {"message": "slow down, …", "type": "rate_limit_error", "param": None, "code": "rl"}
        answer = await ask(client, "short")
        assert (answer.status, b"context_length_exceeded" in await answer.read(1000)) == (400, True)
        assert (await ask(client, "odd")).status == 502
        assert (await ask(client, path="/embeddings")).status == 404

    with_client(work)


def test_a_library_that_breaks_below_is_no_answer(library):
    async def work(client):
        with pytest.raises(UpstreamBad, match="TypeError"):
            await ask(client, "types")

    with_client(work)


def test_a_call_that_is_late_or_let_go_of_is_cancelled(library):
    async def work(client):
        with pytest.raises(UpstreamTimedOut):
            await ask(client, "hang", first_s=0.02)
        await asyncio.sleep(0)
        assert library.provider.n_running == 0
        answer = await ask(client, "stall", stream=True)
        await answer.piece()
        answer.close()
        await asyncio.sleep(0.01)
        assert library.provider.n_closed == 1

    with_client(work)


def test_calls_over_the_limit_wait_within_their_deadline(library):
    async def work(client):
        running = asyncio.create_task(ask(client, "hang"))
        await asyncio.sleep(0.01)
        with pytest.raises(UpstreamTimedOut):
            await ask(client, first_s=0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (await ask(client)).status == 200

    with_client(work, max_connections=1)


def test_a_provider_that_has_no_retries_to_turn_off_is_made_without(library):
    make_client(Upstream("m", "no_retries", dialect="any"), "")
    assert library.made[-1] == ("no_retries", None, True, {})


@pytest.mark.parametrize(
    ("provider", "words"),
    [("nope", "knows no provider"), ("keyless", "MISTRAL_API_KEY"), ("bare", "pip install 'any-llm-sdk[bare]'")],
)
def test_a_provider_that_cannot_be_called_is_refused_where_it_is_declared(library, provider, words):
    with pytest.raises(BadRoute) as caught:
        make_client(Upstream("m", provider, dialect="any"), "")
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "any_llm", None)
    with pytest.raises(MissingExtra, match="'any-llm'"):
        AnyClient("mistral")
