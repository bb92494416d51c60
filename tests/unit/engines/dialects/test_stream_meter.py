"""What a stream that passes as bytes counts: the same as a whole reading of it, however it is cut."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import UpstreamBad
from perdure.core.usage import Usage
from perdure.engines.dialects import meter as module
from perdure.engines.dialects.anthropic_out import AnthropicOutbound
from perdure.engines.dialects.meter import StreamMeter
from perdure.engines.dialects.openai import OpenAIInbound, OpenAIOutbound
from perdure.engines.dialects.protocols import Failure
from perdure.engines.dialects.sse import Reader, event

GOLDEN = Path(__file__).parent / "golden"
STREAMS = {
    "openai_stream.sse": ("chat", OpenAIOutbound()),
    "openai_stream_tools.sse": ("chat", OpenAIOutbound()),
    "anthropic_stream.sse": ("messages", AnthropicOutbound(lambda: 0)),
}


def fed(meter: StreamMeter, *pieces: bytes) -> bytes:
    return b"".join([*map(meter.feed, pieces), meter.end()])


def facts(meter: StreamMeter):
    return meter.usage, meter.finish, meter.model, meter.done, meter.failure, meter.n_bytes


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_passes_unchanged_and_is_counted_as_a_whole_reading_counts_it(name):
    endpoint, outbound = STREAMS[name]
    text = (GOLDEN / name).read_bytes()
    reader, meter = outbound.chunks(), StreamMeter(endpoint)
    chunks = reader.feed(text)

    assert fed(meter, text) == text
    finish = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert (meter.usage, meter.finish, meter.done) == (reader.usage, finish[0], True)
    assert meter.model == chunks[0]["model"]


def test_the_stream_of_a_response_is_counted():
    text = (GOLDEN / "responses_stream.sse").read_bytes()
    meter = StreamMeter("responses")

    assert fed(meter, text) == text
    usage = Usage(n_input=37, n_output=11, n_cached=12, n_reasoning=3)
    assert facts(meter) == (usage, "stop", "gpt-4.1-2025-04-14", True, None, len("Hi there"))


@pytest.mark.parametrize("name", [*STREAMS, "responses_stream.sse"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("hide", [False, True])
@given(data=st.data())
def test_a_stream_cut_anywhere_counts_and_passes_the_same(name, newline, hide, data):
    text = (GOLDEN / name).read_bytes()
    wired = text.replace(b"\n", newline)
    endpoint = STREAMS[name][0] if name in STREAMS else "responses"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wired)), max_size=12)))
    whole, cut = StreamMeter(endpoint, hide_usage=hide), StreamMeter(endpoint, hide_usage=hide)

    expected = fed(whole, text)

    pieces = [wired[a:b] for a, b in zip([0, *cuts], [*cuts, len(wired)], strict=True)]
    assert fed(cut, *pieces) == expected
    assert facts(cut) == facts(whole)


@pytest.mark.parametrize("name", ["openai_stream.sse", "openai_stream_tools.sse"])
def test_usage_is_hidden_as_the_translating_path_hides_it(name):
    text = (GOLDEN / name).read_bytes()
    events = OpenAIInbound().events({})
    wanted = events.write(OpenAIOutbound().chunks().feed(text)) + events.end()
    meter = StreamMeter("chat", hide_usage=True)

    sent = fed(meter, text)

    def read(raw):
        return [each.data if each.data == b"[DONE]" else msgspec.json.decode(each.data) for each in Reader().feed(raw)]

    assert read(sent) == read(wanted)
    assert b"usage" not in sent
    assert meter.usage is not None


def test_usage_that_comes_with_the_last_text_is_taken_out_of_its_chunk():
    chunk = b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}'
    meter = StreamMeter("chat", hide_usage=True)

    sent = meter.feed(event(chunk))

    assert msgspec.json.decode(Reader().feed(sent)[0].data) == {
        "choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]
    }
    assert (meter.usage, meter.finish) == (Usage(n_input=3, n_output=1), "stop")


def test_only_whole_events_are_passed_on():
    meter = StreamMeter("chat")

    assert meter.feed(b'data: {"a":1}\n\ndata: {"b"') == b'data: {"a":1}\n\n'
    assert meter.feed(b":2}\n\n") == b'data: {"b":2}\n\n'
    assert meter.feed(b'data: {"c"') == b""
    assert meter.end() == b""


def test_a_piece_without_anything_of_interest_is_passed_on_as_the_same_object():
    piece = event(b'{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}')

    assert StreamMeter("chat").feed(piece) is piece


def test_an_end_without_its_blank_line_is_an_end():
    meter = StreamMeter("chat")

    assert fed(meter, b"data: [DONE]") == b"data: [DONE]\n\n"
    assert meter.done


@pytest.mark.parametrize("endpoint", ["chat", "messages", "responses"])
@given(text=st.text() | st.sampled_from([
    "[DONE]", "data: [DONE]\n\n", "\n\nevent: message_stop\ndata: {}\n\n", '"usage":{"prompt_tokens":9}', "usage", "error",
    "message_stop", "_tokens", '","usage":null', ',"usage":null', 'x_tokens"', "\\", '\\"', "\r\n\r\n", "\x00", "\u2028",
]))  # fmt: skip
def test_no_content_can_forge_an_end_usage_or_an_error(endpoint, text):
    bodies = {
        "chat": {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], "usage": None},
        "messages": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        "responses": {"type": "response.output_text.delta", "delta": text},
    }
    raw = event(msgspec.json.encode(bodies[endpoint]), "" if endpoint == "chat" else "x")
    meter = StreamMeter(endpoint, hide_usage=True)

    sent = Reader().feed(fed(meter, raw))

    assert facts(meter)[:2] + facts(meter)[3:5] == (None, "", False, None)
    assert meter.n_bytes == len(msgspec.json.encode(text)) - 2
    found = msgspec.json.decode(sent[0].data)
    bodies["chat"].pop("usage")
    assert (len(sent), found) == (1, bodies[endpoint])


@pytest.mark.parametrize(
    ("endpoint", "body", "failure"),
    [
        (
            "chat",
            {"error": {"message": "It broke.", "type": "server_error"}},
            Failure(500, "It broke.", "server_error"),
        ),
        (
            "messages",
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            Failure(529, "Overloaded", "server_error", "overloaded"),
        ),
        (
            "responses",
            {"type": "error", "code": "rate_limit_exceeded", "message": "Slow.", "param": None},
            Failure(429, "Slow.", "rate_limit_error", "rate_limit_exceeded"),
        ),
        (
            "responses",
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "server_error", "message": "No."}},
            },
            Failure(500, "No.", "server_error", "server_error"),
        ),
    ],
)
def test_an_error_event_is_seen_and_passed_on(endpoint, body, failure):
    meter = StreamMeter(endpoint)
    raw = event(msgspec.json.encode(body), "error")

    assert meter.feed(raw) == raw
    assert meter.failure == failure


def test_servers_that_write_spaces_are_read_too():
    meter = StreamMeter("chat")
    meter.feed(b'data: {"choices": [{"delta": {"content": "a\\"b"}, "finish_reason": null}]}\n\n')
    meter.feed(b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n')

    assert (meter.n_bytes, meter.finish) == (4, "length")


def test_usage_that_nobody_asked_for_is_left_out_of_what_is_written_with_spaces_too():
    meter = StreamMeter("chat", hide_usage=True)
    raw = b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": null}], "usage": null}\n\n'

    assert meter.feed(raw) == raw.replace(b', "usage": null', b"")


def test_malformed_events_pass_and_tell_nothing():
    meter = StreamMeter("chat")
    raw = b'data: {"usage": {"prompt_tokens": \n\ndata: {"finish_reason": 7, "error"\n\n'

    assert fed(meter, raw) == raw
    assert (meter.usage, meter.failure, meter.done) == (None, None, False)


def test_output_is_estimated_where_usage_never_came():
    text = (GOLDEN / "openai_stream_tools.sse").read_bytes()
    meter = StreamMeter("chat")
    fed(meter, text[: text.index(b'"call_2"')])

    assert meter.usage is None
    assert meter.n_output_estimate == -(-len(rb"{\"city\":\"Bonn\"}") // 4)


def test_an_event_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", 1000)
    meter = StreamMeter("chat")
    meter.feed(b"data: " + b"x" * 900)

    with pytest.raises(UpstreamBad):
        meter.feed(b"x" * 200)
