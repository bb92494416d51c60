"""Streams of Gemini read the same however the wire cut them, and end with what the whole answer says."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import UpstreamBad, UpstreamError
from perdure.core.usage import Usage
from perdure.engines.dialects.gemini import GeminiOutbound

GEMINI = GeminiOutbound(now_us=lambda: 1_700_000_000_000_000)
PARTS = [
    [{"text": "Thinking of it.", "thought": True}],
    [{"text": "Grüß "}],
    [{"text": "dich\n\ndata: {}"}],
    [{"functionCall": {"name": "weather", "args": {"city": "Åre"}}, "thoughtSignature": "c2ln"}],
    [{"functionCall": {"name": "now", "args": {}, "id": "fc_2"}}, {"text": ""}],
]


def event(parts, n_output, **candidate):
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0, **candidate}],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": n_output, "thoughtsTokenCount": 5},
        "modelVersion": "gemini-3-pro",
        "responseId": "r1",
    }


EVENTS = [event(parts, place) for place, parts in enumerate(PARTS)] + [event([], 9, finishReason="STOP")]


def wire(events, end="\r\n"):
    return "".join(f"data: {json.dumps(each, ensure_ascii=False)}{end}{end}" for each in events).encode()


def streamed(pieces):
    reader = GEMINI.chunks()
    return [chunk for piece in pieces for chunk in reader.feed(piece)], reader


def gathered(chunks):
    """The message that a client puts together."""
    message: dict = {"content": "", "reasoning_content": "", "tool_calls": []}
    finish = None
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                message[name] += delta.get(name) or ""
            for call in delta.get("tool_calls", ()):
                assert call["index"] == len(message["tool_calls"])
                message["tool_calls"].append({key: call[key] for key in call if key != "index"})
            finish = choice["finish_reason"] or finish
    return message, finish


WHOLE = streamed([wire(EVENTS)])[0]


@given(cuts=st.lists(st.integers(0, len(wire(EVENTS))), max_size=30), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_chunks_are_the_same_however_the_stream_was_cut(cuts, end):
    data = wire(EVENTS, end)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks, reader = streamed([data[a:b] for a, b in pairwise(edges)] + [b"\n"])
    assert chunks == WHOLE
    assert reader.done
    assert reader.usage == Usage(n_input=11, n_output=14, n_reasoning=5)


def test_a_stream_tells_what_the_whole_answer_does():
    whole = event([part for parts in PARTS for part in parts], 9, finishReason="STOP")
    message = GEMINI.read(json.dumps(whole).encode())[0]["choices"][0]["message"]
    told, finish = gathered(WHOLE)
    assert told == {name: message[name] for name in told}
    assert finish == "tool_calls"
    assert WHOLE[-1]["choices"] == []
    assert WHOLE[-1]["usage"]["completion_tokens"] == 14
    assert WHOLE[0]["choices"][0]["delta"]["role"] == "assistant"


@given(cut=st.integers(0, len(wire(EVENTS[:-1]))))
def test_a_stream_that_was_cut_is_not_done(cut):
    _, reader = streamed([wire(EVENTS)[:cut]])
    assert not reader.done


def test_the_end_waits_for_every_candidate():
    def candidate(index, **more):
        return {"candidates": [{"index": index, "content": {"parts": [{"text": "x"}]}, **more}]}

    reader = GEMINI.chunks()
    reader.feed(wire([candidate(0), candidate(1, finishReason="STOP")]))
    assert not reader.done
    reader.feed(wire([candidate(0, finishReason="MAX_TOKENS")]))
    assert reader.done
    assert reader.usage is None


def test_a_blocked_prompt_ends_a_stream_as_a_refusal():
    chunks, reader = streamed([wire([{"promptFeedback": {"blockReason": "SAFETY"}}])])
    assert reader.done
    assert gathered(chunks)[1] == "content_filter"


def test_an_error_within_a_stream_is_raised_and_counts_before_it_stay():
    reader = GEMINI.chunks()
    reader.feed(wire(EVENTS[:2]))
    with pytest.raises(UpstreamError) as caught:
        reader.feed(wire([{"error": {"code": 503, "message": "private words", "status": "UNAVAILABLE"}}]))
    assert "private words" not in str(caught.value)
    assert reader.failure.status == 503
    assert reader.usage.n_input == 11


def test_an_event_that_is_no_json_is_bad():
    with pytest.raises(UpstreamBad):
        GEMINI.chunks().feed(b"data: [DONE\n\n")
