"""A route that finds answers by meaning asks its embedder over HTTP, and gives an answer again when its source has not changed."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from gateway_world import PRICES, UPSTREAM_SECRET, Gateway, World

from perdure import (
    Budget,
    Cache,
    Contract,
    Limits,
    Perdure,
    Project,
    Route,
    Source,
    Target,
    Team,
    UnitPrices,
    Upstream,
    days,
    minutes,
)
from perdure.core.clock import machine_now
from perdure.core.settings import CaptureSettings, ProjectSettings, ServeSettings, Settings
from perdure.core.usage import PICO


class Passage(Contract):
    passage_id: str
    at: datetime


class Handbook:
    """A source that the test writes on."""

    def __init__(self):
        self.began = machine_now()
        self.n = 1

    def read(self):
        at = [self.began - days(20) + days(n) for n in range(self.n)]
        return pl.DataFrame({"passage_id": [f"p{n}" for n in range(self.n)], "at": at})


@pytest.fixture
def handbook():
    return Handbook()


@pytest.fixture
def gateway(tmp_path, upstreams, monkeypatch, handbook):
    """A server of a whole project, with the loop beside it."""
    monkeypatch.setenv("UP_KEY", UPSTREAM_SECRET)
    up = Upstream("up", upstreams.url + "/v1", key_env="UP_KEY")
    source = Source("handbook", Passage, handbook.read, event_at="at", key=("passage_id",), every=days(1))
    cache = Cache(minutes(10), semantic=0.9, embedder="vectors", sample=0.0)
    route = Route("main", [Target(up, "m-1", prices=PRICES)], cache=cache, source="handbook")
    vectors = Route("vectors", [Target(up, "small", prices=UnitPrices(input=2, output=0))])
    team = Team("team", budgets=[Budget(1, per="total")], limits=Limits(tokens=100_000))
    settings = Settings(
        ProjectSettings("p"), serve=ServeSettings(port=0, poll_ms=20), capture=CaptureSettings(min_free_bytes=0)
    )
    perdure = Perdure(tmp_path, settings, project=Project.of("p", route, vectors, source, team))
    perdure.apply()
    perdure.tick(at=handbook.began)
    secret = perdure.create_key("team").secret
    server = perdure.server()
    found = Gateway(World(tmp_path / ".perdure", upstreams.url), server.start(), secret)
    found.wait_ready()
    yield perdure, found
    server.stop()


def test_a_question_that_means_the_same_is_answered_again_until_its_source_changes(gateway, handbook, upstreams):
    perdure, found = gateway
    assert found.chat("When do trains leave?").status == 200
    again = found.chat("At what time do the trains go?")
    assert (again.status, again.text) == (200, "Trains leave at noon.")
    calls = found.recorded(4)
    assert [call.cache for call in calls if call.endpoint == "chat"] == ["miss", "semantic"]
    assert [call.tags["cache_for"] for call in calls if call.endpoint == "embeddings"] == [
        call.id for call in calls if call.endpoint == "chat"
    ]
    assert {seen.headers["authorization"] for seen in upstreams.seen} == {f"Bearer {UPSTREAM_SECRET}"}

    handbook.n = 21
    perdure.tick(at=handbook.began + days(1))

    def asked_afresh():
        found.chat("When do the trains leave then?")
        return [call.cache for call in found.world.calls() if call.endpoint == "chat"][-1] == "miss"

    assert found.wait_for(asked_afresh)


def test_what_an_embedder_was_asked_is_on_the_bill_of_who_asked(gateway):
    """Its own call on record, with what it took; and the team's budget has the whole of both."""
    perdure, found = gateway
    found.chat("When do trains leave?")
    found.chat("At what time do the trains go?")
    calls = found.recorded(4)
    asked = [call for call in calls if call.endpoint == "embeddings"]
    assert [(call.route, call.team, call.outcome, call.status) for call in asked] == [
        ("up/small", "team", "answered", 200)
    ] * 2
    assert all(call.usage.n_input > 0 and call.cost_pusd == 2_000_000 * call.usage.n_input for call in asked)

    def counted():
        [budget] = [row for row in perdure.budgets().rows if row.what == "usd"]
        return budget.used

    whole = sum(call.cost_pusd for call in calls) / PICO
    assert found.wait_for(lambda: used if (used := counted()) >= whole else None) == pytest.approx(whole)
    by_route = {row.of["route"]: row for row in perdure.spend(["route"]).rows}
    assert by_route["up/small"].cost_usd == pytest.approx(sum(call.cost_pusd for call in asked) / PICO)
