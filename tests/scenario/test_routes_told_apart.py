"""Routes that are ill in ways that look alike: the right cause leads, and a remedy is released, taken back, or rightly not tried."""

from __future__ import annotations

import random

import pytest
from routing import MAIN, SPARE, Look, RouteWorld, Upstreams, usual_question

from perdure.assets.gateway_objectives import cost_usd, error_ratio, first_token_ms, new_intents
from perdure.assets.guard import Guard, Secrets
from perdure.core.units import days, hours
from perdure.loop.protocols import Watched
from perdure.loop.work.routes.symptoms import healthy_time

pytestmark = pytest.mark.scenario

BEFORE = 84
ILL = 87
GUARDS = [Guard("secrets", [Secrets()])]


def _lived(world: RouteWorld, until: float, every: int = 3) -> list[str]:
    """What was decided in each round."""
    world.live(BEFORE, rounds=False)
    reports = world.live(until, every=every)
    world.writer.close()
    return [each.decision.choice for report in reports for each in report.decided]


def test_a_target_that_takes_no_more_is_asked_last(tmp_path):
    """What fails by 429 is saturated and not broken; the spare has room."""
    world = RouteWorld(
        tmp_path,
        Upstreams(fails=lambda target, hour: 0.6 if target == MAIN.id and hour >= ILL else 0.003, status=429),
        seed=11,
    )
    _lived(world, 111)
    [incident] = world.incidents()

    assert incident.kind == "upstream_saturated"
    assert incident.facts["causes"][0]["evidence"]["target"] == MAIN.id
    assert incident.closed_at is not None
    assert world.arms()["champion"][1] == [SPARE.id, MAIN.id]
    assert [each["outcome"] for each in world.said("loop.outcome")] == ["released"]


def test_what_moves_the_load_to_a_target_that_cannot_carry_it_is_taken_back(tmp_path):
    """The spare answers a canary well, and takes no more once it is asked first: the watch says so, and the way back is taken."""
    world = RouteWorld(tmp_path, Upstreams(status=529), seed=12)
    ill = {MAIN.id: 0.3, SPARE.id: 0.95}
    world.upstreams.fails = lambda target, hour: ill[target] if hour >= ILL and target == world.first_asked else 0.003
    _lived(world, 102, every=1)
    outcomes = world.said("loop.outcome")

    assert world.incidents()[0].kind == "upstream_saturated"
    assert outcomes[0]["outcome"] == "rolled_back"
    assert "Worse in errors" in outcomes[0]["why"]
    assert world.stages()[:4] == ["shadow", "canary", "all", "rollback"]
    assert outcomes[0]["champion"] == world.first


def test_a_guard_that_is_slow_is_not_taken_for_a_slow_upstream(tmp_path):
    """Clients wait for the guard and not for a target: no order of targets helps, and a person is asked."""
    world = RouteWorld(
        tmp_path,
        Upstreams(),
        seed=13,
        declared={"guards": GUARDS},
        looks=lambda hour: Look(took_ms=1500.0 if hour >= ILL else 2.0),
    )
    chosen = _lived(world, 93)
    [incident] = world.incidents()
    lead = incident.facts["causes"][0]

    assert incident.kind == "guard_trouble"
    assert lead["evidence"]["guard"] == "secrets"
    assert "secrets takes 8" in lead["text"]
    assert {each["name"] for each in incident.facts["causes"]} == {"guard_trouble"}
    assert set(chosen) == {"ask"}
    assert world.champion() == world.first


def test_a_guard_that_fails_is_not_taken_for_failing_upstreams(tmp_path):
    """Every try is answered, and still calls fail: their answers could not be judged."""
    world = RouteWorld(
        tmp_path,
        Upstreams(),
        seed=14,
        declared={"guards": GUARDS, "healthy": [error_ratio(over=hours(3)) <= 0.05]},
        looks=lambda hour: Look(fails=0.4 if hour >= ILL else 0.0, side="output"),
    )
    chosen = _lived(world, 93)
    [incident] = world.incidents()

    assert incident.kind == "guard_trouble"
    assert "secrets failed in 37% of 120 looks" in incident.facts["causes"][0]["text"]
    assert set(chosen) == {"ask"}
    assert world.champion() == world.first


LONGER = {"healthy": [cost_usd(over=hours(3)) <= 0.0006, error_ratio(over=hours(3)) <= 0.05]}
"""A call of the usual length costs half of that."""


def _longer(target: str, hour: float) -> float:
    return 6.0 if hour >= ILL else 1.0


def test_calls_that_grow_longer_get_the_limit_that_they_never_needed(tmp_path):
    """The route declares a limit, and nearly all answers of before needed less than a tenth of it."""
    world = RouteWorld(
        tmp_path, Upstreams(longer=_longer), seed=15, declared={**LONGER, "params": {"max_tokens": 1000}}
    )
    _lived(world, 108)
    [incident] = world.incidents()
    cap = next(each for each in world.said("loop.decide") if each["decision"]["choice"] == "repair")

    assert incident.kind == "longer_calls"
    assert [each["outcome"] for each in world.said("loop.outcome")] == ["released"]
    assert [each["remedy"] for each in cap["decision"]["actions"]] == ["route_cap"]
    assert 50 <= world.limit <= 60, "what 99 of 100 answers of before needed"
    assert incident.closed_at is not None


def test_without_a_declared_limit_a_person_is_asked_about_longer_calls(tmp_path):
    """The loop invents no limit: how long an answer may be is the declarer's to say."""
    world = RouteWorld(tmp_path, Upstreams(longer=_longer), seed=16, declared=LONGER, per_hour=20)
    chosen = _lived(world, 93)

    assert world.incidents()[0].kind == "longer_calls"
    assert set(chosen) == {"ask"}
    assert world.champion() == world.first


def test_what_has_been_ill_for_long_is_not_held_against_itself(tmp_path):
    """The time before is that before the incident, however long nobody mends it."""
    world = RouteWorld(tmp_path, Upstreams(longer=_longer), seed=18, declared=LONGER, per_hour=20)
    _lived(world, 93)
    [incident] = world.incidents()
    asset = Watched("support", "route", world.route.healthy, world.route.policy, world.route)
    start, end = healthy_time(world.perdure.place, asset, hours(3), world.at(200))

    assert end == incident.opened_at - hours(3)
    assert end - start == days(1)


def cooking(rng: random.Random, hour: float) -> str:
    """From an hour on most people ask for recipes."""
    if hour < ILL or rng.random() < 0.4:
        return usual_question(rng, hour)
    dish = rng.choice(["lentil soup", "plum cake", "rye bread", "fried rice", "apple pie", "bean stew"])
    return f"Please suggest {rng.choice(['a quick', 'a cheap', 'an old', 'a vegan'])} recipe to cook {dish} for {rng.randrange(2, 12)} guests."


def test_people_who_ask_for_something_else_are_no_fault_of_the_route(tmp_path):
    """A person is told what is asked now, with cases for an evaluation; no version is made."""
    world = RouteWorld(
        tmp_path,
        Upstreams(),
        seed=17,
        per_hour=20,
        asks=cooking,
        declared={"healthy": [new_intents(over=hours(12)) <= 0.2, first_token_ms(quantile=0.9, over=hours(3)) <= 900]},
    )
    chosen = _lived(world, 99)
    [incident] = world.incidents()
    lead = incident.facts["causes"][0]

    assert incident.kind == "traffic_moved"
    assert "recipe" in lead["evidence"]["largest"]
    assert lead["evidence"]["proposed_cases"]
    assert set(chosen) == {"ask"}
    assert world.champion() == world.first
