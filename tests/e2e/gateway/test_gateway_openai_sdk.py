"""The official OpenAI SDK as a client: one address changed, whatever upstream answers."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from gateway_upstream import Said, cut, recorded, status
from pydantic import BaseModel

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When do trains leave?"}]
DIALECTS = ("openai", "anthropic", "gemini")
TOOL = {
    "type": "function",
    "function": {
        "name": "timetable",
        "description": "Trains of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
CALLS = (("timetable", {"place": "Köln"}), ("timetable", {"place": "Bonn"}))
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key=gateway.secret, max_retries=0) as client:
        yield client


def last_body(upstreams):
    return upstreams.seen[-1].body


@pytest.mark.parametrize("model", DIALECTS)
def test_a_whole_answer_of_any_upstream_is_a_chat_completion(client, model):
    answer = client.chat.completions.create(model=model, messages=ASKED, max_tokens=50)
    assert answer.choices[0].message.content == "Trains leave at noon."
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)


@pytest.mark.parametrize("model", DIALECTS)
def test_a_stream_of_any_upstream_comes_in_chunks(client, model):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=ASKED, stream=True, stream_options=options))
    said = [each.choices[0].delta.content or "" for each in chunks if each.choices]
    assert "".join(said) == "Trains leave at noon."
    assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "stop"
    usage = [each.usage for each in chunks if each.usage]
    assert [(each.prompt_tokens, each.completion_tokens) for each in usage] == [(11, 7)]


@pytest.mark.parametrize("model", DIALECTS)
def test_usage_that_was_not_asked_for_is_not_shown_and_billed_all_the_same(client, gateway, model):
    before = len(gateway.world.calls())
    chunks = list(client.chat.completions.create(model=model, messages=ASKED, stream=True))
    assert not any(each.usage for each in chunks)
    assert all(each.choices for each in chunks)
    call = gateway.recorded(before + 1)[-1]
    assert (call.usage.n_input, call.usage.n_output, call.usage.estimated) == (11, 7, False)


@pytest.mark.parametrize("model", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tool_calls_come_back_and_their_results_go_on(client, upstreams, model, stream):
    upstreams.then(recorded(Said(words=(), tools=CALLS)))
    if stream:
        with client.chat.completions.stream(model=model, messages=ASKED, tools=[TOOL]) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model=model, messages=ASKED, tools=[TOOL]).choices[0].message
    calls = [(each.function.name, json.loads(each.function.arguments)) for each in message.tool_calls]
    assert calls == list(CALLS)
    results = [{"role": "tool", "tool_call_id": each.id, "content": "12:00"} for each in message.tool_calls]
    turn = {"role": "assistant", "tool_calls": [each.model_dump(exclude_none=True) for each in message.tool_calls]}
    for call in turn["tool_calls"]:
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    answer = client.chat.completions.create(model=model, messages=[*ASKED, turn, *results], tools=[TOOL])
    assert answer.choices[0].message.content == "Trains leave at noon."
    sent = json.dumps(last_body(upstreams), ensure_ascii=False)
    assert sent.count("12:00") == 2
    assert "Bonn" in sent


class Trip(BaseModel):
    place: str
    at: str


@pytest.mark.parametrize("model", DIALECTS)
def test_structured_output_is_parsed(client, upstreams, model):
    words = ('{"place": "Bonn", ', '"at": "12:00"}')
    upstreams.then(recorded(Said(words=words)))
    answer = client.chat.completions.parse(model=model, messages=ASKED, response_format=Trip)
    assert answer.choices[0].message.parsed == Trip(place="Bonn", at="12:00")
    assert '"place"' in json.dumps(last_body(upstreams)), "the schema has gone to the upstream"


@pytest.mark.parametrize("model", DIALECTS)
def test_a_picture_goes_to_any_upstream(client, upstreams, model):
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
    sent = json.dumps(last_body(upstreams))
    assert PIXEL in sent
    assert "What is it?" in sent


def test_several_answers_at_once_keep_their_places(client, upstreams):
    upstreams.then(recorded(Said(n=2)), recorded(Said(n=2)))
    whole = client.chat.completions.create(model="openai", messages=ASKED, n=2)
    assert [each.index for each in whole.choices] == [0, 1]
    chunks = list(client.chat.completions.create(model="openai", messages=ASKED, n=2, stream=True))
    said = ["".join(c.choices[0].delta.content or "" for c in chunks if c.choices[0].index == i) for i in (0, 1)]
    assert said == ["Trains leave at noon."] * 2


def test_members_that_nobody_knows_pass_to_an_upstream_of_the_same_dialect(client, upstreams):
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "min_p": 0.05}
    client.chat.completions.create(model="openai", messages=ASKED, extra_body=extra, seed=7, logprobs=True)
    sent = last_body(upstreams)
    assert {name: sent[name] for name in extra} == extra
    assert (sent["seed"], sent["logprobs"], sent["model"]) == (7, True, "m-1")


def test_embeddings_responses_and_the_list_of_models(client, gateway):
    found = client.embeddings.create(model="openai", input=["a", "b"], encoding_format="float")
    assert found.data[0].embedding == [0.25, -0.5]
    assert client.responses.create(model="openai", input="Hello").output_text == "Trains leave at noon."
    assert {each.id for each in client.models.list()} == {"openai", "anthropic", "gemini"}
    assert [each.endpoint for each in gateway.recorded(2)][-2:] == ["embeddings", "responses"]


def test_one_model_is_told_by_its_name(client):
    assert client.models.retrieve("openai").id == "openai"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_a_stream_of_responses_passes(client, gateway):
    before = len(gateway.world.calls())
    events = list(client.responses.create(model="openai", input="Hello", stream=True))
    assert (
        "".join(each.delta for each in events if each.type == "response.output_text.delta") == "Trains leave at noon."
    )
    assert events[-1].type == "response.completed"
    call = gateway.recorded(before + 1)[-1]
    assert (call.endpoint, call.usage.n_input, call.usage.n_output, call.outcome) == ("responses", 11, 7, "answered")


def test_responses_need_an_upstream_that_speaks_them(client):
    with pytest.raises(openai.BadRequestError, match="speaks"):
        client.responses.create(model="anthropic", input="Hello")


def test_an_unknown_key_and_an_unknown_model_are_told_in_openais_words(gateway, client):
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="pk-perdure-wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            stranger.chat.completions.create(model="openai", messages=ASKED)
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()
    assert refused.value.type == "authentication_error"
    assert "wrong" not in str(refused.value)
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="opena", messages=ASKED)
    assert missing.value.type == "not_found_error"
    assert "openai" in str(missing.value)


@pytest.mark.parametrize("model", DIALECTS)
def test_what_the_upstream_finds_wrong_with_a_request_is_the_clients_to_mend(client, upstreams, model):
    upstreams.then(status(400, "messages are too long"))
    with pytest.raises(openai.BadRequestError, match="messages are too long"):
        client.chat.completions.create(model=model, messages=ASKED)
    assert len(upstreams.seen) == 1, "another try would be refused too"


def test_an_upstream_that_is_busy_says_when_to_come_back(client, upstreams):
    upstreams.usual = status(429, "slow down", headers={"retry-after": "7"})
    with pytest.raises(openai.RateLimitError) as busy:
        client.chat.completions.create(model="openai", messages=ASKED, timeout=3)
    assert busy.value.response.headers["retry-after"] == "7"


def test_a_wrong_secret_of_ours_is_not_the_callers_fault(client, upstreams):
    upstreams.usual = status(401, "Incorrect API key provided: sk-upstream-0123456789abcdefghij")
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="openai", messages=ASKED)
    assert failed.value.status_code == 502
    assert "sk-upstream" not in str(failed.value)


@pytest.mark.parametrize("model", DIALECTS)
def test_a_cut_stream_raises_in_the_sdk(client, upstreams, model):
    upstreams.then(cut(4))
    with pytest.raises(openai.APIError) as failed:
        list(client.chat.completions.create(model=model, messages=ASKED, stream=True))
    assert "whole" in str(failed.value)


def test_the_async_client_streams_many_answers_at_once(gateway):
    async def every() -> list[str]:
        async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key=gateway.secret) as client:

            async def one() -> str:
                stream = await client.chat.completions.create(model="gemini", messages=ASKED, stream=True)
                return "".join([each.choices[0].delta.content or "" async for each in stream if each.choices])

            return list(await asyncio.gather(*(one() for _ in range(8))))

    assert asyncio.run(every()) == ["Trains leave at noon."] * 8
