"""Tokens that nobody counted."""

from __future__ import annotations

import base64

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.usage import Usage
from perdure.engines.dialects.estimate import (
    IMAGE_TOKENS,
    estimated,
    tokens_of_bytes,
    tokens_of_messages,
    tokens_of_raw,
    tokens_of_request,
    tokens_of_text,
)

PICTURE = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 400).decode()


def test_a_text_has_a_token_for_every_four_bytes_and_begun_four():
    assert [tokens_of_text(text) for text in ("", "a", "abcd", "abcde", "日本語")] == [0, 1, 1, 2, 3]


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one, two):
    assert tokens_of_text(one + two) >= max(tokens_of_text(one), tokens_of_text(two))


def test_a_picture_counts_the_same_whatever_its_bytes():
    def asked(url):
        return [
            {
                "role": "user",
                "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": url}}],
            }
        ]

    assert tokens_of_messages(asked(PICTURE)) == tokens_of_messages(asked("https://example.com/a.png"))
    raw = tokens_of_raw(msgspec.json.encode(asked(PICTURE)))
    assert IMAGE_TOKENS <= raw <= IMAGE_TOKENS + 60


def test_a_document_counts_by_its_size():
    part = {"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 1_000_000}}

    assert 5_000 <= tokens_of_messages([{"role": "user", "content": [part]}]) <= 5_100


def test_tool_calls_and_tools_count():
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

    assert tokens_of_messages([turn]) == 3 + 4 + 4 + tokens_of_bytes(22)
    assert tokens_of_request({"messages": [turn], "tools": [tool]}) > tokens_of_messages([turn]) + 15


@given(
    st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.text(min_size=20)}), min_size=1, max_size=5)
)
def test_what_is_estimated_from_bytes_is_near_to_what_is_estimated_from_messages(messages):
    raw, read = tokens_of_raw(msgspec.json.encode(messages)), tokens_of_messages(messages)

    assert read - 3 <= raw <= read * 3 + 10 * len(messages)


def test_an_estimate_says_that_it_is_one():
    assert estimated(7, 9) == Usage(n_input=7, n_output=9, estimated=True)
