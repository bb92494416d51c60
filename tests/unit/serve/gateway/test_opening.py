"""What counts as the first word of a stream, and what as an error in its place."""

from __future__ import annotations

import pytest

from perdure.serve.gateway.opening import look

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":null},"finish_reason":null}]}\n\n'
START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
BUSY = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'


@pytest.mark.parametrize(
    "held",
    [
        b"", ROLE, ROLE[:-1], START + PING, b": keep-alive\n\n" + ROLE, ROLE.replace(b"\n", b"\r\n"),
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
        b'event: response.created\ndata: {"type":"response.created","response":{"error":null}}\n\n',
    ],
)  # fmt: skip
def test_these_say_nothing_yet(held: bytes) -> None:
    found = look(held, 0)
    assert (found.said, found.error) == (False, None)


@pytest.mark.parametrize(
    "said",
    [
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"delta":{"reasoning":"a"}}]}\n\n', b"data: [DONE]\n\n", b"data: no json\n\n",
        b'data: {"candidates":[]}\n\n', b'data: {"type":"content_block_delta"}\n\n', b'data: {"type":"message_stop"}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\r\n\r\n', b'data: {"choices":"odd"}\n\n',
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [b"", ROLE, START + PING])
def test_these_say_something_alone_and_behind_what_says_nothing(before: bytes, said: bytes) -> None:
    found = look(before + said, 0)
    assert (found.said, found.error) == (True, None)


@pytest.mark.parametrize(
    "error",
    [
        BUSY, b'data: {"error":{"message":"x","code":503}}\n\n', b'data: {"error":"x","choices":[]}\n\n',
        b'data: {"type":"error","code":"server_error","message":"x"}\n\n',
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [b"", ROLE, START + PING])
def test_an_error_in_the_place_of_the_first_word_is_one(before: bytes, error: bytes) -> None:
    found = look(before + error, 0)
    assert found.error is not None
    assert not found.said


def test_a_response_that_failed_at_once_is_an_error_with_its_own_words() -> None:
    event = b'data: {"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"x"}}}\n\n'
    assert look(event, 0).error == b'{"error":{"code":"rate_limit_exceeded","message":"x"}}'


def test_what_has_said_nothing_is_not_looked_at_again() -> None:
    assert look(ROLE, 0).at == len(ROLE)
    assert look(ROLE + BUSY[:9], len(ROLE)).at == len(ROLE)
