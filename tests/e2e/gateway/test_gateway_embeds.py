"""A route that finds answers by meaning asks its embedder over HTTP, and gives an answer again when its source has not changed."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from gateway_world import PRICES, UPSTREAM_SECRET, Gateway, World

from perdure import Cache, Contract, Perdure, Project, Route, Source, Target, Team, Upstream, days, minutes
from perdure.core.clock import machine_now
from perdure.core.settings import CaptureSettings, ProjectSettings, ServeSettings, Settings


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
    cache = Cache(minutes(10), semantic=0.9, embedder="up/small", sample=0.0)
    route = Route("main", [Target(up, "m-1", prices=PRICES)], cache=cache, source="handbook")
    settings = Settings(
        ProjectSettings("p"), serve=ServeSettings(port=0, poll_ms=20), capture=CaptureSettings(min_free_bytes=0)
    )
    perdure = Perdure(tmp_path, settings, project=Project.of("p", route, source, Team("team")))
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
    assert [call.cache for call in found.recorded(2)] == ["miss", "semantic"]
    assert {seen.headers["authorization"] for seen in upstreams.seen} == {f"Bearer {UPSTREAM_SECRET}"}

    handbook.n = 21
    perdure.tick(at=handbook.began + days(1))

    def asked_afresh():
        found.chat("When do the trains leave then?")
        return found.world.calls()[-1].cache == "miss"

    assert found.wait_for(asked_afresh)
