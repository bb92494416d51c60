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


def asked(gateway, secret, n):
    headers = {"authorization": f"Bearer {secret}"}
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
