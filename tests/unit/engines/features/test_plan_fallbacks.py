"""What a row gets of a view whose own row is missing or past its TTL: by the plan, offline and online."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from perdure import Contract, Source, days, feature_view, hours, last_good
from perdure.core.clock import to_us
from perdure.engines.features import STATUS_WORDS, FeaturePlan, StoredRow

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
HISTORY = {"station": pl.String, "gust": pl.Float64, "sky": pl.String, "seen_at": INSTANT}
MICROSECOND = timedelta(microseconds=1)


class Weather(Contract):
    station: str
    gust: float | None
    sky: str
    seen_at: datetime


weather = Source("weather", Weather, pl.DataFrame, event_at="seen_at")


def plan_of(fallback) -> FeaturePlan:
    @feature_view(key="station", source=weather, ttl=hours(3), fallback=fallback)
    def weather_now(w):
        return {"gust": w.gust, "calm": w.gust < 5.0, "sky": w.sky}

    return FeaturePlan.from_views([weather_now]).with_categories({"sky": ["clear", "fog"]})


def both_ways(plan: FeaturePlan, age: timedelta, station: str | None = "JFK") -> tuple[list[float], str]:
    """The vector and the word of its status for one stored row of that age; offline and online give the same."""
    [view], event = plan.stored_views, NOON - age
    stored = StoredRow("JFK", (30.0, False, "fog"), to_us(event), to_us(min(event, NOON)))
    online = plan.online([{"station": station}], {view.id: {"JFK": stored}}, to_us(NOON))

    past = pl.DataFrame([("JFK", 30.0, "fog", event)], schema=HISTORY, orient="row")
    past = past.with_columns(
        _event_at=pl.lit(event).cast(INSTANT), _available_at=pl.lit(min(event, NOON)).cast(INSTANT)
    )
    asked = pl.DataFrame({"station": [station], "t": [NOON]}, schema={"station": pl.String, "t": INSTANT})
    offline = plan.offline(asked, "t", {"weather": past})

    np.testing.assert_array_equal(plan.encode(offline.frame), online.x)
    assert online.status == [bytes(offline.status[0])]
    return online.x[0].tolist(), STATUS_WORDS[online.status[0][0]]


@pytest.mark.parametrize(
    ("fallback", "age", "status"),
    [
        (None, hours(3), "fresh"),
        (None, hours(3) + MICROSECOND, "expired"),
        (last_good(), hours(3), "fresh"),
        (last_good(), hours(3) + MICROSECOND, "fallback_last_good"),
        (last_good(), days(4_000), "fallback_last_good"),
        (last_good(), -hours(5), "fresh"),
        (last_good(within=days(2)), days(2), "fallback_last_good"),
        (last_good(within=days(2)), days(2) + MICROSECOND, "expired"),
    ],
)
def test_an_old_row_is_used_to_the_microsecond_of_its_limit(fallback, age, status):
    vector, found = both_ways(plan_of(fallback), age)
    assert found == status
    expected = [30.0, 0.0, 1.0] if status in ("fresh", "fallback_last_good") else [np.nan] * 3
    np.testing.assert_array_equal(vector, expected)


def test_there_is_no_last_good_row_of_a_key_that_has_none():
    plan = plan_of(last_good())
    assert both_ways(plan, hours(1), "LGA")[1] == both_ways(plan, hours(1), None)[1] == "missing"


@pytest.mark.parametrize(("age", "station"), [(hours(4), "JFK"), (hours(1), "LGA"), (hours(1), None)])
def test_defaults_are_given_whatever_the_reason_and_the_others_stay_missing(age, station):
    """Also as the code of a category; one that training never saw has none."""
    vector, status = both_ways(plan_of({"gust": 12.1, "sky": "fog"}), age, station)
    np.testing.assert_array_equal(vector, [np.float32(12.1), np.nan, 1.0])
    assert status == "fallback_default"
    assert both_ways(plan_of({"calm": True, "sky": "hail"}), age, station)[0][1] == 1.0
    assert np.isnan(both_ways(plan_of({"sky": "hail"}), age, station)[0][2])


def test_defaults_are_given_where_the_source_has_no_rows_at_all():
    plan = plan_of({"gust": 12.0, "calm": True, "sky": "clear"})
    asked = pl.DataFrame({"station": ["JFK", "LGA"], "t": [NOON, NOON]})
    offline = plan.offline(asked, "t", {})
    assert offline.frame.rows() == [(12.0, True, "clear")] * 2
    assert offline.status.tolist() == [[5], [5]]
    assert plan.online([{"station": "JFK"}], {}, to_us(NOON)).status == [b"\x05"]


def test_a_row_that_is_only_known_later_is_no_last_good_row_and_gets_the_default():
    row = StoredRow("JFK", (30.0, False, "fog"), to_us(NOON), to_us(NOON + MICROSECOND))
    for fallback, word in ((last_good(), "not_yet_available"), ({"gust": 1.0}, "fallback_default")):
        plan = plan_of(fallback)
        found = plan.online([{"station": "JFK"}], {plan.stored_views[0].id: {"JFK": row}}, to_us(NOON))
        assert STATUS_WORDS[found.status[0][0]] == word


def test_a_null_of_a_fresh_row_gets_no_default():
    plan = plan_of({"gust": 12.0})
    row = StoredRow("JFK", (None, None, "fog"), to_us(NOON), to_us(NOON))
    found = plan.online([{"station": "JFK"}], {plan.stored_views[0].id: {"JFK": row}}, to_us(NOON))
    np.testing.assert_array_equal(found.x[0], [np.nan, np.nan, 1.0])


def test_no_rows_have_no_fallbacks():
    plan = plan_of({"gust": 12.0})
    nobody = pl.DataFrame(schema={"station": pl.String, "t": INSTANT})
    past = pl.DataFrame(schema=HISTORY | {"_event_at": INSTANT, "_available_at": INSTANT})
    for history in ({}, {"weather": past}):
        assert plan.offline(nobody, "t", history).frame.height == 0
