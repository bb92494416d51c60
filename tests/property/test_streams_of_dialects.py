"""Streams of either dialect say the same however they are cut, and no content becomes an event."""

from __future__ import annotations

from pathlib import Path

import anthropic.types
import msgspec
import openai.types.chat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from perdure.engines.dialects.anthropic_in import AnthropicInbound
from perdure.engines.dialects.anthropic_out import AnthropicOutbound
from perdure.engines.dialects.openai import OpenAIInbound, OpenAIOutbound
from perdure.engines.dialects.sse import Reader

GOLDEN = Path(__file__).parents[1] / "unit" / "engines" / "dialects" / "golden"
STREAMS = {
    "openai_stream.sse": OpenAIOutbound(),
    "openai_stream_tools.sse": OpenAIOutbound(),
    "anthropic_stream.sse": AnthropicOutbound(now_us=lambda: 0),
}
HOSTILE = st.text(min_size=1) | st.sampled_from(
    [
        "\n\ndata: [DONE]\n\n",
        "\r\r",
        "\r\nevent: message_stop\r\n\r\n",
        "data: {}",
        "\x00",
        "\u2028\u2029\x85",
        ": c\n",
        "\ufeff",
    ]
)
ANTHROPIC = TypeAdapter(anthropic.types.RawMessageStreamEvent)


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_a_stream_cut_anywhere_is_read_as_the_same_chunks(name, data):
    text = (GOLDEN / name).read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    whole, cut = STREAMS[name].chunks(), STREAMS[name].chunks()

    expected = whole.feed(text)

    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert [chunk for piece in pieces for chunk in cut.feed(piece)] == expected
    assert (cut.usage, cut.done) == (whole.usage, True)


@st.composite
def streams(draw):
    """Chunks of one answer: reasoning, text, tool calls, in that order."""
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": text} for text in draw(st.lists(HOSTILE, max_size=2))]
    deltas += [{"content": text} for text in draw(st.lists(HOSTILE, max_size=3))]
    for index, arguments in enumerate(draw(st.lists(st.lists(HOSTILE, max_size=2), max_size=2))):
        function = {"name": "f", "arguments": ""}
        deltas.append(
            {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]}
        )
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in arguments]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": draw(HOSTILE)}
    found = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    finish = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    found.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return [*found, {**head, "choices": [], "usage": usage}]


def said(chunks):
    """Everything that was said, kind by kind."""
    told = {"text": "", "reasoning": "", "finish": None}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            told["text"] += delta.get("content") or ""
            told["reasoning"] += delta.get("reasoning_content") or ""
            told["finish"] = choice["finish_reason"] or told["finish"]
            for call in delta.get("tool_calls") or ():
                told.setdefault(call["index"], "")
                told[call["index"]] += call["function"].get("arguments") or ""
    return told


@given(chunks=streams())
def test_no_content_makes_another_event_for_a_client_of_openai(chunks):
    events = OpenAIInbound().events({"stream_options": {"include_usage": True}})

    out = Reader().feed(events.write(chunks) + events.end())

    assert [msgspec.json.decode(each.data) for each in out[:-1]] == chunks
    assert out[-1].data == b"[DONE]"
    for each in out[:-1]:
        openai.types.chat.ChatCompletionChunk.model_validate_json(each.data)


@given(chunks=streams())
def test_a_stream_into_anthropics_events_and_back_says_the_same(chunks):
    events = AnthropicInbound().events({"model": "m"})
    out = b"".join([*(events.write([chunk]) for chunk in chunks), events.end()])
    reader = AnthropicOutbound(now_us=lambda: 0).chunks()

    for each in Reader().feed(out):
        assert ANTHROPIC.validate_json(each.data).type == each.name
    back = said(reader.feed(out))

    expected = said(chunks)
    empty = {index: "{}" for index, arguments in expected.items() if isinstance(index, int) and not arguments}
    assert back == expected | empty
    assert reader.done
    assert (reader.usage.n_input, reader.usage.n_output) == (9, 4)
