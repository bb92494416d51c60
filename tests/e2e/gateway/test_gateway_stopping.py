"""A server that stops while calls are under way tells them so, bills and records them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_upstream import dripping, stalled

from perdure import Guard, Names, Route
from perdure.core.clock import sleep_s


@pytest.mark.parametrize("client", ["chat", "message"])
@pytest.mark.parametrize("guarded", [False, True])
def test_a_stream_that_outlasts_the_grace_ends_in_an_error_event(world, upstreams, monkeypatch, client, guarded):
    monkeypatch.setattr("perdure.serve.server._DRAIN_S", 0.3)
    guards = [Guard("names", [Names(("Globex",))], on=("output",))] if guarded else []
    world.declare(Route("main", [world.target()], attempts=1, guards=guards))
    upstreams.usual = dripping(0.01)
    with ThreadPoolExecutor(1) as clients:
        with world.serving() as gateway:
            asked = clients.submit(getattr(gateway, client), stream=True)
            gateway.wait_for(lambda: upstreams.seen)
            sleep_s(0.3)
        answer = asked.result()
    last = json.loads(answer.content.decode().rstrip().rsplit("data: ", 1)[1])
    assert "being stopped" in last["error"]["message"]
    assert last["error"]["type"] == "overloaded_error"
    assert upstreams.seen[0].gone.wait(60), "the upstream sees the end"
    call = world.calls()[0]
    assert (call.status, call.outcome, call.attempts[0].error) == (200, "cut", "cancelled")
    assert call.usage.estimated
    assert call.usage.n_input > 0
    assert call.usage.n_output > 0
    assert call.cost_pusd == call.usage.n_input * 10**6 + call.usage.n_output * 4 * 10**6


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_which_nothing_has_gone_out_is_told_503(world, upstreams, monkeypatch, stream):
    monkeypatch.setattr("perdure.serve.server._DRAIN_S", 0.1)
    world.declare(Route("main", [world.target()], attempts=1))
    upstreams.usual = stalled()
    with ThreadPoolExecutor(1) as clients:
        with world.serving() as gateway:
            asked = clients.submit(gateway.chat, stream=stream)
            gateway.wait_for(lambda: upstreams.seen)
        answer = asked.result()
    assert (answer.status, answer.error["type"]) == (503, "overloaded_error")
    assert int(answer.headers["retry-after"]) >= 1
    calls = world.calls()
    assert [(call.status, call.attempts[0].error, call.usage.estimated) for call in calls] == [(503, "cancelled", True)]
