"""What the online store serves is, to the bit, what the offline join computes for the same instant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import Contract, Source, feature_view, hours, last_good, when
from perdure.core.canonical import canonical_json
from perdure.core.clock import to_us
from perdure.engines.features import (
    EXPIRED,
    FALLBACK_DEFAULT,
    FALLBACK_LAST_GOOD,
    FRESH,
    FeaturePlan,
    StoredRow,
)

START = datetime(2013, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
TTL = hours(3)


class Weather(Contract):
    station: str
    gust: float | None
    sky: str | None
    seen_at: datetime


class Runway(Contract):
    station: str
    number: int
    length_m: int | None
    opened_at: datetime


class Flight(Contract):
    station: str | None
    number: int | None
    carrier: Literal["AA", "UA"] | None
    distance: float | None
    scheduled_at: datetime


weather = Source("weather", Weather, pl.DataFrame, event_at="seen_at")
runways = Source("runways", Runway, pl.DataFrame, event_at="opened_at")


def weather_now(w):
    return {
        "gust_third": w.gust / 3.0,
        "sky": w.sky.fill_null("none"),
        "strong": w.gust > 20.0,
        "seen_hour": w.seen_at.hour(),
    }


def _weather_now(ttl=TTL, fallback=None):
    return feature_view(key="station", source=weather, ttl=ttl, fallback=fallback)(weather_now)


@feature_view(on=Flight)
def trip(f):
    return {"carrier": f.carrier, "leg": when(f.distance > 100.0, f.distance.log1p(), -f.distance), "where": f.station}


def runway(r):
    return {"length_m": r.length_m, "share": r.length_m % 7 / 7, "no_length": r.length_m.is_null(), "of": r.station}


def _runway(fallback=None):
    return feature_view(key=("station", "number"), source=runways, fallback=fallback)(runway)


PLAN = FeaturePlan.from_views([_weather_now(), trip, _runway()])
SCHEMAS = {
    "weather": {"station": pl.String, "gust": pl.Float64, "sky": pl.String, "seen_at": INSTANT},
    "runways": {"station": pl.String, "number": pl.Int64, "length_m": pl.Int64, "opened_at": INSTANT},
}
SCHEMAS = {name: schema | {"_event_at": INSTANT, "_available_at": INSTANT} for name, schema in SCHEMAS.items()}
FLIGHT = {
    "station": pl.String,
    "number": pl.Int64,
    "carrier": pl.String,
    "distance": pl.Float64,
    "scheduled_at": INSTANT,
}

stations = st.sampled_from(["EWR", "JFK"])
moments = st.integers(0, 12).map(lambda n: START + timedelta(minutes=30 * n))
delays = st.sampled_from([timedelta(0), timedelta(minutes=30), timedelta(hours=4)])


def _timed(field: str, row: dict, delay: timedelta) -> dict:
    return row | {"_event_at": row[field], "_available_at": row[field] + delay}


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.floats(-50, 50)
observed = st.fixed_dictionaries(
    {
        "station": stations,
        "gust": numbers,
        "sky": st.none() | st.sampled_from(["clear", "fog", "snow"]),
        "seen_at": moments,
    }
)
built = st.fixed_dictionaries(
    {
        "station": stations,
        "number": st.integers(1, 2),
        "length_m": st.none() | st.integers(-(2**60), 2**60),
        "opened_at": moments,
    }
)
requests = st.lists(
    st.fixed_dictionaries(
        {
            "station": st.none() | stations | st.just("LGA"),
            "number": st.none() | st.integers(1, 3),
            "carrier": st.none() | st.sampled_from(["AA", "UA"]),
            "distance": numbers,
            "scheduled_at": moments,
        }
    ),
    min_size=1,
    max_size=5,
)
weather_rows = st.lists(st.builds(_timed, st.just("seen_at"), observed, delays), max_size=15)
runway_rows = st.lists(st.builds(_timed, st.just("opened_at"), built, delays), max_size=10)
ttls = st.integers(0, 4).map(lambda n: timedelta(minutes=30 * n + 1))
last_goods = st.builds(last_good, within=st.none() | st.integers(3, 8).map(hours))
weather_defaults = st.fixed_dictionaries(
    {},
    optional={
        "gust_third": st.floats(-3e38, 3e38) | st.integers(-(2**60), 2**60),
        "sky": st.sampled_from(["clear", "unheard of"]),
        "strong": st.booleans(),
    },
).filter(bool)
runway_defaults = st.fixed_dictionaries({}, optional={"share": st.floats(0, 1), "of": st.just("JFK")}).filter(bool)
CATEGORIES = {"sky": ["clear", "fog", "none"], "carrier": ["AA", "UA"], "where": ["EWR", "JFK"], "of": ["JFK"]}


def _keep(store: dict[str, dict[str, StoredRow]], view: str, rows: list[StoredRow]) -> None:
    """What every online store promises: a row stays unless one of a later (event, availability) comes."""
    for row in rows:
        kept = store[view].get(row.key)
        if kept is None or (row.event_us, row.available_us) >= (kept.event_us, kept.available_us):
            store[view][row.key] = row


def _served(plan: FeaturePlan, history: dict[str, pl.DataFrame], cuts: list[datetime]) -> dict:
    """The online store after materialising what became available between each two of `cuts`."""
    store: dict[str, dict[str, StoredRow]] = {view.id: {} for view in plan.stored_views}
    for since, until in zip([START - timedelta(days=1), *cuts], cuts, strict=False):
        for view in plan.stored_views:
            between = (pl.col("_available_at") > since) & (pl.col("_available_at") <= until)
            _keep(store, view.id, plan.materialise(view.id, history[view.source].filter(between)))
    return store


def _same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return bool(np.all((left.view(np.uint32) == right.view(np.uint32)) | (np.isnan(left) & np.isnan(right))))


@settings(max_examples=80, deadline=None)
@given(
    seen=weather_rows,
    opened=runway_rows,
    asked=requests,
    now=moments,
    steps=st.lists(moments, max_size=4),
)
def test_served_vectors_are_what_offline_computes_as_of_the_request(seen, opened, asked, now, steps):
    """Materialised step by step until the request's instant; values, TTL and statuses agree to the bit."""
    _check_agreement(PLAN, {"weather": seen, "runways": opened}, asked, now, steps)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.tuples(weather_rows, runway_rows),
    asked=requests,
    now=moments,
    steps=st.lists(moments, max_size=4),
    weather_view=st.builds(_weather_now, ttls, last_goods | weather_defaults),
    runway_view=st.builds(_runway, st.none() | runway_defaults),
)
def test_fallbacks_are_served_as_offline_computes_them(rows, asked, now, steps, weather_view, runway_view):
    """Last good rows with and without a limit, defaults of some features, each view by its own rule."""
    plan = FeaturePlan.from_views([weather_view, trip, runway_view])
    _check_agreement(plan, dict(zip(("weather", "runways"), rows, strict=True)), asked, now, steps)


