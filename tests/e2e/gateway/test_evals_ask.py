"""Evals ask through the gateway, over HTTP or within the process: one behaviour, one suite of tests."""

from __future__ import annotations

import asyncio

import pytest
from gateway_upstream import Said, recorded, stalled, status
from gateway_world import version_of

from perdure import Cache, Route, Team, minutes
from perdure.assets.team import Limits
from perdure.core.errors import BadSettings, NotFound
from perdure.core.ports import Asked
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.surface.asking import AnswersByHttp
from perdure.surface.asking_here import AnswersHere, HereParts, versions_of

QUESTION = [{"role": "user", "content": "When do trains leave?"}]


class _Project:
    """What the look-up of versions needs of a project."""

    def __init__(self, world):
        self.routes, self.guards, self.prompts, self.judges = world.routes, {}, {}, {}
        self.suites, self.indexes, self.agents, self.graphs = {}, {}, {}, {}


def here(world):
    """The gateway of the world, in this process."""
    gateway = world.parts().gateway
    ledger = SqliteLedger(world.ledger_path, project="test")
    parts = HereParts(
        declared=gateway,
        open_writer=world.parts().open_writer,
        blobs=world.parts().blobs,
        versions=versions_of(_Project(world), ledger, "test"),
    )
    return AnswersHere(parts), ledger


@pytest.fixture(params=["http", "here"])
def asking(request, world):
    """Opens an answerer over the world's routes; asks all questions of a test in one loop."""

    def ask(*questions, answer_s=60.0):
        async def run(answerer):
            try:
                return [await answerer.ask(each) for each in questions]
            finally:
                await answerer.close()

        if request.param == "here":
            answerer, ledger = here(world)
            try:
                return asyncio.run(run(answerer))
            finally:
                ledger.close()
        world.teams.setdefault("evals", Team("evals"))
        secret = world.key("evals")  # issued before the server starts: it knows all such keys when it is ready
        with world.serving() as gateway:
            return asyncio.run(run(AnswersByHttp(gateway.url, secret, world.routes, answer_s=answer_s)))

    return ask


def evals_of(world):
    """The calls that evals made of routes that are there."""
    return [call for call in world.calls() if call.arm == "eval"]


def test_an_answer_comes_with_what_it_cost_and_who_gave_it(world, asking):
    """Its text, tokens, price, target and the id of its record."""
    world.declare(Route("main", [world.target()]))
    [found] = asking(Asked("main", QUESTION))
    assert found.text == "Trains leave at noon."
    assert not found.error
    assert (found.usage.n_input, found.usage.n_output, found.cost_pusd) == (11, 7, 39_000_000)
    assert (found.model, found.reported) == ("up/m-1", "m-1")
    assert found.finish == "stop"
    assert found.latency_us > 0
    assert found.call_id in {call.id for call in evals_of(world)}


def test_calls_of_evals_are_on_record_under_an_arm_of_their_own_with_tags(world, asking, upstreams):
    """And under their team: no signal of a route counts them as its clients' traffic. No provider gets to see the tags."""
    world.declare(Route("main", [world.target()]))
    asking(Asked("main", QUESTION, tags={"suite": "refunds", "case": "c1", "of": "Grüße"}))
    assert "metadata" not in upstreams.seen[-1].body
    assert not any("refunds" in str(each) for each in upstreams.seen[-1].headers.items())
    [call] = evals_of(world)
    assert (call.team, call.arm, call.route) == ("evals", "eval", "main")
    assert call.tags == {"suite": "refunds", "case": "c1", "of": "Grüße"}


def test_each_question_is_asked_anew_though_the_route_keeps_answers(world, asking, upstreams):
    """A repeat is another draw."""
    world.declare(Route("main", [world.target()], cache=Cache(minutes(10))))
    asking(Asked("main", QUESTION, {"temperature": 0}), Asked("main", QUESTION, {"temperature": 0}))
    assert len(upstreams.seen) == 2


def test_params_reach_the_model(world, asking, upstreams):
    """As a client's would."""
    world.declare(Route("main", [world.target()]))
    asking(Asked("main", QUESTION, {"temperature": 0.25, "max_tokens": 9}))
    assert (upstreams.seen[-1].body["temperature"], upstreams.seen[-1].body["max_tokens"]) == (0.25, 9)


