"""The traffic of the demo: every flight is asked in the hour in which it is planned, its label comes as it lands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from flights import data
from perdure import days

if TYPE_CHECKING:
    from perdure.surface.replay import Traffic

MODEL = "air_time"
LAST = datetime(2014, 1, 2, 5, tzinfo=UTC)
"""Midnight in New York after every flight of the year has landed."""
BARRIER = days(1)
"""How often the loop ticks, beside the instants at which a stage of a release ends."""


def flights_asked(end: datetime) -> pl.DataFrame:
    """Flights planned from the training on; the last day before `end` is left for their labels."""
    last = end if end >= LAST else end - timedelta(days=1)
    return data.all_flights().filter((pl.col("planned_at") >= data.TRAINED_AT) & (pl.col("planned_at") < last))


def traffic(start: datetime, until: datetime, end: datetime) -> Traffic:
    """The part `[start, until)` of a replay that ends at `end`; of its last part (`until == end`) also the end itself."""
    from perdure.surface.replay import AT, Traffic

    asked = flights_asked(end)
    landed = data.landings().join(asked.select("flight_id"), on="flight_id", how="semi")
    whole = Traffic(
        model=MODEL,
        requests=asked.select(*data.PLAN, pl.col("planned_at").alias(AT)),
        labels=landed.select(key="flight_id", value="air_time_min", known_at="landed_at"),
        start=data.TRAINED_AT,
        end=end,
        barrier=BARRIER,
    )
    return whole.part(start, until)
