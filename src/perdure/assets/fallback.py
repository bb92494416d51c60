"""Fallbacks: what a row gets of a stored feature view whose own row is missing or past its TTL.

    @feature_view(key="origin", source=weather, ttl=hours(3), fallback=last_good(within=days(30)))
    @feature_view(key="origin", source=weather, ttl=hours(3), fallback={"wind_gust": 12.0})

A view without a fallback gives missing features then. `feature_view` checks a declared fallback here,
and the feature plan reads it back from the view's definition.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from perdure.assets.expressions import Expr, ExprType
from perdure.core.errors import BadView, nearest

Default = float | bool | str
_MICROSECOND = timedelta(microseconds=1)
_WANTED: Mapping[ExprType, str] = {
    "number": "a number that 32 bits can hold",
    "bool": "True or False",
    "text": "a text",
}


@dataclass(frozen=True, slots=True)
class LastGood:
    """The newest row known counts past its TTL. Make it with `last_good`."""

    within: timedelta | None = None
    """Up to this age, counted from the row's `event_at` as the TTL is; None: however old."""

    @property
    def within_us(self) -> int | None:
        """`within` in microseconds."""
        return self.within // _MICROSECOND if self.within is not None else None


Fallback = LastGood | Mapping[str, Default]
"""A mapping holds the value of each feature that has one; the others stay missing."""


def last_good(*, within: timedelta | None = None) -> LastGood:
    """The fallback to the newest row known, though it is past the view's TTL.

    Args:
        within: up to this age, counted from the row's `event_at` as the TTL is; None: however old.

    >>> last_good(within=timedelta(days=30))
    LastGood(within=datetime.timedelta(days=30))
    """
    return LastGood(within)


def checked_fallback(fallback: object, ttl: timedelta | None, features: Mapping[str, Expr], view: str) -> Fallback:
    """A declared fallback, its defaults as the type of their features.

    Raises:
        BadView: it is neither kind of fallback; it could never answer; it names a feature that the
            view lacks, or gives one a value of another type.
    """
    if isinstance(fallback, LastGood):
        return _checked_last_good(fallback, ttl, view)
    if not isinstance(fallback, Mapping) or not fallback:
        raise BadView(
            f"Feature view {view!r} has the fallback {fallback!r}.",
            hint="Write last_good(), last_good(within=days(30)), or values by feature: {'gust': 0.0}.",
        )
    return {name: _checked_default(name, value, features, view) for name, value in fallback.items()}


def _checked_last_good(fallback: LastGood, ttl: timedelta | None, view: str) -> LastGood:
    if ttl is None:
        raise BadView(
            f"Feature view {view!r} falls back to its last good row, but has no ttl: its rows never expire.",
            hint="Say how long a row is fresh: ttl=hours(3).",
        )
    if fallback.within is not None and fallback.within <= ttl:
        raise BadView(
            f"Feature view {view!r} falls back to rows within {fallback.within}, all of them fresh by its ttl of {ttl}.",
            hint="within= counts from the row's event, as ttl= does: make it longer.",
        )
    return fallback


def _checked_default(name: object, value: object, features: Mapping[str, Expr], view: str) -> Default:
    if not isinstance(name, str) or name not in features:
        near = nearest(name, features) if isinstance(name, str) else None
        raise BadView(
            f"Feature view {view!r} has a fallback for {name!r}, which is none of its features.",
            hint=f"Did you mean {near!r}?" if near else f"It has {', '.join(features)}.",
        )
    kind = features[name].type
    default = _as_type(value, kind)
    if default is None:
        raise BadView(
            f"Feature view {view!r} has the fallback {value!r} for {name!r}, which must be {_WANTED[kind]}.",
            hint="Leave a feature out, and it stays missing.",
        )
    return default


def _as_type(value: object, kind: ExprType) -> Default | None:
    """The value as a feature of that type holds it; None where it cannot."""
    if kind == "text":
        text = value.value if isinstance(value, Enum) else value
        return text if isinstance(text, str) else None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value) + 0.0  # adding zero makes -0.0 into 0.0, as in every feature
        struct.pack("<f", number)
    except OverflowError:
        return None
    return number if number - number == 0.0 else None


def fallback_as_json(fallback: Fallback) -> dict[str, Any]:
    """The fallback as JSON-compatible data; `fallback_from_json` reads it back."""
    if isinstance(fallback, LastGood):
        return {"kind": "last_good", "within_us": fallback.within_us}
    return {"kind": "defaults", "values": dict(fallback)}


def fallback_from_json(data: Mapping[str, Any]) -> Fallback:
    """The fallback that `fallback_as_json` wrote.

    >>> fallback_from_json(fallback_as_json(last_good()))
    LastGood(within=None)

    Raises:
        BadView: a kind that this version does not know.
    """
    if data["kind"] == "last_good":
        within_us = data["within_us"]
        return LastGood(within_us * _MICROSECOND if within_us is not None else None)
    if data["kind"] == "defaults":
        return dict(data["values"])
    raise BadView(f"The fallback {data['kind']!r} is unknown.", hint="Was the view stored by a newer perdure?")