def _check_agreement(plan, history, asked, now, steps):
    plan = plan.with_categories(CATEGORIES)
    plan = FeaturePlan.from_definition(json.loads(canonical_json(plan.definition())))
    frames = {name: pl.DataFrame(rows, schema=SCHEMAS[name]) for name, rows in history.items()}
    store = _served(plan, frames, sorted({*(step for step in steps if step < now), now}))

    online = plan.online(asked, _found(plan, store, asked), to_us(now))

    offline = plan.offline(_requests(asked, now), "_as_of", frames)
    # A key whose rows all lie in the future is missing online (nothing was stored yet): both give nulls.
    assert [bytes(row) for row in np.where(offline.status == 3, 1, offline.status)] == online.status
    assert _same_bits(online.x, plan.encode(offline.frame))


def _requests(asked, now):
    return pl.DataFrame(asked, schema=FLIGHT).with_columns(pl.lit(now).cast(INSTANT).alias("_as_of"))


def _weather_of(asked, now, seen, **view):
    """Features and statuses of the weather alone, as rows."""
    plan = FeaturePlan.from_views([_weather_now(**view)])
    found = plan.offline(_requests(asked, now), "_as_of", {"weather": pl.DataFrame(seen, schema=SCHEMAS["weather"])})
    return list(zip(found.frame.rows(), found.status[:, 0].tolist(), strict=True))


@settings(max_examples=80, deadline=None)
@given(seen=weather_rows, asked=requests, now=moments, ttl=ttls, fallback=last_goods)
def test_a_last_good_row_is_what_a_view_of_a_longer_ttl_would_have_given(seen, asked, now, ttl, fallback):
    """Values as if the TTL were the fallback's limit; the status tells a row past the real TTL."""
    strict = _weather_of(asked, now, seen, ttl=ttl)
    lenient = _weather_of(asked, now, seen, ttl=fallback.within)
    expected = [
        (values, FALLBACK_LAST_GOOD if (was, is_) == (EXPIRED, FRESH) else is_)
        for (_, was), (values, is_) in zip(strict, lenient, strict=True)
    ]
    assert _weather_of(asked, now, seen, ttl=ttl, fallback=fallback) == expected


@settings(max_examples=80, deadline=None)
def _told(value):
    """A declared number as a feature holds it, a float."""
    return float(value) if type(value) is int else value


@given(seen=weather_rows, asked=requests, now=moments, ttl=ttls, fallback=weather_defaults)
def test_defaults_stand_in_for_every_row_that_is_not_fresh_and_for_no_other(seen, asked, now, ttl, fallback):
    """Features without a default stay missing, and so does a null of a fresh row."""
    names = ("gust_third", "sky", "strong", "seen_hour")
    instead = (tuple(_told(fallback.get(name)) for name in names), FALLBACK_DEFAULT)
    expected = [row if row[1] == FRESH else instead for row in _weather_of(asked, now, seen, ttl=ttl)]
    assert _weather_of(asked, now, seen, ttl=ttl, fallback=fallback) == expected


def _found(plan: FeaturePlan, store: dict, asked: list[dict]) -> dict:
    """What a store would give for the keys that the plan asks for, and nothing else."""
    return {
        view: {key: store[view][key] for key in keys if key in store[view]}
        for view, keys in plan.lookups(asked).items()
    }


@settings(max_examples=25, deadline=None)
@given(seen=weather_rows, opened=runway_rows, asked=requests, now=moments)
def test_objects_and_mappings_are_served_alike(seen, opened, asked, now):
    """A decoded request row and the dict of its fields give one vector and one set of keys."""
    plan = PLAN.with_categories(CATEGORIES)
    frames = {
        "weather": pl.DataFrame(seen, schema=SCHEMAS["weather"]),
        "runways": pl.DataFrame(opened, schema=SCHEMAS["runways"]),
    }
    store = _served(plan, frames, [now])
    objects = [Flight(**row) for row in asked]
    assert plan.lookups(objects) == plan.lookups(asked)
    one, other = plan.online(objects, store, to_us(now)), plan.online(asked, store, to_us(now))
    assert one.status == other.status
    assert _same_bits(one.x, other.x)
