"""A plan orders a model's features, joins and encodes them, and is rebuilt from its definition alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from perdure import Contract, Source, feature_view, hours
from perdure.core.canonical import canonical_json
from perdure.core.clock import to_us
from perdure.core.errors import BadView, NotFound
from perdure.engines.features import FeaturePlan, StoredRow

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


class Weather(Contract):
    origin: str
    gust: float | None
    sky: str
    seen_at: datetime


class Gate(Contract):
    origin: str
    number: int
    jet_bridge: bool
    opened_at: datetime


class Carrier(StrEnum):
    AA = "AA"
    UA = "UA"


class Flight(Contract):
    origin: str
    number: int | None
    carrier: Carrier
    distance: float


weather = Source("weather", Weather, pl.DataFrame, event_at="seen_at")
gates = Source("gates", Gate, pl.DataFrame, event_at="opened_at")


@feature_view(key="origin", source=weather, ttl=hours(3))
def weather_now(w):
    return {"gust": w.gust, "calm": w.gust < 5.0, "sky": w.sky}


@feature_view(on=Flight)
def route(f):
    return {"distance": f.distance, "carrier": f.carrier}


@feature_view(key=("origin", "number"), source=gates)
def gate(g):
    return {"jet_bridge": g.jet_bridge}


PLAN = FeaturePlan.from_views([weather_now, route, gate])
LEARNED = PLAN.with_categories({"sky": ["clear", "fog"], "carrier": ["AA", "UA"]})
INSTANTS = {"_event_at": pl.Datetime("us", "UTC"), "_available_at": pl.Datetime("us", "UTC")}


def _weather(*rows: tuple) -> pl.DataFrame:
    """Rows (origin, gust, sky, hours before noon of the event and of availability)."""
    data = [
        (origin, gust, sky, NOON - hours(event), NOON - hours(event), NOON - hours(known))
        for origin, gust, sky, event, known in rows
    ]
    schema = {"origin": pl.String, "gust": pl.Float64, "sky": pl.String, "seen_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(data, schema=schema | INSTANTS, orient="row")


def _asked(*origins: str | None) -> pl.DataFrame:
    rows = [{"origin": origin, "number": 1, "carrier": "AA", "distance": 100.0, "t": NOON} for origin in origins]
    schema = {"origin": pl.String, "number": pl.Int64, "carrier": pl.String, "distance": pl.Float64}
    return pl.DataFrame(rows, schema=schema | {"t": pl.Datetime("us", "UTC")})


def test_the_vector_follows_the_views_and_their_features():
    """Order, kinds, stored views, sources."""
    assert [(each.name, each.kind) for each in PLAN.features] == [
        ("gust", "number"),
        ("calm", "number"),
        ("sky", "category"),
        ("distance", "number"),
        ("carrier", "category"),
        ("jet_bridge", "number"),
    ]
    assert [(view.name, view.key, view.ttl_us) for view in PLAN.stored_views] == [
        ("weather_now", ("origin",), 3 * 3600 * 1_000_000),
        ("gate", ("origin", "number"), None),
    ]
    assert PLAN.sources == ("weather", "gates")
    assert PLAN.stored_views[0].id == weather_now.version


def test_a_feature_name_in_two_views_is_refused_with_both():
    """Which of them would the model have learned from?"""

    @feature_view(on=Flight)
    def trip(f):
        return {"distance": f.distance * 2}

    with pytest.raises(BadView, match="'distance' is in view 'route' and in view 'trip'"):
        FeaturePlan.from_views([route, trip])


def test_a_definition_survives_json_with_sorted_keys():
    """The ledger keeps canonical JSON; the order of the vector is not lost in it."""
    stored = json.loads(canonical_json({**LEARNED.definition(), "contract": {"name": "Flight"}}))
    again = FeaturePlan.from_definition(stored)
    assert again.definition() == LEARNED.definition()
    assert again.features == PLAN.features
    assert [view.features for view in again.views] == [view.features for view in PLAN.views]


def test_a_definition_that_was_changed_is_refused():
    """A view's id is its content's hash."""
    stored = LEARNED.definition()
    stored["views"][weather_now.version]["ttl_us"] = 1
    with pytest.raises(BadView, match="has the hash of weather_now@"):
        FeaturePlan.from_definition(stored)


def test_offline_features_say_why_they_are_missing():
    """Fresh, missing, expired, not yet known; a null key; a source without any rows."""
    seen = _weather(
        ("JFK", 3.0, "fog", 2, 1), ("EWR", 9.0, "clear", 4, 3), ("LGA", 1.0, "clear", 1, -1), ("JFK", 7.0, "fog", 1, -2)
    )
    found = PLAN.offline(_asked("JFK", "SFO", "EWR", "LGA", None), "t", {"weather": seen})
    assert found.status.tolist() == [[0, 1], [1, 1], [2, 1], [3, 1], [1, 1]]
    assert found.frame["gust"].to_list() == [3.0, None, None, None, None]
    assert found.frame["calm"].to_list() == [True, None, None, None, None]
    assert found.frame["distance"].to_list() == [100.0] * 5
    assert found.frame["jet_bridge"].to_list() == [None] * 5
    assert found.frame.columns == [each.name for each in PLAN.features]


def test_a_plan_without_stored_views_needs_no_history():
    """Then there is no status either."""
    found = FeaturePlan.from_views([route]).offline(_asked("JFK"), "t", {})
    assert found.status.shape == (1, 0)
    assert found.frame.rows() == [(100.0, "AA")]


def test_categories_are_learned_sorted_and_encoded_by_place():
    """Unseen values and nulls are NaN, truth values 0 and 1."""
    frame = pl.DataFrame(
        {
            "gust": [1.5, None, 0.1],
            "calm": [True, None, False],
            "sky": ["fog", "clear", None],
            "distance": [1.0, 2.0, 3.0],
            "carrier": ["UA", "UA", "AA"],
            "jet_bridge": [None, True, False],
        }
    )
    learned = PLAN.learn_categories(frame)
    assert learned == {"sky": ("clear", "fog"), "carrier": ("AA", "UA")}
    x = PLAN.with_categories({**learned, "carrier": ("AA",)}).encode(frame)
    nan = np.nan
    expected = [[1.5, 1, 1, 1, nan, nan], [nan, nan, 0, 2, nan, 1], [np.float32(0.1), 0, nan, 3, 0, 0]]
    np.testing.assert_array_equal(x, np.array(expected, np.float32))
    assert x.dtype == np.float32
    assert x.flags.c_contiguous


def test_encoding_before_learning_says_what_to_do():
    """Offline and online alike."""
    with pytest.raises(BadView, match="learn_categories"):
        PLAN.encode(pl.DataFrame())
    with pytest.raises(BadView, match="learn_categories"):
        PLAN.online([], {}, 0)
    with pytest.raises(NotFound, match="'sky'"):
        PLAN.with_categories({"skye": ["fog"]})


def test_materialising_keeps_the_newest_event_of_each_key():
    """A late row of an older event does not replace a newer one; a correction does; a null key has no row."""
    seen = _weather(
        ("JFK", 1.0, "fog", 3, 3),
        ("JFK", 2.0, "fog", 2, 2),
        ("JFK", 9.0, "clear", 3, 1),
        ("EWR", 4.0, "fog", 2, 2),
        ("EWR", 0.1, "clear", 2, 1),
        (None, 5.0, "fog", 1, 1),
    )
    rows = {row.key: row for row in PLAN.materialise(weather_now.version, seen)}
    assert set(rows) == {"JFK", "EWR"}
    assert rows["JFK"].values == (2.0, True, "fog")
    assert rows["JFK"].event_us == to_us(NOON - hours(2))
    assert rows["EWR"].values == (float(np.float32(0.1)), True, "clear")
    assert rows["EWR"].available_us == to_us(NOON - hours(1))
    assert PLAN.materialise(weather_now.version, seen.clear()) == []
    with pytest.raises(NotFound, match=route.version):
        PLAN.materialise(route.version, seen)


def _request(**changes) -> SimpleNamespace:
    return SimpleNamespace(**({"origin": "JFK", "number": 7, "carrier": Carrier.UA, "distance": 100.0} | changes))


def test_lookups_name_the_key_of_each_row_and_view():
    """Composite keys are joined; a missing part is no key."""
    rows = [_request(), _request(origin="EWR", number=None)]
    expected = {weather_now.version: ["JFK", "EWR"], gate.version: ["JFK\x1f7", None]}
    assert LEARNED.lookups(rows) == expected
    assert LEARNED.lookups([vars(row) for row in rows]) == expected


@pytest.mark.parametrize(
    ("event", "available", "status"),
    [
        (NOON, NOON, 0),
        (NOON - hours(3), NOON - hours(3), 0),
        (NOON - hours(3) - timedelta(microseconds=1), NOON - hours(3), 2),
        (NOON - hours(1), NOON + timedelta(microseconds=1), 3),
        (NOON + hours(5), NOON, 0),
    ],
)
def test_a_stored_row_counts_from_when_it_was_known_until_its_ttl(event, available, status):
    """To the microsecond; a forecast of a later event may be used."""
    row = StoredRow("JFK", (3.0, True, "fog"), to_us(event), to_us(available))
    found = LEARNED.online([_request()], {weather_now.version: {"JFK": row}}, to_us(NOON))
    assert found.status == [bytes([status, 1])]
    expected = [3.0, 1.0, 1.0] if status == 0 else [np.nan] * 3
    np.testing.assert_array_equal(found.x, np.array([[*expected, 100.0, 1.0, np.nan]], np.float32))


def test_a_request_without_rows_gives_no_vectors():
    """Of the right width."""
    assert LEARNED.online([], {}, 0).x.shape == (0, 6)


def test_a_number_beyond_32_bits_is_missing_everywhere():
    """Not infinite in one place and an error in another."""
    limit = float(np.finfo(np.float32).max)
    rows = [_request(distance=value) for value in (limit, limit * 1.00000003, -1e300)]
    online = LEARNED.online(rows, {}, 0).x[:, 3]
    frame = _asked("JFK", "JFK", "JFK").with_columns(pl.Series("distance", [row.distance for row in rows]))
    offline = LEARNED.encode(LEARNED.offline(frame, "t", {}).frame)[:, 3]
    np.testing.assert_array_equal(online, offline)
    assert np.isnan(online).tolist() == [False, True, True]
