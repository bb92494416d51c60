"""Responses that continue what lies at the provider: one team's are never another's."""

from __future__ import annotations

import json

import pytest

from perdure import Route, Team

CONTINUED = [
    {"previous_response_id": "resp_1"},
    {"conversation": "conv_1"},
    {"conversation": {"id": "conv_1"}},
    {"input": [{"role": "user", "content": "Go on"}, {"type": "item_reference", "id": "msg_1"}]},
    {"input": [{"id": "msg_1"}]},
]
FRESH = [
    {"previous_response_id": None, "conversation": None},
    {"input": [{"role": "user", "content": "an item_reference"}]},
    {
        "input": [
            {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
        ]
    },
]


def respond(gateway, members):
    return gateway.ask("/v1/responses", json.dumps({"model": "main", "input": "Go on", **members}).encode())


@pytest.fixture(scope="module")
def shared(tmp_path_factory, every_upstream):
    """A gateway of two teams."""
    from gateway_world import World

    world = World(tmp_path_factory.mktemp("shared"), every_upstream.url)
    world.teams["other"] = Team("other")
    world.declare(Route("main", [world.target()]), Route("open", [world.target()], continues=True))
    with world.serving() as gateway:
        yield gateway


@pytest.mark.parametrize("members", CONTINUED)
def test_what_another_team_may_have_begun_is_not_continued(shared, upstreams, members):
    answer = respond(shared, members)
    assert answer.status == 403
    assert "continues" in answer.error["message"]
    assert "_1" not in answer.error["message"]
    assert not upstreams.seen
    assert respond(shared, {**members, "model": "open"}).status == 200, "the route says that they may"


@pytest.mark.parametrize("members", FRESH)
def test_what_begins_anew_passes(shared, upstreams, members):
    assert respond(shared, members).status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_nothing_is_fetched_or_deleted_by_its_id(shared, upstreams, method):
    assert shared.ask("/v1/responses/resp_1", None, method=method).status in (404, 405)
    assert not upstreams.seen


def test_a_gateway_of_one_team_continues_what_is_its_own(world, upstreams):
    world.declare(Route("main", [world.target()]))
    with world.serving() as gateway:
        assert respond(gateway, CONTINUED[0]).status == 200
    assert upstreams.seen[0].body["previous_response_id"] == "resp_1"


def test_a_definition_says_only_that_it_continues(world):
    one = Route("main", [world.target()])
    assert "continues" not in one.definition()
    assert Route("main", [world.target()], continues=True).definition()["continues"] is True
