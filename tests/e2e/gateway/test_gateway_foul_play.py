"""Upstreams that send nonsense or stall at the worst instant, and clients that leave early: nothing is held, all is told."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_upstream import Said, events, recorded, streamed, whole
from gateway_world import World, version_of

from perdure import Guard, Limits, Pii, Route, Team, seconds
from perdure.assets.guard import Custom, Names
from perdure.assets.version import Pointer
from perdure.core.clock import monotonic_s, sleep_s
from perdure.stores.counters.sqlite import SqliteCounters

CHAT = events("chat", Said())
NONSENSE = {
    "a text for a choice": b'{"choices":["x"]}',
    "a text for a delta": b'{"choices":[{"delta":"x"}]}',
    "a text for choices": b'{"choices":"abc"}',
    "an index that is a name": b'{"choices":[{"index":"a","delta":{"content":"q"}}]}',
    "an index that is an object": b'{"choices":[{"index":{},"delta":{"content":"q"}}]}',
    "a number for tools": b'{"choices":[{"delta":{"tool_calls":5}}]}',
    "a text for a function": b'{"choices":[{"delta":{"tool_calls":[{"function":"f"}]}}]}',
}


def under_way(gateway) -> str:
    """What the gateway says of calls that it has not let go of."""
    metrics = gateway.ask("/metrics", None, method="GET").content.decode()
    return "\n".join(line for line in metrics.splitlines() if "under_way" in line and not line.startswith("#"))


@pytest.fixture(scope="module")
def judged(tmp_path_factory, every_upstream):
    """A gateway with a guard that reads every answer, one that reads every request, and a route without any."""
    world = World(tmp_path_factory.mktemp("foul"), every_upstream.url)
    names = Guard("names", [Names(("Globex",))], on=("output",))
    patient = {"attempts": 1, "breaker": 1000}
    world.declare(
        Route("main", [world.target()], **patient),
        Route("judged", [world.target("j-1")], guards=[names], **patient),
        Route("judging", [world.target("j-2", "anthropic")], guards=[Guard("asked", [Names(("Globex",))])]),
    )
    with world.serving() as gateway:
        yield gateway


@pytest.fixture
def judging(judged, upstreams):
    """The same, with an upstream that has seen nothing."""
    return judged


@pytest.mark.parametrize("name", NONSENSE)
def test_chunks_that_are_none_are_the_upstreams_fault_and_hold_nothing(judged, upstreams, name, caplog):
    upstreams.usual = streamed(*CHAT[:2], b"data: " + NONSENSE[name] + b"\n\n", *CHAT[2:])
    with caplog.at_level(logging.ERROR):
        answer = judged.chat(model="judged", stream=True)
    assert answer.status in (200, 502), "with its head gone out it ends in an error event"
    assert b'"upstream.bad"' in answer.content
    assert b"[DONE]" not in answer.content
    assert not caplog.records, "it is no defect of ours"
    assert 'under_way{target="up/j-1"} 0.0' in under_way(judged)


@pytest.mark.parametrize("name", NONSENSE)
def test_chunks_that_nobody_judges_pass_although_they_cannot_be_recorded(judged, upstreams, name):
    upstreams.usual = streamed(*CHAT[:2], b"data: " + NONSENSE[name] + b"\n\n", *CHAT[2:])
    answer = judged.chat(stream=True)
    assert (answer.status, answer.content.endswith(b"data: [DONE]\n\n")) == (200, True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stall_shortly_before_the_deadline_does_not_move_it(world, upstreams, stream):
    async def stalled(wire, seen):
        wire.begin()
        for each in CHAT[:2] if stream else [b'{"id":']:
            await wire.piece(each)
        await asyncio.sleep(0.5)
        await wire.piece(CHAT[2] if stream else b'"x",')
        await wire.hung_up()

    world.declare(Route("main", [world.target()], total=seconds(0.7), idle=seconds(30), attempts=1))
    upstreams.usual = stalled
    with world.serving() as gateway:
        began_s = monotonic_s()
        answer = gateway.chat(stream=stream)
        assert monotonic_s() - began_s < 20.0
        [call] = gateway.recorded(1)
    told = answer.chunks[-1]["error"] if stream else answer.error
    assert told["code"] == "upstream.timed_out"
    assert (answer.status, call.outcome) == ((200, "cut") if stream else (504, "failed"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_guard_that_outlasts_the_deadline_ends_in_an_error_that_the_client_can_read(world, upstreams, stream):
    guard = Guard("slow", [Custom(lambda text: bool(sleep_s(2.0)))], wait_ms=5000)
    world.declare(Route("main", [world.target()], guards=[guard], total=seconds(0.3), attempts=1))
    with world.serving() as gateway:
        answer = gateway.chat(stream=stream)
        [call] = gateway.recorded(1)
    assert (answer.status, answer.error["type"]) == (504, "timeout_error")
    assert (call.outcome, call.status) == ("failed", 504)


def test_who_leaves_while_the_body_comes_is_no_defect_and_on_record_once(world, upstreams, caplog):
    world.declare(Route("main", [world.target()]))
    with world.serving() as gateway, caplog.at_level(logging.DEBUG):
        for path in ("/v1/chat/completions", "/v1/feedback"):
            with socket.create_connection(gateway.address) as sent:
                head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.secret}\r\n"
                sent.sendall(f"{head}content-length: 100\r\n\r\n{{".encode())
                sleep_s(0.05)
        [call] = gateway.recorded(1)
        gateway.wait_for(lambda: "perdure_calls_under_way 0.0" in under_way(gateway))
    assert (call.outcome, call.status) == ("cancelled", 499)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_upstream_that_does_not_end_behind_its_end_holds_no_call(world, upstreams):
    async def lingering(wire, seen):
        wire.begin()
        for each in CHAT:
            await wire.piece(each)
        await wire.hung_up()
        seen.gone.set()

    world.declare(Route("main", [world.target()], idle=seconds(30)))
    upstreams.usual = lingering
    with world.serving() as gateway:
        assert gateway.chat(stream=True).content.endswith(b"data: [DONE]\n\n")
        assert upstreams.seen[0].gone.wait(60)
        gateway.wait_for(lambda: "perdure_calls_under_way 0.0" in under_way(gateway))
        upstreams.usual = recorded()
        assert gateway.chat().status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_documents_are_judged_like_any_text(judging, upstreams, path):
    source = {"type": "text", "media_type": "text/plain", "data": "Ask Globex."}
    turn = {"role": "user", "content": [{"type": "document", "source": source}, {"type": "text", "text": "Well?"}]}
    body = {"model": "judging", "max_tokens": 9, "messages": [turn]}
    answer = judging.ask(path, json.dumps(body).encode())
    assert (answer.status, answer.error["type"], upstreams.seen) == (400, "invalid_request_error", [])


@pytest.mark.parametrize("messages", ["hello", [5], [{"content": "x"}], None])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_what_could_not_be_recorded_is_refused_before_it_is_paid(judging, upstreams, path, messages):
    body = {"model": "main", "max_tokens": 9, "messages": messages, "stream": True}
    answer = judging.ask(path, json.dumps(body).encode())
    assert (answer.status, answer.error["type"], upstreams.seen) == (400, "invalid_request_error", [])


def test_a_shadow_is_asked_what_the_guards_left_of_embeddings_too(world, upstreams, caplog):
    mask = Guard("mask", [Pii("email")], mode="redact")
    world.declare(Route("main", [world.target("e-1")], guards=[mask]))
    shadow = version_of("main", "route", Route("main", [world.target("e-2")], guards=[mask]).definition())
    world.register(shadow)
    world.point(Pointer("main", "shadow", shadow.id))
    with world.serving() as gateway:
        body = {"model": "main", "input": ["Hello", "I am ann@example.org"]}
        assert gateway.ask("/v1/embeddings", json.dumps(body).encode()).status == 200
        calls = gateway.recorded(2)
    assert {(call.arm, call.outcome) for call in calls} == {("champion", "answered"), ("shadow", "answered")}
    first, second = (json.loads(seen.raw)["input"] for seen in upstreams.seen)
    assert first == second != body["input"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_calls_that_are_refused_keep_no_slow_guard_busy(world, upstreams):
    """Neither do they wait for one: whether there is room is asked beside them."""
    judged, go_on = [], threading.Event()

    def slowly(text: str) -> bool:
        judged.append(text)
        go_on.wait(60)
        return False

    go_on.set()
    world.declare(Route("main", [world.target()], guards=[Guard("slow", [Custom(slowly)], wait_ms=60_000)]))
    world.teams["small"] = Team("small", limits=Limits(requests=1))
    with world.serving() as gateway, ThreadPoolExecutor(20) as threads:
        secret = world.key("small")
        asked = {"authorization": f"Bearer {secret}"}
        gateway.wait_for(lambda: gateway.chat(headers=asked).status == 200)
        go_on.clear()
        began_s = monotonic_s()
        refused = threads.map(lambda each: gateway.chat(f"{each}", headers=asked).status, range(40))
        assert set(refused) == {429}
        assert monotonic_s() - began_s < 30.0
        go_on.set()
    assert len(judged) < 20


def test_limits_are_shared_again_after_a_failure_that_nobody_foresaw(world, upstreams, caplog):
    class Failing(SqliteCounters):
        left = 2

        def expire(self, **named):
            if Failing.left:
                Failing.left -= 1
                raise RuntimeError("foreign code")
            return super().expire(**named)

    world.open_counters = lambda: Failing(world.root / "counters.db")
    world.teams["team"] = Team("team", limits=Limits(tokens=1_000_000))
    world.declare(Route("main", [world.target()]))
    with world.serving() as gateway:
        assert gateway.chat().status == 200
        gateway.wait_for(lambda: Failing.left == 0, 20.0)
        assert gateway.chat().status == 200
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize("model", ["main", "judged"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wrong", [(b'"prompt_tokens": 11', b'"prompt_tokens": 1' + b"1" * 40), (b'"stop"', b"5")])
def test_what_an_upstream_counts_or_says_wrongly_loses_no_record(judged, upstreams, model, stream, wrong):
    whole_body = json.dumps(whole("chat", Said())).encode()
    told = [each.replace(*wrong).replace(wrong[0].replace(b": ", b":"), wrong[1]) for each in (whole_body, *CHAT)]
    assert told != [whole_body, *CHAT]

    async def behave(wire, seen):
        if not stream:
            wire.reply(200, told[0])
            return
        wire.begin()
        for each in told[1:]:
            await wire.piece(each)
        wire.end()

    upstreams.usual = behave
    answer = judged.chat(model=model, stream=stream)
    assert answer.status == 200
    [call] = judged.wait_for(lambda: [c for c in judged.world.calls() if c.id == answer.headers["perdure-call-id"]])
    assert call.outcome == "answered"
    assert call.usage.n_total < 1000
