"""Answers and streams of Anthropic, read and written; what we write is parsed by the official SDKs' own types."""

from __future__ import annotations

from pathlib import Path

import anthropic.types
import msgspec
import openai.types.chat
import pytest
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from perdure.core.errors import UpstreamBad, UpstreamError
from perdure.core.usage import Usage
from perdure.engines.dialects.anthropic_in import AnthropicInbound
from perdure.engines.dialects.anthropic_out import AnthropicOutbound
from perdure.engines.dialects.openai import OpenAIInbound, OpenAIOutbound
from perdure.engines.dialects.protocols import Failure
from perdure.engines.dialects.sse import Reader, event

GOLDEN = Path(__file__).parent / "golden"
EVENT = TypeAdapter(RawMessageStreamEvent)
OUT = AnthropicOutbound(now_us=lambda: 1_700_000_000_000_000)


def read_stream(name: str, outbound=OUT):
    reader = outbound.chunks()
    return reader.feed((GOLDEN / name).read_bytes()), reader


def written(chunks):
    """The events that an Anthropic client gets for some chunks, each judged by the SDK."""
    events = AnthropicInbound().events({"model": "support"})
    found = Reader().feed(events.write(chunks) + events.end())
    return [(each.name, EVENT.validate_json(each.data, strict=True)) for each in found]


def answer(chunks):
    """What a client that adds chunks up has in the end."""
    text, reasoning, calls, finish = "", "", {}, None
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            text += delta.get("content") or ""
            reasoning += delta.get("reasoning_content") or ""
            finish = choice["finish_reason"] or finish
            for call in delta.get("tool_calls") or ():
                calls.setdefault(call["index"], ["", ""])
                calls[call["index"]][0] += call["function"].get("name") or ""
                calls[call["index"]][1] += call["function"].get("arguments") or ""
    return text, reasoning, calls, finish


def test_a_message_becomes_a_completion_that_the_openai_sdk_reads():
    neutral, usage = OUT.read((GOLDEN / "anthropic_message.json").read_bytes())

    assert usage == Usage(
        n_input=2406, n_output=393, n_cached=1800, n_cache_write_5m=456, n_cache_write_1h=100, n_reasoning=120
    )
    found = openai.types.chat.ChatCompletion.model_validate_json(OpenAIInbound().write(neutral), strict=True)
    choice = found.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I'll check for you.")
    assert choice.message.tool_calls[0].function.arguments == '{"location":"San Francisco, CA","unit":"celsius"}'
    assert choice.message.tool_calls[1].function.arguments == "{}"
    assert neutral["choices"][0]["message"]["reasoning_content"] == "The user wants the weather."
    assert found.created == 1_700_000_000
    assert found.usage.prompt_tokens == 2406


def test_a_message_through_the_neutral_form_and_back_is_the_same():
    given = msgspec.json.decode((GOLDEN / "anthropic_message.json").read_bytes())
    back = msgspec.json.decode(AnthropicInbound().write(OUT.read(msgspec.json.encode(given))[0]))

    anthropic.types.Message.model_validate(back, strict=True)
    given["content"][2:4] = [{"type": "text", "text": "I'll check for you."}]  # texts of one answer are one
    del given["usage"]["service_tier"]
    assert back == given


@pytest.mark.parametrize(
    ("theirs", "neutral", "back"),
    [
        ("end_turn", "stop", "end_turn"),
        ("stop_sequence", "stop", "stop_sequence"),
        ("pause_turn", "stop", "end_turn"),
        ("max_tokens", "length", "max_tokens"),
        ("model_context_window_exceeded", "length", "max_tokens"),
        ("tool_use", "tool_calls", "tool_use"),
        ("refusal", "content_filter", "refusal"),
        ("something_new", "stop", "end_turn"),
    ],
)
def test_why_an_answer_ended_is_said_in_the_words_of_each(theirs, neutral, back):
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": theirs}
    message |= {"stop_sequence": "END"} if theirs == "stop_sequence" else {}

    found, usage = OUT.read(msgspec.json.encode(message))

    assert found["choices"][0]["finish_reason"] == neutral
    assert usage is None
    assert msgspec.json.decode(AnthropicInbound().write(found))["stop_reason"] == back


def test_a_completion_becomes_a_message_that_the_anthropic_sdk_reads():
    neutral, _ = OpenAIOutbound().read((GOLDEN / "openai_tools.json").read_bytes())

    found = anthropic.types.Message.model_validate_json(AnthropicInbound().write(neutral), strict=True)

    assert [block.type for block in found.content] == ["tool_use", "tool_use"]
    assert found.content[0].input == {"location": "Boston, MA"}
    assert (found.stop_reason, found.usage.input_tokens, found.usage.output_tokens) == ("tool_use", 82, 17)


def test_reasoning_of_others_is_shown_as_thinking_and_never_sent_to_anthropic():
    neutral, _ = OpenAIOutbound().read((GOLDEN / "openai_chat.json").read_bytes())
    neutral["choices"][0]["message"]["reasoning_content"] = "Hm."

    found = anthropic.types.Message.model_validate_json(AnthropicInbound().write(neutral), strict=True)

    assert (found.content[0].thinking, found.content[0].signature) == ("Hm.", "")
    turn = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in found.content]}
    asked = AnthropicInbound().read({"model": "a", "max_tokens": 1, "messages": [turn]})
    sent = msgspec.json.decode(OUT.write(asked, "claude-sonnet-4-6", "s").body)
    assert [block["type"] for block in sent["messages"][0]["content"]] == ["text"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"content":"x"}', b'{"content":[1]}', b"\xff"])
