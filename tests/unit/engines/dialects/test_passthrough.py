"""The byte path: looked into, not read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import BadRequest
from perdure.core.usage import Usage
from perdure.engines.dialects.passthrough import Answered, for_upstream, peek, read_usage, with_members

GOLDEN = Path(__file__).parent / "golden"
CHAT = b"""{ "model": "support", "messages": [ {"role":"user", "content":"h\\u00e9 \xc3\xa9"} ],
  "temperature": 1.50, "stream": true, "n": 2, "max_tokens": 64, "user": "u-1",
  "metadata": {"team": "a", "odd": 7}, "stream_options": {"include_obfuscation": false}, "unknown": 1e2 }"""


def test_what_decides_is_found_and_content_stays_bytes():
    found = peek(CHAT)

    assert (found.model, found.stream, found.n, found.max_tokens, found.user) == ("support", True, 2, 64, "u-1")
    assert found.metadata == {"team": "a"}
    assert found.include_usage is False
    assert found.content == b'[ {"role":"user", "content":"h\\u00e9 \xc3\xa9"} ]'
    assert found.n_bytes == len(found.content)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"m","max_tokens":9,"messages":[],"metadata":{"user_id":"u"}}', ("u", 9, b"[]")),
        (b'{"model":"m","input":"hi","max_output_tokens":5,"instructions":"be"}', ("", 5, b'"hi"')),
        (b'{"model":"m","max_tokens":null,"user":null,"stream":null,"metadata":null}', ("", None, b"[]")),
    ],
)
def test_each_endpoint_is_looked_into(body, expected):
    found = peek(body)

    assert (found.user, found.max_tokens, found.content) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"model":1}', b"{}", b'{"model":""}', b'{"model":null}', b'{"model":"m","stream":"yes"}',
        b'{"model":"m","n":0}', b'{"model":"m","n":1.5}', b'{"model":"m","max_tokens":-1}', b'{"model":"m","metadata":[]}',
        b'{"model":"m","stream_options":7}', b'{"model":"m","user":"\xff"}', b'{"model":"m","messages":[tru]}',
        b'{"model":"m","messages":' + b"[" * 100_000, b'{"model":"m"} x',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(body):
    with pytest.raises(BadRequest):
        peek(body)


def test_single_members_are_replaced_and_all_others_go_out_as_they_came():
    sent = with_members(peek(CHAT).raw, {"model": "gpt-5", "user": None, "seed": 1})

    assert b'"temperature":1.50' in sent
    assert b'"messages":[ {"role":"user", "content":"h\\u00e9 \xc3\xa9"} ]' in sent
    expected = msgspec.json.decode(CHAT) | {"model": "gpt-5", "seed": 1}
    del expected["user"]
    assert msgspec.json.decode(sent) == expected


def test_a_member_that_comes_twice_goes_out_once_as_it_was_judged():
    found = peek(b'{"model":"dear","model":"cheap","messages":[]}')

    assert (found.model, with_members(found.raw, {})) == ("cheap", b'{"model":"cheap","messages":[]}')


def test_params_are_set_where_the_caller_set_none_and_usage_is_asked_for():
    sent = msgspec.json.decode(for_upstream(peek(CHAT), "gpt-5", {"temperature": 0, "seed": 1}, endpoint="chat"))

    assert (sent["model"], sent["temperature"], sent["seed"]) == ("gpt-5", 1.5, 1)
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        (b'{"model":"m","stream":true,"max_tokens":1}', "messages"),
        (b'{"model":"m","stream":true}', "responses"),
        (b'{"model":"m"}', "chat"),
        (b'{"model":"m","input":"x"}', "embeddings"),
    ],
)
def test_nobody_else_is_asked_for_usage(body, endpoint):
    assert b"stream_options" not in for_upstream(peek(body), "m", {}, endpoint=endpoint)


MEMBERS = st.dictionaries(
    st.text(), st.recursive(st.none() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5)
)


@given(members=MEMBERS, changes=st.dictionaries(st.text(), st.integers(0, 9)))
def test_replacing_bytes_is_the_same_as_replacing_values(members, changes):
    body = msgspec.json.encode(members | {"model": "m"})
    raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw])

    assert msgspec.json.decode(with_members(raw, changes)) == members | {"model": "m"} | changes


@pytest.mark.parametrize(
    ("name", "endpoint", "expected"),
    [
        ("openai_chat.json", "chat", (Usage(n_input=2006, n_output=300, n_cached=1920, n_reasoning=256), "stop", "gpt-4.1-2025-04-14")),
        ("openai_tools.json", "chat", (Usage(n_input=82, n_output=17), "tool_calls", "gpt-4o-mini")),
        ("embeddings.json", "embeddings", (Usage(n_input=8), "", "text-embedding-3-small")),
        (
            "anthropic_message.json",
            "messages",
            (
                Usage(n_input=2406, n_output=393, n_cached=1800, n_cache_write_5m=456, n_cache_write_1h=100, n_reasoning=120),
                "tool_calls",
                "claude-sonnet-4-6",
            ),
        ),
    ],
)  # fmt: skip
def test_usage_finish_and_model_of_a_whole_answer_are_read_without_its_content(name, endpoint, expected):
    assert read_usage((GOLDEN / name).read_bytes(), endpoint) == Answered(*expected)


def test_a_response_tells_why_it_is_incomplete():
    body = {"model": "m", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "usage": None}

    assert read_usage(msgspec.json.encode(body), "responses") == Answered(None, "length", "m")
    assert read_usage(msgspec.json.encode(body | {"status": "completed"}), "responses").finish == "stop"


@given(st.binary())
def test_an_answer_that_is_none_tells_nothing(body):
    assert read_usage(body, "chat").usage is None


def test_of_two_limits_the_larger_is_kept_aside() -> None:
    """A small one beside a large one would keep aside next to nothing, and the upstream may go by the large one."""
    assert peek(b'{"model":"m","max_tokens":1,"max_completion_tokens":900}').max_tokens == 900
    assert peek(b'{"model":"m","max_tokens":900,"max_output_tokens":null}').max_tokens == 900
