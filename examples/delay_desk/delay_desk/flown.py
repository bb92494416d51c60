"""The model of `examples/flights`, fitted on two weeks, and kept healthy by versions that are there already."""

from __future__ import annotations

from datetime import timedelta

import flights.model
import polars as pl
from flights import data
from flights.contracts import Landing, PlannedFlight

from perdure import Label, Policy, Ramp, Rate, Source, days, hours, mae, minutes

LEARNT = timedelta(days=14)
"""Before `data.TRAINED_AT`."""


def _lately(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return frame.filter(pl.col(column) >= data.TRAINED_AT - LEARNT)


def read_plans() -> pl.DataFrame:
    """Flights that were planned in the two weeks before the model was trained."""
    return _lately(data.plans_on_file(), "planned_at")


def read_landings() -> pl.DataFrame:
    """Their landings; later ones arrive over HTTP."""
    return _lately(data.landings_on_file(), "landed_at")


plans = Source(
    "plans",
    contract=PlannedFlight,
    read=read_plans,
    event_at="planned_at",
    key=("flight_id",),
    every=days(30),
    owner="dispatch",
)
landed = Source(
    "landed",
    contract=Landing,
    read=read_landings,
    event_at="landed_at",
    key=("flight_id",),
    every=days(30),
    owner="dispatch",
)


class AirTime(flights.model.AirTime):
    """Minutes in the air of one flight."""

    rows = plans
    label = Label(landed, "air_time_min", key="flight_id", known_at="landed_at", delay=hours(12))
    healthy = [(mae(over=days(7)) <= 20.0).owed_to("crew planning")]
    """A mean over a week: what goes wrong for some hours the desk notices first."""
    policy = Policy.act(
        cool_down=hours(1),
        retrains=Rate(1, per=days(6)),
        ramp=Ramp(shadow=hours(0), canary=minutes(30), share=0.5),
        watch=hours(13),
    )
    remedies = ["past_version", "rollback"]
