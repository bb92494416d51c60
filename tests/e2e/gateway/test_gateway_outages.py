"""Answers go on, or stop where they must: clients that hang up, limits, budgets, ledger, keys and disks that are gone."""

from __future__ import annotations

import json
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from gateway_upstream import Said, dripping, recorded, stalled

from perdure import Budget, Limits, Route, Team, seconds
from perdure.core.clock import monotonic_s, sleep_s


@contextmanager
def asking(gateway, **members):
    """A client that asks, reads as it likes, and may hang up: its socket."""
    body = json.dumps({"model": "main", "messages": [{"role": "user", "content": "Hi"}], **members}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.secret}\r\n"
    with socket.create_connection(gateway.address, timeout=60) as wire:
        wire.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        yield wire


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_ends_the_upstream_call_and_is_billed(world, upstreams, stream):
    world.declare(Route("main", [world.target()], attempts=1))
    upstreams.usual = dripping(0.01) if stream else stalled()
    with world.serving() as gateway:
        with asking(gateway, stream=stream) as wire:
            if stream:
                assert b"200 OK" in wire.recv(65536)
                wire.recv(65536)
            else:
                gateway.wait_for(lambda: upstreams.seen)
        assert upstreams.seen[0].gone.wait(60), "the upstream sees the cancel"
        call = gateway.recorded(1)[0]
        assert gateway.ask("/readyz", None, method="GET").status == 200
    assert (call.outcome, call.status, call.attempts[0].error) == ("cancelled", 499, "cancelled")
    assert call.usage.estimated
    assert call.usage.n_input > 0
    assert call.cost_pusd == call.usage.n_input * 10**6 + call.usage.n_output * 4 * 10**6


def test_a_client_that_hung_up_holds_no_slot(world, upstreams):
    world.teams["team"] = Team("team", limits=Limits(concurrency=1))
    world.declare(Route("main", [world.target()], attempts=1, bodies="none"))
    with world.serving() as gateway:
        for _ in range(3):
            upstreams.then(stalled())
            n_seen = len(upstreams.seen)
            with asking(gateway):
                gateway.wait_for(lambda before=n_seen: len(upstreams.seen) > before)
                assert gateway.chat().status == 429
            gateway.wait_for(lambda: gateway.chat().status == 200)


def test_a_client_that_never_reads_does_not_hold_the_upstream_for_ever(world, upstreams):
    world.declare(Route("main", [world.target()], total=seconds(0.5), attempts=1, bodies="none"))
    upstreams.usual = recorded(Said(words=("x" * 60_000,) * 400))
    with world.serving() as gateway:
        with asking(gateway, stream=True) as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            call = gateway.recorded(1)[0]
            assert call.outcome in ("cut", "cancelled")
            assert call.usage.estimated
        upstreams.reset()
        assert gateway.chat().status == 200


def test_limits_answer_429_and_say_when_to_come_back(world, upstreams):
    world.teams["team"] = Team("team", limits=Limits(requests=3))
    world.declare(Route("main", [world.target()], bodies="none"))
    with world.serving() as gateway:
        answers = [gateway.chat() for _ in range(5)]
        calls = gateway.recorded(5)
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
    assert 1 <= int(answers[3].headers["retry-after"]) <= 120
    assert answers[3].error["type"] == "rate_limit_error"
    assert len(upstreams.seen) == 3
    assert [call.outcome for call in calls] == ["answered"] * 3 + ["refused"] * 2


def test_a_limit_of_tokens_counts_what_was_used(world, upstreams):
    world.teams["team"] = Team("team", limits=Limits(tokens=120))
    world.declare(Route("main", [world.target()], bodies="none"))
    with world.serving() as gateway:
        statuses = [gateway.chat(max_tokens=40).status for _ in range(8)]
        too_much = gateway.chat(max_tokens=4000)
    assert statuses[:4] == [200] * 4
    assert statuses[-1] == 429
    assert too_much.status == 413


def test_a_budget_ends_calls_and_never_costs_more(world, upstreams):
    one_usd = 39 * 10**6 / 10**12
    world.teams["team"] = Team("team", budgets=[Budget(10.5 * one_usd)])
    world.declare(Route("main", [world.target()], bodies="none"))
    with world.serving() as gateway:
        answers = [gateway.chat(max_tokens=7) for _ in range(14)]
        calls = gateway.recorded(14)
    refused = [answer for answer in answers if answer.status != 200]
    assert refused
    assert refused[0].status == 429
    assert refused[0].error["type"] == "insufficient_quota"
    assert sum(call.cost_pusd for call in calls) <= 10.5 * 39 * 10**6


