"""Probes are asked of every target, once a slot over all processes, and recorded as calls of their own."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from gateway_upstream import status
from gateway_world import version_of

from perdure.assets.route import Probe, Probes, Route
from perdure.assets.team import Budget, Team
from perdure.assets.version import Pointer
from perdure.core.clock import sleep_s, to_us
from perdure.core.units import hours
from perdure.serve.gateway.allowance_levels import levels_of
from perdure.stores.counters.sqlite import SqliteCounters

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


def test_a_target_that_was_left_out_draws_nothing_or_rests_is_asked_all_the_same(world, upstreams):
    """Else nobody would see that it is well again, or that it changed."""
    declared = _route(world, breaker=1, rest=hours(1), choose="weighted")
    world.declare(declared)
    told = declared.definition()
    told["targets"] = [told["targets"][0], {**told["targets"][1], "weight": 0.0}]
    healed = version_of("main", "route", told)
    world.register(healed)
    world.point(Pointer("main", "champion", healed.id))
    upstreams.then(*[status(500)] * 6)
    with world.serving() as gateway:
        gateway.wait_for(lambda: len(_probed(world)) == 6)
        metrics = gateway.ask("/metrics", None, method="GET").content.decode()
    asked = sorted(each.tags["target"] for each in _probed(world))
    assert asked == sorted(["up/m-1", "claude/m-2", "gemini/m-3"] * 2)
    assert {each.version for each in _probed(world)} == {healed.id}
    assert 'perdure_probes_total{outcome="failed",route="main",target="gemini/m-3"} 2.0' in metrics


def test_answers_to_probes_are_counted_for_prometheus(world, upstreams):
    world.declare(_route(world))
    with world.serving() as gateway:
        gateway.wait_for(lambda: len(_probed(world)) == 6)
        metrics = gateway.ask("/metrics", None, method="GET").content.decode()
    assert 'perdure_probes_total{outcome="answered",route="main",target="up/m-1"} 2.0' in metrics
    assert 'perdure_probe_first_byte_seconds{route="main",target="claude/m-2"} 0.' in metrics


def test_in_a_replay_budgets_are_shared_by_the_time_of_its_requests(world, upstreams):
    """By the machine's clock the window of such a request is long over, and nothing of it would be told before the end."""
    world.teams = {"team": Team("team", budgets=[Budget(1, per="day")])}
    world.declare(Route("main", [world.target()]))
    with world.serving(replay=True) as gateway:
        assert gateway.chat(headers={"perdure-now": "2020-01-01T12:00:00Z"}).status == 200
        counters = SqliteCounters(world.root / "counters.db")

        def spent():
            [report] = levels_of(counters, world.teams["team"], to_us(datetime(2020, 1, 1, 13, tzinfo=UTC)))
            return report.used

        assert gateway.wait_for(spent) == 11 * 1_000_000 + 7 * 4_000_000
        counters.close()
    assert _probed(world) == []


def test_a_route_without_probes_is_never_asked(world, upstreams):
    world.declare(Route("main", [world.target()]))
    with world.serving():
        sleep_s(0.5)
    assert _probed(world) == []
    assert upstreams.seen == []
