"""Probes are asked of every target, once a slot over all processes, and recorded as calls of their own."""

from __future__ import annotations

import json

from gateway_upstream import status

from perdure.assets.route import Probe, Probes, Route
from perdure.core.clock import sleep_s
from perdure.core.units import hours

SUITE = Probes(
    (
        Probe("capital", ({"role": "user", "content": "What is the capital of France?"},), {"max_tokens": 9}),
        "Name a fruit.",
    ),
    every=hours(100_000),
)


def _probed(world):
    return [each for each in world.calls() if each.arm == "probe"]


def _route(world, **members):
    targets = [world.target("m-1"), world.target("m-2", "anthropic"), world.target("m-3", "gemini")]
    return Route("main", targets, probes=SUITE, **members)


def test_every_target_is_asked_every_question_once_over_all_processes(world, upstreams):
    """A second process finds the slot taken."""
    world.declare(_route(world, bodies="none"))
    with world.serving() as gateway:
        gateway.wait_for(lambda: len(_probed(world)) == 6)
    with world.serving():
        sleep_s(1.0)
    calls = _probed(world)
    asked = {(each.tags["probe"], each.tags["target"]) for each in calls}
    targets = ("up/m-1", "claude/m-2", "gemini/m-3")
    assert asked == {(probe, target) for probe in ("capital", "q2") for target in targets}
    assert len(calls) == 6
    for call in calls:
        assert (call.outcome, call.key, call.team, call.finish) == ("answered", "", "", "stop")
        assert json.loads(call.answer)[0]["content"] == "Trains leave at noon."
        assert json.loads(call.request)[0]["role"] == "user"
        assert call.cost_pusd == 11 * 1_000_000 + 7 * 4_000_000
        assert call.attempts[0].target == call.tags["target"]
        assert call.attempts[0].first_us > 0
    assert len(upstreams.seen) == 6


def test_a_probe_that_fails_is_recorded_and_harms_no_call(world, upstreams):
    upstreams.then(*[status(500)] * 6)
    world.declare(_route(world, breaker=1))
    with world.serving() as gateway:
        gateway.wait_for(lambda: len(_probed(world)) == 6)
        assert gateway.chat().status == 200
    assert {(each.outcome, each.attempts[0].error, each.attempts[0].status) for each in _probed(world)} == {
        ("failed", "upstream", 500)
    }


def test_a_route_without_probes_is_never_asked(world, upstreams):
    world.declare(Route("main", [world.target()]))
    with world.serving():
        sleep_s(0.5)
    assert _probed(world) == []
    assert upstreams.seen == []
