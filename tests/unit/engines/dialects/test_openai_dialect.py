"""OpenAI's dialect: next to nothing is changed, and what is, is shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import openai.types.chat as theirs
import pytest

from perdure.core.errors import BadRequest, UpstreamBad, UpstreamError
from perdure.core.usage import Usage
from perdure.engines.dialects.openai import OpenAIInbound, OpenAIOutbound
from perdure.engines.dialects.protocols import Failure
from perdure.engines.dialects.sse import Reader

GOLDEN = Path(__file__).parent / "golden"
HELLO = [{"role": "user", "content": "Hello"}]


def chunks(name: str):
    reader = OpenAIOutbound().chunks()
    return reader.feed((GOLDEN / name).read_bytes()), reader


def sent(request, model="m", secret="s"):
    return msgspec.json.decode(OpenAIOutbound().write(request, model, secret).body)


def test_a_request_passes_as_it_is():
    request = {"model": "a", "messages": HELLO, "seed": 1, "unknown": {"x": [1]}}

    assert OpenAIInbound().read(request) is request
    assert sent(request, "b") == request | {"model": "b"}


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({}, "model"),
        ({"model": 1}, "model"),
        ({"model": "a"}, "messages"),
        ({"model": "a", "messages": "x"}, "messages"),
        ({"model": "a", "messages": ["x"]}, "messages[0]"),
        ({"model": "a", "messages": [{}]}, "messages[0].role"),
        ({"model": "a", "messages": HELLO, "stream": 1}, "stream"),
        ({"model": "a", "messages": HELLO, "n": True}, "n"),
        ({"model": "a", "messages": HELLO, "n": 0}, "n"),
        ({"model": "a", "messages": HELLO, "max_tokens": "5"}, "max_tokens"),
        ({"model": "a", "messages": HELLO, "tools": [1]}, "tools[0]"),
    ],
)
def test_a_request_that_lacks_something_is_refused_by_its_name(broken, word):
    with pytest.raises(BadRequest, match=f"`{word}`".replace("[", r"\[").replace("]", r"\]")):
        OpenAIInbound().read(broken)


def test_a_stream_is_always_asked_for_its_usage():
    request = {"model": "a", "messages": HELLO, "stream": True, "stream_options": {"include_obfuscation": False}}

    assert sent(request)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert request["stream_options"] == {"include_obfuscation": False}


def test_the_secret_goes_into_the_header_and_none_is_sent_where_there_is_none():
    request = {"model": "a", "messages": HELLO}

    assert OpenAIOutbound().write(request, "m", "s3").headers == {"authorization": "Bearer s3"}
    assert OpenAIOutbound().write(request, "m", "").headers == {}


@pytest.mark.parametrize(
    ("model", "name"),
    [("gpt-4o", "max_tokens"), ("gpt-5-mini", "max_completion_tokens"), ("openai/o3", "max_completion_tokens")],
)
def test_the_limit_is_named_as_the_model_wants_it(model, name):
    assert sent({"model": "a", "messages": HELLO, "max_tokens": 9}, model) == {
        "model": model,
        "messages": HELLO,
        name: 9,
    }


def test_an_answer_and_its_usage_are_read():
    answer, usage = OpenAIOutbound().read((GOLDEN / "openai_chat.json").read_bytes())

    assert usage == Usage(n_input=2006, n_output=300, n_cached=1920, n_reasoning=256)
    written = theirs.ChatCompletion.model_validate_json(OpenAIInbound().write(answer), strict=True)
    assert written.choices[0].message.content == "Hello! How can I assist you today?"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[{}]}', b'{"choices":[1]}', b"\xff"])
def test_what_is_no_answer_is_said_to_be_none(body):
    with pytest.raises(UpstreamBad):
        OpenAIOutbound().read(body)


def test_an_error_that_comes_as_an_answer_is_one():
    with pytest.raises(UpstreamError) as caught:
        OpenAIOutbound().read(b'{"error":{"message":"busy","type":"server_error","code":529}}')
    assert caught.value.facts["status"] == 529


@pytest.mark.parametrize("name", ["openai_stream.sse", "openai_stream_tools.sse"])
@pytest.mark.parametrize("asked", [True, False])
def test_the_sdk_reads_our_stream_and_sees_usage_only_where_it_asked(name, asked):
    found, reader = chunks(name)
    request = {"stream_options": {"include_usage": True}} if asked else {}
    events = OpenAIInbound().events(request)

    out = Reader().feed(events.write(found) + events.end())

    read = [theirs.ChatCompletionChunk.model_validate_json(event.data, strict=True) for event in out[:-1]]
    assert out[-1].data == b"[DONE]"
    assert [chunk.usage.prompt_tokens for chunk in read if chunk.usage] == ([reader.usage.n_input] if asked else [])
    assert len(read) == len(found) - (not asked)
    assert any(b'"usage"' in event.data for event in out) is asked
    assert reader.done


def test_a_stream_without_its_end_is_not_done():
    text = (GOLDEN / "openai_stream.sse").read_bytes()
    reader = OpenAIOutbound().chunks()
    reader.feed(text[: text.rindex(b"data: [DONE]")])

    assert not reader.done
    assert reader.usage == Usage(n_input=19, n_output=10, n_cached=8)


def test_an_error_within_a_stream_is_raised_and_its_words_are_kept_apart():
    reader = OpenAIOutbound().chunks()

    with pytest.raises(UpstreamError):
        reader.feed(b'data: {"error":{"message":"It broke.","type":"server_error"}}\n\n')
    assert reader.failure == Failure(500, "It broke.", "server_error")


@pytest.mark.parametrize("data", [b"{", b"7", b"\xff"])
def test_an_event_that_is_no_chunk_breaks_the_stream(data):
    with pytest.raises(UpstreamBad):
        OpenAIOutbound().chunks().feed(b"data: " + data + b"\n\n")


def test_a_cut_stream_ends_in_an_error_that_the_sdk_raises():
    events = OpenAIInbound().events({})

    (found,) = Reader().feed(events.fail(Failure(502, "cut\n\ndata: [DONE]", "server_error")))

    assert msgspec.json.decode(found.data)["error"]["message"] == "cut\n\ndata: [DONE]"
