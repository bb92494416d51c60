"""Errors in the place of a first word: nothing has gone out, so that another target answers."""

from __future__ import annotations

import pytest
from gateway_upstream import Said, events, exactly, streamed

from perdure import Route, seconds

BUSY = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
WRONG = b'data: {"error":{"message":"Too long.","type":"invalid_request_error","code":"context_length_exceeded"}}\n\n'
FAILED = b'data: {"error":{"message":"The server had an error.","type":"server_error"}}\n\n'
RESPONSE = b'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"server_error","message":"x"}}}\n\n'


@pytest.mark.parametrize(
    ("pieces", "dialect"),
    [
        ((FAILED,), "openai"), ((events("chat", Said())[0], FAILED), "openai"), ((events("chat", Said())[0] + FAILED,), "openai"),
        ((BUSY,), "anthropic"), ((events("messages", Said())[0], PING, BUSY), "anthropic"),
        ((b'data: {"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}\n\n',), "gemini"),
        ((events("chat", Said())[0],), "openai"), ((), "openai"),
    ],
    ids=["first", "after-a-role", "in-one-piece", "overloaded", "after-a-start", "gemini", "ended", "empty"],
)  # fmt: skip
@pytest.mark.parametrize("client", ["chat", "message"])
def test_a_stream_that_fails_before_its_first_word_goes_to_the_next_target(world, upstreams, pieces, dialect, client):
    world.declare(Route("main", [world.target("a-1", dialect), world.target("b-1")], retry_budget=1.0))
    upstreams.of_model("a-1", streamed(*pieces))
    with world.serving() as gateway:
        answer = getattr(gateway, client)(stream=True)
        call = gateway.recorded(1)[0]
    assert answer.status == 200
    assert b"noon" in answer.content
    assert answer.headers["perdure-target"] == "up/b-1"
    assert b"error" not in answer.content
    assert [each.error != "" for each in call.attempts] == [True, False]
    assert call.outcome == "answered"
    if len(pieces) and b"error" in pieces[-1]:
        assert call.attempts[0].status in (500, 503, 529)
        assert call.attempts[0].usage is None, "a refusal is not billed"


def test_a_response_that_fails_at_once_goes_to_the_next_target(world, upstreams):
    world.declare(Route("main", [world.target("a-1"), world.target("b-1")], retry_budget=1.0))
    upstreams.of_model("a-1", streamed(events("responses", Said())[0], RESPONSE))
    with world.serving() as gateway:
        answer = gateway.ask("/v1/responses", b'{"model":"main","input":"Hi","stream":true}')
    assert (answer.status, answer.headers["perdure-target"]) == (200, "up/b-1")
    assert b"response.completed" in answer.content


@pytest.mark.parametrize("stream", [False, True])
def test_a_first_event_that_finds_the_request_wrong_is_told_and_tried_nowhere_else(world, upstreams, stream):
    world.declare(Route("main", [world.target("a-1"), world.target("b-1")], retry_budget=1.0))
    whole = WRONG.removeprefix(b"data: ").strip()
    told = exactly(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(whole), whole))
    upstreams.of_model("a-1", streamed(WRONG) if stream else told)
    with world.serving() as gateway:
        answer = gateway.chat(stream=stream)
        call = gateway.recorded(1)[0]
    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert (len(upstreams.seen), call.outcome) == (1, "refused")


def test_a_whole_answer_that_is_an_error_goes_to_the_next_target(world, upstreams):
    world.declare(Route("main", [world.target("a-1"), world.target("b-1")], retry_budget=1.0))
    whole = FAILED.removeprefix(b"data: ").strip()
    upstreams.of_model("a-1", exactly(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(whole), whole)))
    with world.serving() as gateway:
        answer = gateway.chat()
    assert (answer.status, answer.headers["perdure-target"]) == (200, "up/b-1")


def test_pings_go_out_before_a_word_that_takes_long(world, upstreams, monkeypatch):
    monkeypatch.setattr("perdure.serve.gateway.opening._HELD_S", 0.05)
    world.declare(Route("main", [world.target()], attempts=1, total=seconds(5)))
    first, *rest = events("chat", Said())
    parts = (first, *[b": ping\n\n"] * 20, *rest)

    async def slowly(wire, seen):
        import asyncio

        wire.begin()
        for each in parts:
            await wire.piece(each)
            await asyncio.sleep(0.01)
        wire.end()

    upstreams.usual = slowly
    with world.serving() as gateway:
        answer = gateway.chat(stream=True)
        call = gateway.recorded(1)[0]
    assert answer.text == "Trains leave at noon."
    assert answer.content.count(b": ping\n\n") == 20, "nothing is lost of what was held"
    assert call.attempts[0].first_us < 200_000, "it went out before the word came"
