"""A fallback of a view is checked where it is declared, and is part of the view's version only then."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl
import pytest

from perdure import Contract, Source, days, feature_view, hours, last_good
from perdure.assets.fallback import LastGood, fallback_as_json, fallback_from_json
from perdure.core.canonical import canonical_json
from perdure.core.errors import BadView


class Weather(Contract):
    station: str
    gust: float | None
    sky: str | None
    seen_at: datetime


class Sky(StrEnum):
    FOG = "fog"


TTL = hours(3)
weather = Source("weather", Weather, pl.DataFrame, event_at="seen_at")


def weather_now(w):
    return {"gust": w.gust, "calm": w.gust < 5.0, "sky": w.sky}


def declared(fallback=None, ttl=TTL):
    return feature_view(key="station", source=weather, ttl=ttl, fallback=fallback)(weather_now)


def test_a_view_without_a_fallback_keeps_the_version_it_had_before_there_were_fallbacks():
    assert declared().version == "weather_now@bc8c9a5a3d38"
    assert "fallback" not in declared().definition()


def test_each_fallback_makes_another_version():
    fallbacks = [None, last_good(), last_good(within=days(30)), {"gust": 1.0}, {"gust": 2.0}, {"calm": True}]
    assert len({declared(fallback).version for fallback in fallbacks}) == len(fallbacks)
    assert declared({"gust": 1, "calm": True}).version == declared({"calm": True, "gust": 1.0}).version


@pytest.mark.parametrize(
    "fallback", [last_good(), last_good(within=days(30)), {"gust": -0.5, "calm": False}, {"sky": Sky.FOG, "gust": 1}]
)
def test_a_fallback_survives_the_json_of_its_definition(fallback):
    view = declared(fallback)
    stored = json.loads(canonical_json(view.definition()))["fallback"]
    assert fallback_from_json(stored) == view.fallback == fallback
    assert canonical_json(fallback_as_json(fallback_from_json(stored))) == canonical_json(stored)


def test_defaults_are_kept_as_their_features_hold_them():
    kept = declared({"gust": -0.0, "sky": Sky.FOG}).fallback
    assert math.copysign(1.0, kept["gust"]) == 1.0
    assert type(kept["sky"]) is str
    assert type(declared({"gust": 7}).fallback["gust"]) is float


@pytest.mark.parametrize(
    ("fallback", "told"),
    [
        ({"guts": 1.0}, "Did you mean 'gust'"),
        ({3: 1.0}, "none of its features"),
        ({"gust": "strong"}, "must be a number that 32 bits can hold"),
        ({"gust": True}, "must be a number"),
        ({"gust": None}, "Leave a feature out"),
        ({"gust": math.nan}, "must be a number"),
        ({"gust": -math.inf}, "must be a number"),
        ({"gust": 3.5e38}, "must be a number"),
        ({"gust": 10**400}, "must be a number"),
        ({"calm": 1}, "must be True or False"),
        ({"sky": 1}, "must be a text"),
        ({}, "values by feature"),
        ("last_good", "last_good()"),
        (last_good, "last_good()"),
        (last_good(within=hours(3)), "make it longer"),
    ],
)
def test_a_fallback_that_cannot_be_is_refused_with_what_to_write(fallback, told):
    with pytest.raises(BadView) as refused:
        declared(fallback)
    assert told in str(refused.value)
    assert "'weather_now'" in str(refused.value)


def test_a_last_good_row_needs_a_ttl_to_be_past_of():
    with pytest.raises(BadView, match="never expire"):
        declared(last_good(), ttl=None)


def test_a_view_on_demand_has_no_fallback():
    with pytest.raises(BadView, match="on demand"):
        feature_view(on=Weather, fallback={"gust": 1.0})(weather_now)


def test_a_fallback_of_a_newer_version_is_refused():
    with pytest.raises(BadView, match="newer"):
        fallback_from_json({"kind": "neighbour"})


def test_a_limit_is_kept_to_the_microsecond():
    assert LastGood(timedelta(microseconds=10_800_000_001)).within_us == 10_800_000_001
