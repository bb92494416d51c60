"""A feed that stopped: the server answers by the view's fallback, and says so to callers and in its metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest
from scoring_world import (
    SERVED_AT,
    AirTime,
    Client,
    World,
    landings,
    made_version,
    shape,
    trip,
    trips,
    weather,
    weather_now,
)

from perdure import days, feature_view, hours, last_good
from perdure.assets.project import Project
from perdure.assets.version import Pointer
from perdure.core.clock import iso, machine_us, to_us
from perdure.core.settings import ProjectSettings, Settings, StoreSettings
from perdure.stores.capture.events import Predictions
from perdure.surface.sdk import Perdure
from perdure.surface.summary import gaps

HOUR_US = 3_600_000_000


def _weather(name: str, fallback):
    def view(w):
        return {"wind_mph": w.wind_mph, "low_visibility": w.visibility_mi < 3.0}

    return feature_view(key="origin", source=weather, ttl=hours(3), name=name, fallback=fallback)(view)


weather_kept = _weather("weather_kept", last_good(within=days(3)))
weather_usual = _weather("weather_usual", {"wind_mph": 8.0})


class Kept(AirTime):
    features = [weather_kept, shape]


class Usual(AirTime):
    features = [weather_usual, shape]


MODELS = {"air_time": AirTime, "kept": Kept, "usual": Usual}
VIEWS = {"air_time": weather_now, "kept": weather_kept, "usual": weather_usual}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[World, Client]]:
    """Three models on one feed, of which JFK's last row is 20 hours old; LGA never had one."""
    world = World(tmp_path_factory.mktemp("fallbacks"))
    for name, model in MODELS.items():
        [version] = world.found(0, model=model)
        world.point(Pointer(name, "champion", version.id))
        world.put_weather("JFK", 12.5, at_us=machine_us() - 19 * HOUR_US, view=VIEWS[name])
    with world.serving(models=MODELS) as client:
        yield world, client


def value_of(model: type[AirTime], wind_mph: float, low_visibility: float, row) -> float:
    x = [wind_mph, low_visibility, row["distance_mi"], SERVED_AT.hour, float(["JFK", "LGA"].index(row["origin"]))]
    return float(made_version(0, model).predictor().predict(np.array([x], dtype=np.float32))[0])


def test_the_last_good_row_answers_and_the_answer_says_so(served):
    found = served[1].predict(trip(), model="kept").first
    assert found["status"] == {"weather_kept": "fallback_last_good"}
    assert found["value"] == value_of(Kept, 12.5, 1.0, trip())


@pytest.mark.parametrize("origin", ["JFK", "LGA"])
def test_the_declared_default_answers_and_the_answer_says_so(served, origin):
    row = trip(origin=origin)
    found = served[1].predict(row, model="usual").first
    assert found["status"] == {"weather_usual": "fallback_default"}
    assert found["value"] == value_of(Usual, 8.0, np.nan, row)


def test_a_view_without_a_fallback_is_missing_as_ever(served):
    assert served[1].predict(trip()).first["status"] == {"weather_now": "expired"}
    assert served[1].predict(trip(origin="LGA"), model="kept").first["status"] == {"weather_kept": "missing"}


def test_the_capture_holds_the_status_of_each_fallback(served):
    world, client = served
    ids = {client.predict(trip(), model=model).first["id"] for model in MODELS}
    rows = [row for event in world.captured() if isinstance(event, Predictions) for row in event.rows]
    assert {row.status for row in rows if row.id in ids} == {b"\x02", b"\x04", b"\x05"}


def test_the_metrics_count_what_stood_in_for_a_fresh_row(served):
    client = served[1]
    sample = 'perdure_stale_view_rows_total{model="kept",status="fallback_last_good",view="weather_kept"}'
    client.predict(trip(), model="kept")
    before = client.metric(sample)
    client.predict(trip(1), trip(2), model="kept")
    assert client.metric(sample) == before + 2


def test_a_feed_that_is_back_answers_fresh_again_and_a_feed_away_too_long_is_expired(tmp_path):
    world = World(tmp_path)
    [version] = world.found(0, model=Kept)
    world.point(Pointer("kept", "champion", version.id))
    world.put_weather("JFK", 12.5, at_us=to_us(SERVED_AT), view=weather_kept)
    with world.serving(models={"kept": Kept}, replay=True) as client:
        for after, status in ((hours(1), None), (days(2), "fallback_last_good"), (days(3), "expired")):
            found = client.predict(trip(), model="kept", perdure_now=iso(SERVED_AT + after)).first
            assert found.get("status") == (status and {"weather_kept": status})
        world.put_weather("JFK", 3.0, at_us=to_us(SERVED_AT + days(3)), view=weather_kept)
        found = client.predict(trip(), model="kept", perdure_now=iso(SERVED_AT + days(3))).first
        assert found["value"] == value_of(Kept, 3.0, 1.0, trip())
        assert "status" not in found


def test_the_summary_of_a_stretch_counts_what_each_fallback_answered(tmp_path):
    world = World(tmp_path)
    for name, model in MODELS.items():
        [version] = world.found(0, model=model)
        world.point(Pointer(name, "champion", version.id))
        world.put_weather("JFK", 12.5, at_us=to_us(SERVED_AT), view=VIEWS[name])
    with world.serving(models=MODELS, replay=True) as client:
        for name in MODELS:
            client.predict(trip(1), trip(2), trip(3, origin="LGA"), model=name, perdure_now=iso(SERVED_AT + hours(5)))
    settings = Settings(project=ProjectSettings(name="test"), stores=StoreSettings(root=str(world.root)))
    silent = {
        source.name: replace(source, read=partial(pl.DataFrame, schema=list(source.contract.model_fields)))
        for source in (weather, trips, landings)
    }
    perdure = Perdure(world.root, settings, project=Project("test", sources=silent, models=MODELS))
    perdure.tick(at=SERVED_AT + hours(6))

    def counted(model):
        found = gaps(perdure.place.stores, model, SERVED_AT, SERVED_AT + hours(6))
        return {word: n for word, n in found.views[VIEWS[model.name].name].items() if n}, found.features["wind_mph"]

    assert counted(AirTime) == ({"missing": 1, "expired": 2}, 3)
    assert counted(Kept) == ({"missing": 1, "last good": 2}, 1)
    assert counted(Usual) == ({"default": 3}, 0)
