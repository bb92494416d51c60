"""Searches count in the limits of a team and of its keys, beside calls."""

from __future__ import annotations

import json

import pytest
from gateway_upstream import Said, recorded
from retrieval_world import search

from perdure import Limits, Route, Team


@pytest.fixture
def limited(world, store):
    """A server with a team that may make three requests a minute, two of them by one key, and one without limits."""
    world.teams = {"team": Team("team"), "poor": Team("poor", limits=Limits(requests=3), key_limits=Limits(requests=2))}
    world.declare(Route("main", [world.target("m-1")]))
    with world.serving() as running:
        yield running


AT = {"perdure-now": "2013-03-01T06:00:00Z"}
"""Of a replay: no minute ends in the middle of a test."""


def asked(gateway, secret, n, **headers):
    headers |= {"authorization": f"Bearer {secret}"}
    return [search(gateway, "refunds", mode="lexical", headers=headers) for _ in range(n)]


def known(gateway, secret):
    """Headers of a key, as soon as the server knows it."""
    headers = {"authorization": f"Bearer {secret}"}
    gateway.wait_for(lambda: gateway.ask("/v1/indexes", None, method="GET", **headers).status == 200)
    return headers


def test_who_makes_too_many_is_told_when_there_is_room(limited, world):
    """By key and by team; whoever has no limits goes on."""
    one, other = world.key("poor"), world.key("poor")
    known(limited, other)
    found = asked(limited, one, 3)
    assert [each.status for each in found] == [200, 200, 429]
    assert found[2].json["error"]["code"] == "limit_reached"
    assert int(found[2].headers["retry-after"]) >= 1
    assert [each.status for each in asked(limited, other, 2)] == [200, 429]
    assert {each.status for each in asked(limited, limited.secret, 8)} == {200}


def test_a_search_and_a_call_share_a_limit_and_an_answer_counts_once(limited, world, upstreams):
    secret = world.key("poor")
    headers = known(limited, secret)
    upstreams.then(recorded(Said(words=("Refunds are paid within 30 days of the return [1].",))))
    body = json.dumps({"question": "When are refunds paid?", "route": "main"}).encode()
    assert limited.ask("/v1/indexes/handbook/answer", body, **headers).status == 200
    assert [each.status for each in asked(limited, secret, 2)] == [200, 429]


def test_a_search_that_fails_frees_its_place(world, store):
    """As many may be under way as the team says, and none stays behind."""
    world.teams = {"team": Team("team", limits=Limits(concurrency=1))}
    world.declare(Route("main", [world.target("m-1")]))
    with world.serving() as running:
        told = [search(running, "refunds", where={"nothing": 1}).status for _ in range(3)]
        assert [*told, search(running, "refunds").status] == [400, 400, 400, 200]


def test_without_a_route_the_same_limits_hold(world, store):
    """By key and team; as many under way as the team says; and what was used is shared with whoever counts there next."""
    world.teams = {
        "team": Team("team", limits=Limits(concurrency=1)),
        "poor": Team("poor", limits=Limits(requests=3), key_limits=Limits(requests=2)),
    }
    one, other = world.key("poor"), world.key("poor")
    with world.serving(replay=True) as running:
        known(running, one)
        found = asked(running, one, 3, **AT)
        assert [each.status for each in found] == [200, 200, 429]
        assert (found[2].json["error"]["code"], int(found[2].headers["retry-after"]) >= 1) == ("limit_reached", True)
        assert [search(running, "refunds", where={"nothing": 1}, headers=AT).status for _ in range(3)] == [400] * 3
        assert search(running, "refunds", headers=AT).status == 200
    with world.serving(replay=True) as again:
        known(again, other)
        assert [each.status for each in asked(again, other, 2, **AT)] == [200, 429]


def test_two_servers_without_a_route_share_a_limit(world, store):
    """However their searches fall, they never let through more than the team may make."""
    world.teams = {"team": Team("team"), "poor": Team("poor", limits=Limits(requests=5))}
    secret = world.key("poor")
    with world.serving(replay=True) as first, world.serving(replay=True) as second:
        known(first, secret)
        known(second, secret)
        statuses = [asked(each, secret, 1, **AT)[0].status for _ in range(6) for each in (first, second)]
    assert statuses.count(200) == 5
    assert set(statuses) == {200, 429}


def test_in_a_replay_a_limit_follows_the_time_of_its_requests(world, store):
    """Minutes of the replay, not of the machine."""
    world.teams = {"team": Team("team", limits=Limits(requests=2))}
    with world.serving(replay=True) as running:
        at = [f"2013-03-01T06:{minute:02}:00Z" for minute in (0, 0, 0, 2, 2)]
        found = [search(running, "refunds", mode="lexical", headers={"perdure-now": each}).status for each in at]
    assert found == [200, 200, 429, 200, 200]
