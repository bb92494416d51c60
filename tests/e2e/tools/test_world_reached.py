"""What a run reaches in process: models through the gateway by its caller's key, indexes by its caller's groups, and nothing past them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from gateway_upstream import Said, recorded, status
from gateway_world import World
from tools_world import app_up, desk_run, until

sys.path.insert(0, str(Path(__file__).parent.parent / "retrieval"))

from retrieval_world import RetrievalWorld, write

from perdure import Route, Team
from perdure.core.errors import BadRequest, NotFound, NotReady, PerdureError, Refused, Unauthorized, UpstreamError
from perdure.serve.gateway.keys import digest_of
from perdure.serve.live import Live
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.protocols import ChatSaid
from perdure.serve.server import make_app
from perdure.serve.tools.reaching import Reaching

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RUN = desk_run(trace=TRACE)
CHAT = {"model": "main", "messages": [{"role": "user", "content": "When do trains leave?"}]}


@dataclass
class Reached:
    """A world's way in, with the caller's key."""

    reaching: Reaching
    caller: Caller
    live: Live


def reached(world: World, work: Callable[[Reached], Awaitable[Any]], secret: str = "") -> Any:
    """What some work within the server's process gives; `secret`: whose key acts."""
    secret = secret or world.key()

    async def run() -> Any:
        app = make_app(world.parts())
        async with app_up(app):
            live = app._gateway._parts.live
            await until(lambda: live.serving is not None and digest_of(secret.encode()) in live.keys)
            key = live.keys[digest_of(secret.encode())]
            searching = None if app._retrieval is None else app._retrieval._parts.searching
            reaching = Reaching(
                live, gateway=app._gateway, searching=searching, indexes=tuple(getattr(world, "indexes", ()))
            )
            return await work(Reached(reaching, Caller(key.id, world.teams.get(key.team), key), live))

    return asyncio.run(run())


@pytest.fixture
def world(tmp_path, upstreams) -> World:
    """A gateway with one route."""
    made = World(tmp_path, upstreams.url)
    made.declare(Route("main", [made.target("m-1")]))
    return made


def test_a_chat_says_what_it_cost_and_who_answered(world, upstreams):
    """The answer, its usage and price, the versions, and a record that names the run and the caller's key."""
    said: ChatSaid = reached(world, lambda here: here.reaching.chat(CHAT, here.caller, RUN, {"step": "3"}))
    (call,) = world.calls()
    assert said.message["content"]
    assert (said.finish, said.model) == ("stop", "up/m-1")
    assert (said.usage.n_input, said.usage.n_output) == (11, 7)
    assert said.cost_pusd == call.cost_pusd > 0
    assert (said.call_id, said.versions) == (call.id, {"route:main": call.version})
    assert call.tags == {"run": "run_1", "agent": "desk", "step": "3", "traceparent": TRACE}
    assert call.team == "team"


def test_a_stream_gives_pieces_and_then_the_whole(world, upstreams):
    """Text as it comes, tool calls put together, usage and price as of a whole answer."""
    upstreams.of_model("m-1", recorded(Said(tools=(("look", {"parcel": "4471"}), ("look", {"parcel": "8"})))))

    async def streamed(here: Reached) -> list[Any]:
        return [each async for each in here.reaching.stream(CHAT, here.caller, RUN, {})]

    *pieces, whole = reached(world, streamed)
    assert "".join(pieces) == (whole.message["content"] or "")
    assert [each["function"] for each in whole.message["tool_calls"]] == [
        {"name": "look", "arguments": '{"parcel": "4471"}'},
        {"name": "look", "arguments": '{"parcel": "8"}'},
    ]
    assert whole.finish == "tool_calls"
    assert whole.cost_pusd > 0


def test_letting_go_of_a_stream_hangs_up(world, upstreams):
    """Who stops listening stops paying: the upstream sees the cancel, and the call is on record as cancelled."""
    upstreams.of_model("m-1", recorded(Said(words=tuple(f"word{n} " for n in range(500))), gap_s=0.02))

    async def first(here: Reached) -> str:
        stream = here.reaching.stream(CHAT, here.caller, RUN, {})
        piece = await anext(stream)
        await stream.aclose()
        return str(piece)

    assert reached(world, first) == "word0 "
    assert [each.outcome for each in world.calls()] == ["cancelled"]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    ("body", "error"),
    [({"model": "nope"}, NotFound), ({"messages": 7}, BadRequest), ({"model": "prompt:none"}, NotFound)],
)
def test_what_the_gateway_says_no_to_is_raised_as_its_leaf(world, body, error, streams):
    """An error's code comes back as the error."""
    with pytest.raises(error):
        reached(world, lambda here: _asked(here, {**CHAT, **body}, streams=streams))


