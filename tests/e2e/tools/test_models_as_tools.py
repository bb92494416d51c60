"""Models and feature views as tools: the version that answers now, its explanation, and how fresh what it read is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tools_world import app_up, desk_run, until

sys.path.insert(0, str(Path(__file__).parent.parent / "scoring"))

from scoring_world import MODELS, SERVED_AT, World, weather_now

from perdure.assets.tools import FeaturesTool, PredictTool
from perdure.assets.version import Pointer
from perdure.core.clock import to_us
from perdure.serve.live import Live
from perdure.serve.metrics import Counters
from perdure.serve.online_reader import OnlineReader
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.protocols import ToolAsked, ToolContext, ToolGave
from perdure.serve.server import make_app
from perdure.serve.tools.making import Toolmaker
from perdure.serve.tools.reaching import Reaching
from perdure.stores.capture.events import Predictions
from perdure.stores.online.protocols import OnlineRow
from perdure.stores.online.sqlite import SqliteOnline

TRIP = {"trip_id": "t1", "origin": "JFK", "distance_mi": 500.0, "scheduled_at": "2013-03-01T13:00:00Z"}
RUN = desk_run(served_us=to_us(SERVED_AT))
HOUR_US = 3_600_000_000


def asked(reaching: Reaching, tool: Any, **arguments: Any) -> ToolGave:
    """What a tool gives over a world."""
    maker = Toolmaker(MODELS, {"weather_now": weather_now})
    context = ToolContext(RUN, Caller("", None), "k", reaching)
    return asyncio.run(maker.box([tool]).call(ToolAsked(tool.name, arguments, "1"), context))


@pytest.fixture
def reaching(tmp_path) -> Reaching:
    """A world whose online store has the weather of two places."""
    store = SqliteOnline(tmp_path / "online.db")
    now_us = to_us(SERVED_AT)
    rows = [
        OnlineRow("JFK", (12.5, True), now_us - HOUR_US, now_us - HOUR_US // 2),
        OnlineRow("LGA", (3.0, False), now_us - 9 * HOUR_US, now_us - 8 * HOUR_US),
    ]
    store.put(weather_now.version, rows)
    store.put("other", [])
    store.close()
    online = OnlineReader(lambda: SqliteOnline(tmp_path / "online.db", read_only=True), Counters())
    return Reaching(Live(), online=online, views={"weather_now": weather_now}, replay=True)


@pytest.mark.parametrize(
    ("origin", "status", "age"),
    [("JFK", "fresh", "1 hour"), ("LGA", "expired", "9 hours"), ("SFO", "missing", "not known")],
)
def test_features_come_with_their_age(reaching, origin, status, age):
    """Values by name, how fresh they are by the view's own TTL, and the version that was read."""
    gave = asked(reaching, FeaturesTool("weather_now"), origin=origin)
    told = msgspec.json.decode(gave.value)
    assert (told["status"], told["age"], gave.facts["status"]) == (status, age, status)
    assert (told["values"] is None) == (status == "missing")
    assert gave.versions == {"feature_view:weather_now": weather_now.version}
    if origin == "JFK":
        assert told["values"] == {"wind_mph": 12.5, "low_visibility": True}


def test_a_key_of_another_field_does_not_fit(reaching):
    """The schema is the key of the view."""
    assert asked(reaching, FeaturesTool("weather_now"), trip="t1").error == "tool.bad_arguments"


def test_a_prediction_is_explained_recorded_and_by_the_contract(tmp_path):
    """The live model answers by its version, its contributions the largest first; what breaks the contract is told and not predicted."""
    world = World(tmp_path)
    (version,) = world.found(1)
    world.point(Pointer("air_time", "champion", version.id))
    app = make_app(world.parts())

    async def run() -> tuple[ToolGave, ToolGave]:
        async with app_up(app):
            handler = app._scoring._parts.predict
            reaching = Reaching(handler._live, predicting=handler)
            await until(lambda: handler._live.serving is not None)
            tool = PredictTool("air_time", explain=True)
            box = Toolmaker(MODELS).box([tool])
            context = ToolContext(RUN, Caller("", None), "k", reaching)
            good = await box.call(ToolAsked(tool.name, TRIP, "1"), context)
            bad = await box.call(ToolAsked(tool.name, {**TRIP, "scheduled_at": "soon"}, "2"), context)
        return good, bad

    good, bad = asyncio.run(run())
    told = msgspec.json.decode(good.value)
    sizes = [abs(each["adds"]) for each in told["explanation"]["contributions"]]
    assert told["predicts"] == "air_time_min"
    assert sizes == sorted(sizes, reverse=True)
    assert good.versions["model:air_time"].startswith("air_time@")
    assert good.facts["prediction"] in {
        row.id for event in world.captured() if isinstance(event, Predictions) for row in event.rows
    }
    assert bad.error == "tool.bad_arguments"
    assert "breaks the contract" in bad.text