def test_what_is_no_message_is_said_to_be_none(body):
    with pytest.raises(UpstreamBad):
        OUT.read(body)


def test_an_error_that_comes_as_an_answer_is_one():
    with pytest.raises(UpstreamError) as caught:
        OUT.read(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
    assert caught.value.facts["status"] == 529


def test_a_stream_becomes_chunks_that_the_openai_sdk_reads():
    chunks, reader = read_stream("anthropic_stream.sse")

    for chunk in chunks:
        openai.types.chat.ChatCompletionChunk.model_validate(chunk, strict=True)
    assert answer(chunks) == (
        'Okay, let\'s check\n"the" wéather',
        "Weather, then.",
        {0: ["get_weather", '{"location": "San Francisco, CA"}'], 1: ["get_time", "{}"]},
        "tool_calls",
    )
    assert reader.done
    assert reader.usage == Usage(
        n_input=592, n_output=89, n_cached=20, n_cache_write_5m=40, n_cache_write_1h=60, n_reasoning=30
    )
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 592


def test_a_stream_through_the_neutral_form_and_back_is_the_same_but_for_when_usage_is_told():
    chunks, _ = read_stream("anthropic_stream.sse")
    given = [
        EVENT.validate_json(each.data)
        for each in Reader().feed((GOLDEN / "anthropic_stream.sse").read_bytes())
        if each.name != "ping" and b'"partial_json":""' not in each.data
    ]
    back = written(chunks)

    assert [name for name, _ in back] == [found.type for _, found in back]
    found = [each for _, each in back]
    kinds = [(each.type, getattr(each, "index", None)) for each in found]
    added = ("content_block_delta", 3)  # `{}`: OpenAI's clients want arguments where Anthropic's tool has none
    assert [kind for kind in kinds if kind != added] == [(each.type, getattr(each, "index", None)) for each in given]
    for ours, theirs in zip(
        [each for each, kind in zip(found, kinds, strict=True) if kind != added], given, strict=True
    ):
        if ours.type in ("content_block_start", "content_block_delta", "content_block_stop"):
            assert ours == theirs
    assert found[-2].usage.model_dump(exclude_none=True) == given[-2].usage.model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("name", "blocks", "stop", "counted"),
    [
        ("openai_stream.sse", ["text"], "end_turn", (11, 10)),
        ("openai_stream_tools.sse", ["tool_use"] * 2, "tool_use", (80, 31)),
    ],
)
def test_chunks_become_events_that_the_anthropic_sdk_reads(name, blocks, stop, counted):
    chunks, _ = read_stream(name, OpenAIOutbound())

    found = [each for _, each in written(chunks)]

    assert found[0].type == "message_start"
    assert [each.content_block.type for each in found if each.type == "content_block_start"] == blocks
    assert [each.index for each in found if each.type == "content_block_stop"] == list(range(len(blocks)))
    assert (found[-2].delta.stop_reason, found[-1].type) == (stop, "message_stop")
    assert (found[-2].usage.input_tokens, found[-2].usage.output_tokens) == counted


def test_an_empty_stream_is_a_whole_message_without_content():
    assert [name for name, _ in written([])] == ["message_start", "message_delta", "message_stop"]


def test_redacted_thinking_passes_and_thinking_that_is_not_shown_keeps_its_signature():
    blocks = [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]
    delta = {"index": 0, "delta": {"thinking_blocks": blocks}, "finish_reason": None}

    found = [each for _, each in written([{"id": "m", "model": "c", "choices": [delta]}])]

    assert [each.content_block.type for each in found if each.type == "content_block_start"] == [
        "thinking", "redacted_thinking",
    ]  # fmt: skip
    assert [each.delta.signature for each in found if each.type == "content_block_delta"] == ["s"]


def test_two_tool_calls_in_turns_cannot_be_said():
    def piece(index):
        call = {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": "{"}}
        return {"id": "m", "model": "c", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}

    with pytest.raises(UpstreamBad):
        written([piece(0), piece(1), piece(0)])


def test_an_error_within_a_stream_is_raised_with_its_status():
    reader = OUT.chunks()
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'

    with pytest.raises(UpstreamError) as caught:
        reader.feed(event(body, "error"))
    assert caught.value.facts["status"] == 529
    assert reader.failure == Failure(529, "Overloaded", "server_error", "overloaded")


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"message_start"}',
        b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        b'{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"x"}}',
        b'{"type":"message_delta"}',
        b"7",
    ],
)
def test_an_event_out_of_shape_or_order_breaks_the_stream(body):
    with pytest.raises(UpstreamBad):
        OUT.chunks().feed(event(body, "x"))


def test_unknown_events_are_left_out():
    assert OUT.chunks().feed(event(b'{"type":"something_new","delta":1}', "something_new")) == []


def test_a_cut_stream_ends_in_an_error_event():
    (found,) = Reader().feed(
        AnthropicInbound().events({}).fail(Failure(502, "cut\n\nevent: message_stop", "server_error"))
    )

    assert found.name == "error"
    error = anthropic.types.ErrorResponse.model_validate_json(found.data, strict=True)
    assert (error.error.type, error.error.message) == ("api_error", "cut\n\nevent: message_stop")
