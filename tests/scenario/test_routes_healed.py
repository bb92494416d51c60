"""A route whose first target decays is healed by the loop, and one whose upstreams are well is left alone."""

from __future__ import annotations

import pytest
from routing import MAIN, SPARE, RouteWorld, Upstreams

from perdure.surface.governance.telling import markdown

pytestmark = pytest.mark.scenario

BEFORE = 84
"""Hours that are only recorded, so that there is a time to compare with."""


def _story(world: RouteWorld) -> str:
    return markdown(world.perdure.explain("support"))


def _healed(world: RouteWorld, until: int, every: int = 1) -> None:
    world.live(BEFORE, rounds=False)
    world.live(until, every=every)


def test_a_target_that_fails_is_asked_last(tmp_path):
    """Observed, diagnosed, repaired, verified, released step by step, watched, closed; and told."""
    world = RouteWorld(
        tmp_path, Upstreams(fails=lambda target, hour: 0.6 if target == MAIN.id and hour >= 90 else 0.003)
    )
    _healed(world, 112)
    [incident] = world.incidents()
    assert incident.kind == "upstream_failing"
    assert incident.closed_at is not None
    assert world.stages() == ["shadow", "canary", "all"]
    assert world.arms()["champion"][1] == [SPARE.id, MAIN.id], "it stays as a last hope"
    story = _story(world)
    assert "main/large failed" in story
    assert "passed route_evidence: errors: 0." in story
    assert "+ route_demote how=last" in story
    assert "released" in story


def test_a_target_that_gets_slow_is_asked_last_since_probes_know_the_other(tmp_path):
    slow = lambda target, hour: 1600.0 if target == MAIN.id and hour >= 90 else 220.0  # noqa: E731 - a world in one line
    world = RouteWorld(tmp_path, Upstreams(first_ms=slow), seed=2)
    _healed(world, 112)
    [incident] = world.incidents()
    assert incident.kind == "upstream_slow"
    assert incident.closed_at is not None
    assert world.arms()["champion"][1][0] == SPARE.id
    assert "main/large is slower" in _story(world)


def test_a_model_that_changed_silently_is_left_out(tmp_path):
    """No error, no slow call: only the answers to its probes tell."""
    world = RouteWorld(
        tmp_path, Upstreams(changed=lambda target, hour: target == MAIN.id and hour >= 90), seed=3, per_hour=12
    )
    _healed(world, 129, every=3)
    [incident] = world.incidents()
    assert incident.kind == "silent_change"
    assert world.arms()["champion"][1] == [SPARE.id]
    assert incident.closed_at is not None
    story = _story(world)
    assert "main/large answers the probes otherwise than before" in story
    assert "passed route_answers" in story


def test_quiet_traffic_opens_no_incident(tmp_path):
    """At most one window in twenty may look broken; none of these does, and nothing is released."""
    world = RouteWorld(tmp_path, Upstreams(), seed=4, per_hour=12)
    world.live(BEFORE, rounds=False)
    reports = world.live(BEFORE + 60, every=3)
    assert len(reports) == 20
    n_broken = sum(len(report.broken) > 0 for report in reports)
    assert n_broken <= len(reports) / 20
    assert world.incidents() == []
    assert world.champion() == world.first


def test_where_every_target_fails_alike_nothing_is_released(tmp_path):
    """No other order would help, and the gates would say so: a person is asked."""
    world = RouteWorld(tmp_path, Upstreams(fails=lambda _target, hour: 0.5 if hour >= 87 else 0.003), seed=5)
    world.live(BEFORE, rounds=False)
    reports = world.live(93, every=3)
    [incident] = world.incidents()
    assert incident.closed_at is None
    assert world.champion() == world.first
    assert world.stages() == []
    assert {each.decision.choice for report in reports for each in report.decided} == {"ask"}


def test_a_dearer_price_is_told_from_longer_calls(tmp_path):
    """The same tokens at twice the price: a cheaper target is asked for, and there is none."""
    world = RouteWorld(
        tmp_path, Upstreams(price=lambda target, hour: 40.0 if target == MAIN.id and hour >= 87 else 1.0), seed=6
    )
    world.live(BEFORE, rounds=False)
    world.live(93, every=3)
    [incident] = world.incidents()
    assert incident.kind == "price_change"
    assert "upstream" not in {each["name"] for each in incident.facts["causes"]}
    assert world.champion() == world.first, "the price list knows of no difference, so nothing is proven"
