"""What a row must look like, in requests and in batches alike."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from perdure import Contract

Airport = Literal["EWR", "JFK", "LGA"]


class Flight(Contract):
    """A flight as dispatch knows it before departure; the request of the model."""

    flight_id: Annotated[str, Field(min_length=1)]
    carrier: Annotated[str, Field(min_length=2, max_length=2)]
    flight: Annotated[int, Field(gt=0)]
    tailnum: str | None
    origin: Airport
    dest: Annotated[str, Field(min_length=3, max_length=3)]
    distance_mi: Annotated[float, Field(gt=0, le=6000)]
    scheduled_at: datetime


class PlannedFlight(Flight):
    """A flight of the past with the hour at which dispatch planned it."""

    planned_at: datetime


class Landing(Contract):
    """A flight that has landed: the label."""

    flight_id: Annotated[str, Field(min_length=1)]
    air_time_min: Annotated[float, Field(gt=0, le=1000)]
    landed_at: datetime


class Weather(Contract):
    """One hour's observation at one airport. Sensors fail, so nearly everything may be missing."""

    origin: Airport
    observed_at: datetime
    temperature_f: Annotated[float, Field(ge=-40, le=130)] | None
    humidity: Annotated[float, Field(ge=0, le=100)] | None
    wind_direction: Annotated[float, Field(ge=0, le=360)] | None
    wind_mph: Annotated[float, Field(ge=0, le=150)] | None
    gust_mph: Annotated[float, Field(ge=0, le=200)] | None
    rain_in: Annotated[float, Field(ge=0, le=10)] | None
    pressure_mb: Annotated[float, Field(ge=900, le=1100)] | None
    visibility_mi: Annotated[float, Field(ge=0, le=20)] | None


class Plane(Contract):
    """One registered aircraft."""

    tailnum: str
    listed_at: datetime
    built: Annotated[int, Field(ge=1940, le=2014)] | None
    engines: Annotated[int, Field(ge=1, le=8)]
    seats: Annotated[int, Field(ge=1, le=900)]
