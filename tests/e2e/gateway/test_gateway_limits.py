"""What counts against limits and budgets over real calls: blocked and refused ones too, at what is really sent."""

from __future__ import annotations

import pytest
from gateway_upstream import cut

from perdure import Cache, Guard, Route, Team
from perdure.assets.guard import Names
from perdure.assets.team import Budget, Limits
from perdure.core.clock import machine_us
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.serve.gateway.allowance_levels import levels_of
from perdure.stores.counters.sqlite import SqliteCounters


def team_of(**members):
    return Team("team", limits=Limits(requests=4), **members)


def test_a_caller_that_tries_out_guards_is_told_to_slow_down_like_any_other(world, upstreams):
    """Blocked calls take a request each, and no money."""
    world.teams = {"team": team_of(budgets=[Budget(1, per="total")])}
    world.declare(Route("main", [world.target()], guards=[Guard("names", [Names(("Globex",))], mode="block")]))
    with world.serving() as gateway:
        answers = [gateway.chat(f"Globex {turn}") for turn in range(6)]
    store = SqliteCounters(world.root / "counters.db")
    (spent,) = [each for each in levels_of(store, world.teams["team"], machine_us()) if each.limit.kind == "usd"]
    assert [answer.status for answer in answers] == [400] * 4 + [429] * 2
    assert answers[-1].error["code"] == "limit_reached"
    assert (spent.used, spent.held) == (0, 0)
    assert upstreams.seen == []
    store.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model": "nothing", "messages": []}', 404),
        (b'{"messages"', 400),
        (b'{"model": "main", "messages": 3, "max_tokens": 5}', 400),
    ],
)
def test_a_caller_whose_requests_mean_nothing_is_told_to_slow_down(world, upstreams, body, status):
    world.teams = {"team": team_of()}
    world.declare(Route("main", [world.target("m-1", "anthropic")]))
    with world.serving() as gateway:
        answers = [gateway.ask("/v1/chat/completions", body) for _ in range(6)]
    assert [answer.status for answer in answers] == [status] * 4 + [429] * 2


def test_what_is_in_the_cache_is_given_though_the_budget_is_spent(world, upstreams):
    world.teams = {"team": Team("team", budgets=[Budget(0.005, per="total")])}
    world.declare(Route("main", [world.target()], cache=Cache(), guards=[Guard("names", [Names(("Globex",))])]))
    with world.serving() as gateway:
        first = gateway.chat(max_tokens=1_000)
        again = gateway.chat(max_tokens=1_000)
        other = gateway.chat("What else?", max_tokens=5_000)
    assert (first.status, again.headers["perdure-cache"], other.status) == (200, "exact", 429)


@pytest.mark.parametrize(
    ("dialect", "params", "own", "most"),
    [
        ("openai", {}, {}, 1_024),
        ("openai", {"max_tokens": 3_000, "n": 2}, {}, 6_000),
        ("openai", {"max_completion_tokens": 3_000}, {"max_tokens": 10}, 3_000),
        ("openai", {"max_tokens": 3_000, "n": 2}, {"max_tokens": 10, "n": 1}, 10),
        ("anthropic", {}, {}, 16_384),
        ("anthropic", {"max_tokens": 100}, {}, 100),
    ],
)
def test_what_a_route_adds_to_a_request_is_kept_aside_too(world, upstreams, dialect, params, own, most):
    """The output limit that is really sent decides: of the route, of the dialect, or the caller's own."""
    usd = 4 * most / 1e6
    world.teams = {"team": Team("team", budgets=[Budget(usd, per="total")])}
    world.declare(Route("main", [world.target("m-1", dialect)], params=params))
    with world.serving() as gateway:
        refused = gateway.chat(**own)
    assert refused.status == 429
    assert upstreams.seen == []
    world.teams = {"team": Team("team", budgets=[Budget(usd + 0.0001, per="total")])}
    with world.serving() as gateway:
        assert gateway.chat(**own).status == 200


@pytest.mark.parametrize(("room_usd", "status", "n_tries"), [(0.0002, 502, 1), (0.003, 200, 2)])
def test_a_further_try_is_made_where_the_budget_has_room_for_it_too(world, upstreams, room_usd, status, n_tries):
    """A try that broke was billed: what is kept aside for the next one comes on top of that."""
    text = "word " * 800
    most = (4 * 1_000 + tokens_of_bytes(len(text))) / 1e6
    world.teams = {"team": Team("team", budgets=[Budget(most + room_usd, per="total")])}
    world.declare(Route("main", [world.target("a-1"), world.target("b-1")], attempts=2))
    upstreams.of_model("a-1", cut(0))
    with world.serving() as gateway:
        answer = gateway.chat(text, max_tokens=1_000)
        (call,) = gateway.recorded(1)
    store = SqliteCounters(world.root / "counters.db")
    (spent,) = levels_of(store, world.teams["team"], machine_us())
    store.close()
    assert (answer.status, len(upstreams.seen), len(call.attempts)) == (status, n_tries, n_tries)
    assert (spent.used, spent.held) == (call.cost_pusd, 0)
