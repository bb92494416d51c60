"""Slow guards of answers look in threads: other calls go on, and the time that they have holds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_upstream import Said, recorded

from perdure import Custom, Guard, Pii, Route
from perdure.core.clock import sleep_s

LONG = Said(words=tuple(f"word{place} " for place in range(120)))


def late(text: str) -> bool:
    sleep_s(0.4)
    return False


def noon(text: str) -> list[tuple[int, int]]:
    sleep_s(0.002)
    at = text.find("noon")
    return [] if at < 0 else [(at, at + 4)]


def leave(text: str) -> bool:
    sleep_s(0.002)
    return "leave" in text


def fail(text: str) -> bool:
    raise RuntimeError("out of order")


@pytest.mark.parametrize("stream", [False, True])
def test_other_calls_go_on_while_a_slow_guard_looks_at_an_answer(world, upstreams, stream):
    looking, go_on = threading.Event(), threading.Event()

    def hold(text: str) -> bool:
        looking.set()
        return not go_on.wait(60)

    guard = Guard("slow", [Custom(hold)], on=("output",), wait_ms=60_000)
    world.declare(Route("main", [world.target()], guards=[guard]), Route("free", [world.target()]))
    with world.serving() as gateway, ThreadPoolExecutor(1) as clients:
        gateway.chat(model="free")
        guarded = clients.submit(gateway.chat, stream=stream)
        assert looking.wait(60)
        sleep_s(0.05)
        assert gateway.chat(model="free").status == 200
        assert not guarded.done()
        go_on.set()
        assert guarded.result().text == "Trains leave at noon."
        call = next(each for each in gateway.recorded(3) if each.route == "main")
    assert [(said.side, said.action) for said in call.guards] == [("output", "passed")]
    assert call.guards[0].took_us >= 50_000


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["block", "redact", "warn"])
@pytest.mark.parametrize("fails", ["open", "closed"])
def test_a_guard_that_is_too_slow_for_an_answer_acts_as_declared(world, upstreams, stream, mode, fails):
    guard = Guard("slow", [Custom(late)], on=("output",), wait_ms=20, fails=fails, mode=mode)
    world.declare(Route("main", [world.target()], guards=[guard]))
    upstreams.usual = recorded(LONG)
    with world.serving() as gateway:
        answer = gateway.chat(stream=stream)
        call = gateway.recorded(1)[0]
    assert [said.action for said in call.guards] == ["failed"]
    if fails == "open":
        assert (answer.status, answer.text, call.outcome) == (200, LONG.text, "answered")
    else:
        assert answer.status == 400 or "could not be checked" in answer.content.decode(), answer
        assert LONG.text not in answer.content.decode()
        assert call.outcome == "blocked"
    assert call.usage.n_input == 11 or call.usage.estimated


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_guard_that_raises_over_an_answer_acts_as_declared(world, upstreams, stream):
    guards = [Guard(name, [Custom(fail)], on=("output",), fails=name) for name in ("open", "closed")]
    world.declare(*(Route(f"to_{each.name}", [world.target()], guards=[each]) for each in guards))
    with world.serving() as gateway:
        passed, refused = gateway.chat(model="to_open", stream=stream), gateway.chat(model="to_closed", stream=stream)
        calls = gateway.recorded(2)
    assert passed.text == "Trains leave at noon."
    assert b"noon" not in refused.content
    assert [[said.action for said in call.guards] for call in calls] == [["failed"], ["failed"]]
    assert [call.outcome for call in calls] == ["answered", "blocked"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["chat", "message"])
def test_slow_and_fast_guards_of_one_answer_each_do_their_part(world, upstreams, stream, client):
    guards = [
        Guard("noon", [Custom(noon)], on=("output",), mode="redact"),
        Guard("personal", [Pii("email")], on=("input", "output"), mode="redact"),
    ]
    world.declare(Route("main", [world.target()], guards=guards))
    upstreams.usual = recorded(Said(words=("At", " noon", " write", " to", " ann@example.org", ".")))
    with world.serving() as gateway:
        answer = getattr(gateway, client)("I am bob@example.org", stream=stream)
        call = gateway.recorded(1)[0]
    said = answer.content.decode()
    assert "noon" not in said
    assert "ann@" not in said
    assert " write" in said
    assert sorted((each.guard, each.action) for each in call.guards if each.side == "output") == [
        ("noon", "redacted"), ("personal", "redacted"),
    ]  # fmt: skip


def test_a_slow_guard_ends_a_stream_before_what_it_finds_comes_out(world, upstreams):
    world.declare(
        Route("main", [world.target()], guards=[Guard("leave", [Custom(leave)], on=("output",), hold_back=40)])
    )
    said = Said(words=(*("one " for _ in range(60)), "leave ", *("two " for _ in range(60))))
    upstreams.usual = recorded(said, gap_s=0.01)
    with world.serving() as gateway:
        answer = gateway.chat(stream=True)
        call = gateway.recorded(1)[0]
    assert answer.status == 200, "what was looked at before has gone out"
    assert b"one " in answer.content
    assert "leave" not in "".join(
        each["choices"][0]["delta"].get("content") or "" for each in answer.chunks if "choices" in each
    )
    assert "error" in answer.chunks[-1]
    assert (call.outcome, [each.action for each in call.guards]) == ("blocked", ["blocked"])
