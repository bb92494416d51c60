"""The features, each defined once for a million rows and for one."""

from __future__ import annotations

from flights.contracts import Flight
from flights.sources import planes, weather
from perdure import days, feature_view, hours, last_good


@feature_view(key="origin", source=weather, ttl=hours(3), fallback=last_good(within=days(30)))
def weather_now(w):
    """Weather at the origin as it was known when the flight was planned."""
    return {
        "temperature_f": w.temperature_f,
        "humidity": w.humidity,
        "wind_direction": w.wind_direction,
        "wind_mph": w.wind_mph,
        "gust_mph": w.gust_mph.fill_null(0.0),
        "rain_in": w.rain_in,
        "pressure_mb": w.pressure_mb,
        "low_visibility": w.visibility_mi < 3.0,
    }


@feature_view(on=Flight)
def calendar(f):
    """When the flight is to depart."""
    return {
        "hour": f.scheduled_at.hour(),
        "weekday": f.scheduled_at.weekday(),
    }


@feature_view(on=Flight)
def route(f):
    """From where to where, by whom."""
    return {
        "distance_mi": f.distance_mi,
        "origin": f.origin,
        "dest": f.dest,
        "carrier": f.carrier,
    }


@feature_view(key="tailnum", source=planes)
def aircraft(p):
    """The machine that flies."""
    return {"built": p.built, "engines": p.engines, "seats": p.seats}