@pytest.mark.parametrize("streams", [True, False])
def test_an_upstream_that_fails_is_an_error_of_the_upstream(world, upstreams, streams):
    """With no target left the error is temporary."""
    upstreams.of_model("m-1", status(500, b"{}"))
    with pytest.raises(UpstreamError):
        reached(world, lambda here: _asked(here, CHAT, streams=streams))


def test_a_revoked_key_acts_no_more(world):
    """A run of yesterday has no more rights than its key has today."""
    secret = world.key()

    async def revoked(here: Reached) -> None:
        world.revoke(secret)
        await until(lambda: digest_of(secret.encode()) not in here.live.keys)
        await here.reaching.chat(CHAT, here.caller, RUN, {})

    with pytest.raises(Unauthorized):
        reached(world, revoked, secret)


def test_a_key_of_another_team_cannot_be_made_up(world):
    """What acts is the record that the ledger knows: one that was changed on the way has no other rights."""

    async def made_up(here: Reached) -> None:
        record = replace(here.caller.record, digest="0" * 64)
        await here.reaching.chat(CHAT, Caller("x", None, record), RUN, {})

    with pytest.raises(Unauthorized):
        reached(world, made_up)


def test_nobody_without_a_key(world):
    """A caller that is not told apart cannot ask models."""
    with pytest.raises(Refused, match="key"):
        reached(world, lambda here: here.reaching.chat(CHAT, Caller("", None), RUN, {}))


@pytest.mark.parametrize("name", ["perdure.key", "perdure-key", "perdure.told", "x-perdure-key"])
def test_no_header_acts_for_a_key(world, name):
    """Over HTTP only a secret tells who calls, whatever else is sent."""
    with world.serving() as gateway:
        key = next(iter(world.calls()), None)
        headers = {"authorization": "", name: gateway.secret.split("-")[2]}
        answer = gateway.chat(headers=headers)
        fed = gateway.ask(
            "/v1/feedback", b'{"call_id": "c1", "name": "helpful", "value": 1}', authorization="", **{name: "key_1"}
        )
    assert key is None
    assert (answer.status, fed.status) == (401, 401)


def test_a_search_finds_what_the_caller_may(tmp_path, upstreams):
    """The same question finds less by a key of a team with fewer groups, and an index that it may not ask is not there."""
    world = RetrievalWorld(tmp_path, upstreams.url)
    world.declare(Route("main", [world.target("m-1")]))
    world.teams = {
        "team": Team("team", reads=("staff",)), "guests": Team("guests"), "others": Team("others", routes=("main",)),
    }  # fmt: skip
    _, store = world.index(fields={})
    write(store, {"open.md": "The shop opens at nine."})
    write(store, {"pay.md": "Pay day of the shop is Friday."}, readers=("staff",))
    keys = {team: world.key(team) for team in world.teams}

    async def found(here: Reached) -> Any:
        told = await here.reaching.search("handbook", "when does the shop pay", 5, "words", here.caller, RUN)
        assert told["age_s"] >= 0
        return sorted(each["document"] for each in told["hits"])

    assert reached(world, found, keys["team"]) == ["open.md", "pay.md"]
    assert reached(world, found, keys["guests"]) == ["open.md"]
    with pytest.raises(NotFound):
        reached(world, found, keys["others"])
    store.close()


def test_what_is_not_served_is_told():
    """A process without a gateway, indexes, models or features says so."""
    bare, caller = Reaching(Live()), Caller("", None)

    async def all_of_it() -> list[type[PerdureError]]:
        asked: list[Callable[[], Awaitable[Any]]] = [
            lambda: bare.chat(CHAT, caller, RUN, {}),
            lambda: bare.search("handbook", "q", 1, "hybrid", caller, RUN),
            lambda: bare.predict("air_time", [{}], True, RUN),
            lambda: bare.features("weather", ["JFK"], RUN),
            lambda: bare.child("agent", "helper", {}, RUN, "1.0"),
        ]
        found: list[type[PerdureError]] = []
        for each in asked:
            with pytest.raises(PerdureError) as raised:
                await each()
            found.append(raised.type)
        return found

    assert asyncio.run(all_of_it()) == [NotReady, NotReady, NotFound, NotFound, NotReady]


async def _asked(here: Reached, body: dict[str, Any], *, streams: bool) -> Any:
    if not streams:
        return await here.reaching.chat(body, here.caller, RUN, {})
    return [each async for each in here.reaching.stream(body, here.caller, RUN, {})]