def test_an_unknown_price_is_not_free(world, upstreams):
    world.teams["team"] = Team("team", budgets=[Budget(5)])
    world.teams["free"] = Team("free")
    world.declare(Route("main", [world.target("nobody-knows", prices=None)], bodies="none"))
    free = world.key("free")
    with world.serving() as gateway:
        assert gateway.chat().status == 403
        assert gateway.chat(headers={"authorization": f"Bearer {free}"}).status == 200
        calls = gateway.recorded(2)
    assert [(call.outcome, call.cost_pusd) for call in calls] == [("refused", 0), ("answered", None)]


def test_as_many_calls_as_are_taken_are_under_way_at_a_time(world, upstreams):
    world.teams["team"] = Team("team", limits=Limits(concurrency=4))
    world.declare(Route("main", [world.target()], bodies="none"))
    upstreams.usual = recorded(gap_s=0.05)
    with world.serving() as gateway, ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda _: gateway.chat(stream=True).status, range(12)))
    assert answers.count(200) >= 4
    assert set(answers) == {200, 429}


def test_keys_that_are_known_go_on_while_the_ledger_is_locked_or_gone(world, upstreams):
    world.declare(Route("main", [world.target()], bodies="none"))
    with world.serving() as gateway:
        assert gateway.chat().status == 200
        held = sqlite3.connect(world.ledger_path, isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        sleep_s(0.2)
        assert gateway.chat().status == 200
        held.execute("ROLLBACK")
        held.close()
        for path in world.root.glob("ledger.db*"):
            path.unlink()
        sleep_s(0.2)
        assert gateway.chat().status == 200
        assert gateway.chat(headers={"authorization": "Bearer pk-perdure-x"}).status == 401


def test_a_key_that_is_revoked_is_refused_as_soon_as_the_ledger_is_looked_at(world, upstreams):
    world.declare(Route("main", [world.target()], bodies="none"))
    other = world.key()
    with world.serving() as gateway:
        assert gateway.chat(headers={"authorization": f"Bearer {other}"}).status == 200
        world.revoke(other)
        revoked_s = monotonic_s()
        gateway.wait_for(lambda: gateway.chat(headers={"authorization": f"Bearer {other}"}).status == 401)
        assert monotonic_s() - revoked_s < 10.0
        assert gateway.chat().status == 200
        newer = world.key()
        gateway.wait_for(lambda: gateway.chat(headers={"authorization": f"Bearer {newer}"}).status == 200)


def test_a_full_disk_refuses_calls_before_anything_is_paid(world, upstreams):
    world.declare(Route("main", [world.target()], bodies="none"))
    world.min_free_bytes = 10**15
    with world.serving() as gateway:
        answer = gateway.chat()
        assert (answer.status, answer.error["type"]) == (503, "overloaded_error")
        assert gateway.message().status == 503
    assert not upstreams.seen


def test_a_team_sees_only_its_own_routes(world, upstreams):
    world.teams["narrow"] = Team("narrow", routes=("main",))
    world.declare(Route("main", [world.target()]), Route("hidden", [world.target("b-1")]))
    narrow = world.key("narrow")
    with world.serving() as gateway:
        bearer = {"authorization": f"Bearer {narrow}"}
        answer = gateway.chat(model="hidden", headers=bearer)
        assert answer.status == 404
        listed = gateway.ask("/v1/models", None, method="GET", **bearer).json["data"]
        assert [each["id"] for each in listed] == ["main"]
        assert gateway.ask("/v1/models/hidden", None, method="GET", **bearer).status == 404
        assert gateway.chat(headers=bearer).status == 200


def test_an_answer_is_given_again_whole_and_streamed_and_costs_nothing(world, upstreams):
    from perdure import Cache, minutes

    world.declare(Route("main", [world.target()], cache=Cache(minutes(1)), bodies="none"))
    with world.serving() as gateway:
        first = gateway.chat(temperature=0)
        again, streamed = gateway.chat(temperature=0), gateway.chat(temperature=0, stream=True)
        message = gateway.message(temperature=0), gateway.message(temperature=0)
        calls = gateway.recorded(5)
    assert [answer.headers["perdure-cache"] for answer in (first, again, streamed)][:2] == ["miss", "exact"]
    assert first.text == again.text == streamed.text
    assert message[0].json["content"] == message[1].json["content"]
    assert calls[1].cost_pusd == 0
    assert calls[1].saved_pusd == calls[0].cost_pusd
