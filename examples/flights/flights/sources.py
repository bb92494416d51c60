"""Where the rows come from, when they can be known, and what a healthy feed is."""

from __future__ import annotations

from flights import data
from flights.contracts import Landing, Plane, PlannedFlight, Weather
from perdure import Policy, Source, days, freshness_h, hours, off_profile, violations_ratio, volume

flights = Source(
    "flights",
    contract=PlannedFlight,
    read=data.plans_on_file,
    event_at="planned_at",
    key=("flight_id",),
    every=days(1),
    owner="dispatch",
)

landings = Source(
    "landings",
    contract=Landing,
    read=data.landings_on_file,
    event_at="landed_at",
    key=("flight_id",),
    every=days(1),
    owner="dispatch",
)

weather = Source(
    "weather",
    contract=Weather,
    read=data.weather,
    event_at="observed_at",
    available_at=hours(1),  # an observation is published within the hour after it
    key=("origin", "observed_at"),
    every=hours(6),
    owner="met-office",
    healthy=[
        (freshness_h(over=days(1)) <= 6).owed_to("dispatch"),
        (volume(over=days(1)) >= 48).owed_to("dispatch"),
        (violations_ratio(over=days(7)) <= 0.02).owed_to("data platform"),
        (off_profile(over=days(1)) <= 0.05).owed_to("data platform"),
    ],
    policy=Policy.act(),  # bad batches are set aside without asking, and serving falls back
)

planes = Source(
    "planes",
    contract=Plane,
    read=data.planes,
    event_at="listed_at",
    key=("tailnum",),
    every=days(7),
    owner="fleet",
)