def test_a_failure_is_an_answer_with_the_error_s_code(world, asking, upstreams):
    """One case never ends a run; what follows is asked all the same."""
    world.declare(Route("main", [world.target()], attempts=1))
    world.declare(Route("sick", [world.target("m-2")], attempts=1))
    upstreams.of_model("m-2", status(500))
    first, second = asking(Asked("sick", QUESTION), Asked("main", QUESTION))
    assert first.error == "upstream"
    assert first.text == ""
    assert first.cost_pusd == 0
    assert second.text == "Trains leave at noon."


def test_too_much_at_once_says_how_long_to_wait(world, asking):
    """By Retry-After, for whoever sets the pace."""
    world.teams["evals"] = Team("evals", limits=Limits(requests=1))
    world.declare(Route("main", [world.target()]))
    found = asking(*[Asked("main", QUESTION)] * 3)
    assert found[-1].error == "limit_reached"
    assert found[-1].retry_after_s > 0.0


def test_tool_calls_come_as_they_are(world, asking, upstreams):
    """For scorers of trajectories."""
    world.declare(Route("main", [world.target()]))
    upstreams.of_model("m-1", recorded(Said(words=(), tools=(("find", {"x": 1}),))))
    [found] = asking(Asked("main", QUESTION))
    assert found.message["tool_calls"][0]["function"]["name"] == "find"


def test_cancelling_a_question_cancels_the_call(world, upstreams):
    """Nothing is waited for that nobody wants any more."""
    world.declare(Route("main", [world.target()]))
    upstreams.usual = stalled()
    answerer, ledger = here(world)

    async def run():
        task = asyncio.create_task(answerer.ask(Asked("main", QUESTION)))
        while not (upstreams.seen or task.done()):  # noqa: ASYNC110 - the upstream lives in a thread of its own
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(upstreams.seen[-1].gone.wait, 60)
        await answerer.close()

    asyncio.run(run())
    ledger.close()
    assert upstreams.seen[-1].gone.is_set()
    assert [call.outcome for call in world.calls()] == ["cancelled"]


def test_a_version_that_is_not_pointed_to_can_be_asked_in_this_process(world, upstreams):
    """A swap of the model is proven before it is released."""
    [first] = world.declare(Route("main", [world.target("m-1")]))
    other = version_of("main", "route", Route("main", [world.target("m-2")]).definition())
    world.register(other)
    answerer, ledger = here(world)

    async def run():
        try:
            return [(await answerer.ask(Asked(name, QUESTION))).model for name in ("main", other.id, first)]
        finally:
            await answerer.close()

    assert asyncio.run(run()) == ["up/m-1", "up/m-2", "up/m-1"]
    assert [call.version for call in world.calls()] == [first, other.id, first]
    assert {call.route for call in world.calls()} == {"main"}
    ledger.close()


def test_what_is_not_released_yet_answers_as_it_is_declared(world):
    """A prompt is tried out before the first `apply`."""
    world.routes["main"] = Route("main", [world.target()])
    answerer, ledger = here(world)

    async def run():
        try:
            return (await answerer.ask(Asked("main", QUESTION))).text
        finally:
            await answerer.close()

    assert asyncio.run(run()) == "Trains leave at noon."
    ledger.close()


def test_a_route_that_is_not_there_is_told_with_the_nearest(world):
    """In this process it is a mistake of the project, not an answer."""
    world.declare(Route("main", [world.target()]))
    answerer, ledger = here(world)
    with pytest.raises(NotFound, match="main"):
        asyncio.run(answerer.ask(Asked("mian", QUESTION)))
    ledger.close()


def test_an_address_that_is_none_is_refused():
    """Before anything is asked."""
    with pytest.raises(BadSettings, match=r"evals\.url"):
        AnswersByHttp("localhost:8400", "s", {})


def test_nobody_at_the_address_is_a_failed_answer():
    """With the code of an upstream that is away."""

    async def run():
        answerer = AnswersByHttp("http://127.0.0.1:9", "s", {}, answer_s=2.0)
        try:
            return await answerer.ask(Asked("main", QUESTION))
        finally:
            await answerer.close()

    assert asyncio.run(run()).error.startswith("upstream")
