"""Texts of responses and embeddings go to guards as messages, and back to where they stood."""

from __future__ import annotations

import pytest

from perdure.core.errors import BadRequest
from perdure.serve.gateway.judged import judged, must_be_text, put_back

BODIES = [
    {"input": "Hello"},
    {"input": ["a", "b"]},
    {"input": [{"role": "user", "content": "a"}, {"type": "function_call_output", "call_id": "c", "output": "b"}]},
    {"input": [{"type": "function_call", "name": "f", "arguments": '{"a": 1}'}], "instructions": "Be brief."},
    {"input": "Hello", "prompt": {"id": "p", "variables": {"a": "x", "b": {"type": "input_text", "text": "y"}}}},
    {"input": [], "prompt": {"id": "p"}},
    {"prompt": {"id": "p", "variables": {"a": "x"}}},
]


@pytest.mark.parametrize("body", BODIES)
def test_what_guards_leave_alone_goes_back_as_it_was(body):
    messages, places = judged(body)
    assert put_back(body, messages, places) == body


def test_nothing_of_the_request_is_changed_in_place():
    body = {"input": ["a"], "prompt": {"variables": {"who": "x"}}}
    messages, places = judged(body)
    changed = [{**message, "content": "masked"} for message in messages]
    assert put_back(body, changed, places) == {"input": ["masked"], "prompt": {"variables": {"who": "masked"}}}
    assert body == {"input": ["a"], "prompt": {"variables": {"who": "x"}}}


@pytest.mark.parametrize("given", [[1, 2], [[1], [2]], [1.0]])
def test_token_ids_are_no_text(given):
    with pytest.raises(BadRequest, match="token ids"):
        must_be_text(judged({"input": given})[0])
