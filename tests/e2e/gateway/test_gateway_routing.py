"""Which target answers: order, weights, speed, affinity, canaries; retries, breakers and deadlines."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_upstream import Said, cut, dripping, exactly, recorded, stalled, status, streamed
from gateway_world import version_of

from perdure import Route, seconds
from perdure.assets.version import Pointer
from perdure.core.clock import monotonic_s, sleep_s


def targets_of(calls) -> list[str]:
    return [call.attempts[-1].target for call in calls]


@pytest.fixture
def two(world):
    """Two targets of one upstream: a-1 and b-1."""
    return [world.target("a-1"), world.target("b-1")]


def test_the_first_sound_target_answers_and_the_next_when_it_fails(world, upstreams, two):
    world.declare(Route("main", two, retry_budget=1.0))
    upstreams.of_model("a-1", status(500))
    with world.serving() as gateway:
        answer = gateway.chat()
        assert (answer.status, answer.headers["perdure-target"]) == (200, "up/b-1")
        call = gateway.recorded(1)[0]
    assert [(each.target, each.status, each.error) for each in call.attempts] == [
        ("up/a-1", 500, "upstream"),
        ("up/b-1", 200, ""),
    ]
    assert call.attempts[0].usage is None, "a refusal is not billed"
    assert (call.usage.n_total, call.outcome) == (18, "answered")


@pytest.mark.parametrize(
    "broken",
    [
        status(429), status(503), exactly(b"no http at all\r\n\r\n"), exactly(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"),
    ],
    ids=["busy", "down", "no-http", "short"],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_a_target_that_breaks_before_its_answer_is_replaced(world, upstreams, two, broken, stream):
    world.declare(Route("main", two, retry_budget=1.0, attempt=seconds(2), idle=seconds(1)))

    async def hang_up(wire, seen):
        await broken(wire, seen)
        wire._writer.close()

    upstreams.of_model("a-1", hang_up)
    with world.serving() as gateway:
        answer = gateway.chat(stream=stream)
        assert (answer.status, answer.text) == (200, "Trains leave at noon.")


def test_when_every_target_fails_the_client_learns_that_and_no_more(world, upstreams, two):
    world.declare(Route("main", two, retry_budget=1.0))
    upstreams.usual = status(500, "stack trace of a provider")
    with world.serving() as gateway:
        answer = gateway.chat()
        assert (answer.status, len(upstreams.seen)) == (502, 3)
        assert "stack trace" not in answer.content.decode()
        call = gateway.recorded(1)[0]
    assert (call.outcome, call.status, call.cost_pusd, len(call.attempts)) == ("failed", 502, 0, 3)


@pytest.mark.parametrize("broken", [exactly(b"no http at all\r\n\r\n"), cut(0)], ids=["no-http", "cut"])
def test_a_client_never_learns_the_address_of_an_upstream(world, upstreams, broken):
    world.declare(Route("main", [world.target()], attempts=1, attempt=seconds(2)))
    upstreams.usual = broken
    with world.serving() as gateway:
        answer = gateway.chat()
    said = answer.json["error"]["message"]
    assert answer.status == 502
    assert "upstream up " in said
    assert "127.0.0.1" not in said


def test_weights_share_the_calls(world, upstreams):
    routes = [world.target("a-1", weight=3.0), world.target("b-1", weight=1.0)]
    world.declare(Route("main", routes, choose="weighted", bodies="none"))
    with world.serving() as gateway:
        for _ in range(120):
            gateway.chat()
        found = Counter(targets_of(gateway.recorded(120)))
    assert 65 <= found["up/a-1"] <= 113, found


def test_the_fastest_target_is_asked_once_all_are_known(world, upstreams, two):
    world.declare(Route("main", two, choose="fastest", bodies="none"))

    async def slow(wire, seen):
        import asyncio

        await asyncio.sleep(0.05)
        await recorded()(wire, seen)

    upstreams.of_model("a-1", slow)
    with world.serving() as gateway:
        for _ in range(10):
            gateway.chat()
        assert targets_of(gateway.recorded(10))[2:] == ["up/b-1"] * 8


def test_a_sticky_caller_stays_with_its_target_and_callers_are_spread(world, upstreams, two):
    world.declare(Route("main", two, choose="sticky", affinity="x-customer", bodies="none"))
    with world.serving() as gateway:
        for _ in range(2):
            for customer in range(20):
                gateway.chat(headers={"x-customer": f"c{customer}"})
        found = targets_of(gateway.recorded(40))
    assert found[:20] == found[20:]
    assert 4 <= found[:20].count("up/a-1") <= 16


def test_a_caller_cannot_choose_its_arm_where_the_key_alone_decides(world, upstreams):
    world.declare(Route("main", [world.target("a-1")], affinity="key", bodies="none"))
    challenger = version_of("main", "route", Route("main", [world.target("b-1")], bodies="none").definition())
    world.register(challenger)
    generation = world.point(Pointer("main", "challenger", challenger.id, share=0.5))
    with world.serving() as gateway:
        gateway.wait_for_generation(generation)
        for user in range(20):
            gateway.chat(user=f"u{user}", key=f"k{user}")
        calls = gateway.recorded(20)
    assert len({call.arm for call in calls}) == 1
    assert {call.affinity for call in calls} == {calls[0].key}


def test_a_challenger_gets_its_share_of_the_callers_and_keeps_them(world, upstreams):
    world.declare(Route("main", [world.target("a-1")], bodies="none"))
    challenger = version_of("main", "route", Route("main", [world.target("b-1")], bodies="none").definition())
    world.register(challenger)
    generation = world.point(Pointer("main", "challenger", challenger.id, share=0.3))
    with world.serving() as gateway:
        gateway.wait_for_generation(generation)
        for user in list(range(60)) * 2:
            gateway.chat(user=f"u{user}")
        calls = gateway.recorded(120)
    arms = [call.arm for call in calls]
    assert arms[:60] == arms[60:]
    assert 9 <= arms[:60].count("challenger") <= 28
    assert {(call.arm, call.attempts[0].target) for call in calls} == {("champion", "up/a-1"), ("challenger", "up/b-1")}
    assert all(call.version == challenger.id for call in calls if call.arm == "challenger")


def test_a_release_drops_none_of_fifty_streams_under_way(world, upstreams):
    words = tuple(f"w{place} " for place in range(20))
    upstreams.usual = recorded(Said(words=words), gap_s=0.04)
    world.declare(Route("main", [world.target("a-1")], bodies="none"))
    newer = version_of("main", "route", Route("main", [world.target("b-1")], bodies="none").definition())
    world.register(newer)
    with world.serving() as gateway, ThreadPoolExecutor(50) as clients:
        under_way = [clients.submit(gateway.chat, stream=True) for _ in range(50)]
        gateway.wait_for(lambda: len(upstreams.seen) == 50)
        generation = world.point(Pointer("main", "champion", newer.id))
        gateway.wait_for_generation(generation)
        assert gateway.chat().headers["perdure-target"] == "up/b-1"
        assert sum(not each.done() for each in under_way) > 25, "the release came while they were under way"
        answers = [each.result() for each in under_way]
    assert {answer.text for answer in answers} == {"".join(words)}
    assert {answer.headers["perdure-target"] for answer in answers} == {"up/a-1"}
    assert Counter(call.outcome for call in world.calls()) == {"answered": 51}


@pytest.mark.parametrize("stream", [False, True])
def test_a_breaker_opens_after_failures_in_a_row_and_closes_again(world, upstreams, two, stream):
    world.declare(Route("main", two, breaker=3, rest=seconds(0.4), retry_budget=1.0, bodies="none"))
    upstreams.of_model("a-1", cut(3) if stream else status(500))
    with world.serving() as gateway:
        for _ in range(3):
            gateway.chat(stream=stream)
        n_asked = len([each for each in upstreams.seen if each.body["model"] == "a-1"])
        assert n_asked == 3
        assert gateway.chat(stream=stream).headers["perdure-target"] == "up/b-1"
        assert len([each for each in upstreams.seen if each.body["model"] == "a-1"]) == 3, "it rests"
        assert (
            'perdure_target_closed{target="up/a-1"} 0.0' in gateway.ask("/metrics", None, method="GET").content.decode()
        )
        upstreams.of_model("a-1", recorded())
        sleep_s(0.45)
        assert gateway.chat(stream=stream).headers["perdure-target"] == "up/a-1", "it is tried again"
        assert gateway.chat(stream=stream).headers["perdure-target"] == "up/a-1"


def test_second_tries_end_with_their_budget_and_the_other_target_does_not(world, upstreams, two):
    world.declare(Route("main", two, retry_budget=0.0, breaker=1000, attempts=3, bodies="none"))
    upstreams.of_model("a-1", status(500))
    with world.serving() as gateway:
        assert [gateway.chat().status for _ in range(12)] == [200] * 12
        upstreams.of_model("b-1", status(500))
        n_before = len(upstreams.seen)
        assert [gateway.chat().status for _ in range(12)] == [502] * 12
    assert len(upstreams.seen) - n_before == 12 * 2 + 10, "both each time, and ten second tries of the first in all"


def test_an_upstream_that_is_silent_is_left_at_the_deadline_of_a_try(world, upstreams, two):
    world.declare(Route("main", two, attempt=seconds(0.2), retry_budget=1.0))
    upstreams.of_model("a-1", stalled())
    with world.serving() as gateway:
        began_s = monotonic_s()
        assert gateway.chat().status == 200
        assert monotonic_s() - began_s < 20.0
        assert upstreams.seen[0].gone.wait(60), "the upstream sees that nobody waits any more"
        call = gateway.recorded(1)[0]
    assert call.attempts[0].error == "upstream.timed_out"
    assert call.attempts[0].usage.estimated, "it may have been billed there"


def test_a_call_ends_at_its_total_deadline(world, upstreams, two):
    world.declare(Route("main", two, attempt=seconds(0.3), total=seconds(0.5), attempts=9, retry_budget=1.0))
    upstreams.usual = stalled()
    with world.serving() as gateway:
        began_s = monotonic_s()
        answer = gateway.chat()
        assert (answer.status, answer.error["type"]) == (504, "timeout_error")
        assert monotonic_s() - began_s < 20.0


@pytest.mark.parametrize("stream", [False, True])
def test_pieces_that_keep_coming_do_not_move_the_total_deadline(world, upstreams, stream):
    world.declare(Route("main", [world.target()], total=seconds(0.4), idle=seconds(5), attempts=1))
    upstreams.usual = dripping(0.02)
    with world.serving() as gateway:
        began_s = monotonic_s()
        answer = gateway.chat(stream=stream)
        assert monotonic_s() - began_s < 20.0
        call = gateway.recorded(1)[0]
        assert upstreams.seen[0].gone.wait(60)
    if stream:
        assert answer.status == 200
        assert answer.chunks[-1]["error"]["code"] == "upstream.timed_out"
        assert b"[DONE]" not in answer.content
        assert call.outcome == "cut"
    else:
        assert (answer.status, call.outcome) == (504, "failed")
    assert call.usage.estimated


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_a_stream_that_stalls_is_cut_and_billed_by_an_estimate(world, upstreams, dialect):
    world.declare(Route("main", [world.target("m-1", dialect)], idle=seconds(0.2), attempts=1))
    upstreams.usual = stalled(after=5)
    with world.serving() as gateway:
        answer = gateway.chat(stream=True)
        assert answer.chunks[-1]["error"]["code"] == "upstream.timed_out"
        call = gateway.recorded(1)[0]
    assert (call.outcome, call.status, call.attempts[0].error) == ("cut", 200, "upstream.timed_out")
    assert call.usage.estimated
    assert call.usage.n_output > 0
    assert call.cost_pusd == call.usage.n_input * 10**6 + call.usage.n_output * 4 * 10**6
    if dialect != "openai":
        assert call.usage.n_input == 11, "the input was counted before the cut"


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_a_stream_that_is_cut_after_its_count_is_billed_by_it(world, upstreams, dialect):
    from gateway_upstream import events

    world.declare(Route("main", [world.target("m-1", dialect)], attempts=1))
    kind = {"openai": "chat", "anthropic": "messages", "gemini": "gemini"}[dialect]
    upstreams.usual = cut(len(events(kind, Said())) - (dialect != "gemini"))
    with world.serving() as gateway:
        gateway.chat(stream=True)
        call = gateway.recorded(1)[0]
    assert (call.usage.n_input, call.usage.n_output, call.usage.estimated) == (11, 7, False)


def test_a_stream_that_never_begins_is_an_error_with_a_status(world, upstreams):
    world.declare(Route("main", [world.target()], attempts=1))
    overloaded = b'data: {"error": {"message": "busy", "code": 429}}\n\n'
    upstreams.then(streamed(b'{"id": "no events"}'), streamed(overloaded))
    with world.serving() as gateway:
        assert [gateway.chat(stream=True).status for _ in range(2)] == [502, 429]
        assert [call.outcome for call in gateway.recorded(2)] == ["failed", "failed"]


def test_what_is_no_answer_is_not_passed_on(world, upstreams):
    world.declare(Route("main", [world.target()], attempts=1))
    upstreams.usual = exactly(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>")
    with world.serving() as gateway:
        answer = gateway.chat()
        assert (answer.status, answer.error["code"]) == (502, "upstream.bad")


def test_a_connection_that_breaks_behind_the_end_of_a_stream_harms_nothing(world, upstreams):
    from gateway_upstream import events

    world.declare(Route("main", [world.target()]))
    upstreams.usual = cut(len(events("chat", Said())))
    with world.serving() as gateway:
        for _ in range(3):
            assert gateway.chat(stream=True).text == "Trains leave at noon."
        assert gateway.chat(stream=True).status == 200
    assert [call.outcome for call in world.calls()] == ["answered"] * 4


def test_one_client_that_waits_keeps_no_other_waiting(world, upstreams):
    go_on = threading.Event()

    async def held(wire, seen):
        await asyncio.to_thread(go_on.wait, 60)
        await recorded()(wire, seen)

    world.declare(Route("main", [world.target("a-1")], attempts=1), Route("other", [world.target("b-1")]))
    upstreams.of_model("a-1", held)
    with world.serving() as gateway:
        waiting = threading.Thread(target=gateway.chat, daemon=True)
        waiting.start()
        gateway.wait_for(lambda: upstreams.seen)
        assert gateway.chat(model="other").status == 200
        assert waiting.is_alive()
        go_on.set()
        waiting.join()
