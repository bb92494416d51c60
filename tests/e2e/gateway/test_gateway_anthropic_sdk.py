"""The official Anthropic SDK as a client: one address changed, whatever upstream answers."""

from __future__ import annotations

import asyncio
import json

import anthropic
import pytest
from gateway_upstream import Said, cut, recorded, status

ASKED = [{"role": "user", "content": "When do trains leave?"}]
DIALECTS = ("openai", "anthropic", "gemini")
TOOL = {
    "name": "timetable",
    "description": "Trains of a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
CALLS = (("timetable", {"place": "Köln"}), ("timetable", {"place": "Bonn"}))


@pytest.fixture
def client(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.secret, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", DIALECTS)
def test_a_whole_answer_of_any_upstream_is_a_message(client, model):
    answer = client.messages.create(model=model, max_tokens=50, system="Be brief.", messages=ASKED)
    assert answer.content[0].text == "Trains leave at noon."
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 11, 7)


@pytest.mark.parametrize("model", DIALECTS)
def test_a_stream_of_any_upstream_adds_up_to_a_message(client, model):
    with client.messages.stream(model=model, max_tokens=50, messages=ASKED) as stream:
        assert "".join(stream.text_stream) == "Trains leave at noon."
        answer = stream.get_final_message()
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 7)


@pytest.mark.parametrize("model", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools_come_back_and_their_results_go_on(client, upstreams, model, stream):
    upstreams.then(recorded(Said(words=(), tools=CALLS)))
    asked = {"model": model, "max_tokens": 50, "tools": [TOOL]}
    if stream:
        with client.messages.stream(**asked, messages=ASKED) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**asked, messages=ASKED)
    assert [(each.name, each.input) for each in answer.content] == list(CALLS)
    assert answer.stop_reason == "tool_use"
    used = [{"type": "tool_use", "id": each.id, "name": each.name, "input": each.input} for each in answer.content]
    told = [{"type": "tool_result", "tool_use_id": each.id, "content": "12:00"} for each in answer.content]
    turns = [*ASKED, {"role": "assistant", "content": used}, {"role": "user", "content": told}]
    assert client.messages.create(**asked, messages=turns).content[0].text == "Trains leave at noon."
    sent = json.dumps(upstreams.seen[-1].body, ensure_ascii=False)
    assert sent.count("12:00") == 2
    assert "Bonn" in sent


def test_cache_control_and_headers_reach_an_anthropic_upstream(client, upstreams, gateway):
    before = len(gateway.world.calls())
    upstreams.then(recorded(Said(n_cached=5)))
    system = [{"type": "text", "text": "A long rule book.", "cache_control": {"type": "ephemeral"}}]
    answer = client.messages.create(
        model="anthropic", max_tokens=50, system=system, messages=ASKED, extra_headers={"anthropic-beta": "beta-1"}
    )
    assert answer.usage.cache_read_input_tokens == 5
    assert upstreams.seen[-1].body["system"] == system
    assert upstreams.seen[-1].headers["anthropic-beta"] == "beta-1"
    call = gateway.recorded(before + 1)[-1]
    assert (call.usage.n_input, call.usage.n_cached, call.cost_pusd) == (11, 5, 6 * 10**6 + 5 * 10**6 // 2 + 28 * 10**6)


def test_tokens_are_counted_for_nothing(client, gateway):
    before = len(gateway.world.calls())
    assert client.messages.count_tokens(model="anthropic", messages=ASKED).input_tokens == 11
    call = gateway.recorded(before + 1)[-1]
    assert (call.endpoint, call.usage.n_total, call.cost_pusd) == ("count_tokens", 0, 0)


def test_errors_are_told_in_anthropics_words(client, upstreams, gateway):
    stranger = anthropic.Anthropic(base_url=gateway.url, api_key="pk-perdure-wrong", max_retries=0)
    with stranger, pytest.raises(anthropic.AuthenticationError) as refused:
        stranger.messages.create(model="openai", max_tokens=5, messages=ASKED)
    assert refused.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nobody", max_tokens=5, messages=ASKED)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model="openai", messages=ASKED, max_tokens=5, extra_body={"max_tokens": None})
    upstreams.then(status(400, "prompt is too long"))
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        client.messages.create(model="openai", max_tokens=5, messages=ASKED)
    upstreams.usual = status(529, "Overloaded", headers={"retry-after": "3"})
    with pytest.raises(anthropic.RateLimitError) as busy:
        client.messages.create(model="anthropic", max_tokens=5, messages=ASKED)
    assert busy.value.response.headers["retry-after"]


@pytest.mark.parametrize("model", DIALECTS)
def test_a_cut_stream_raises_in_the_sdk(client, upstreams, model):
    upstreams.then(cut(5))
    streaming = client.messages.stream(model=model, max_tokens=50, messages=ASKED)
    with pytest.raises(anthropic.APIError) as failed, streaming as stream:
        list(stream.text_stream)
    assert "whole" in str(failed.value)


def test_the_async_client_streams_many_answers_at_once(gateway):
    async def every() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=gateway.url, auth_token=gateway.secret) as client:

            async def one() -> str:
                async with client.messages.stream(model="openai", max_tokens=50, messages=ASKED) as stream:
                    return "".join([text async for text in stream.text_stream])

            return list(await asyncio.gather(*(one() for _ in range(8))))

    assert asyncio.run(every()) == ["Trains leave at noon."] * 8
