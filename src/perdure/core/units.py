"""Durations and rates as users write them: `hours(3)`, `days(7)`, `per_month(6)`, `"12h"`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from perdure.core.errors import DeclarationError

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(n: float) -> timedelta:
    """`n` seconds."""
    return timedelta(seconds=n)


def minutes(n: float) -> timedelta:
    """`n` minutes."""
    return timedelta(minutes=n)


def hours(n: float) -> timedelta:
    """`n` hours."""
    return timedelta(hours=n)


def days(n: float) -> timedelta:
    """`n` days of 24 hours."""
    return timedelta(days=n)


def weeks(n: float) -> timedelta:
    """`n` weeks of 7 days."""
    return timedelta(weeks=n)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `times` in any stretch of `per`."""

    times: int
    per: timedelta


def per_day(times: int) -> Rate:
    """At most `times` in any 24 hours."""
    return Rate(times, days(1))


def per_week(times: int) -> Rate:
    """At most `times` in any 7 days."""
    return Rate(times, days(7))


def per_month(times: int) -> Rate:
    """At most `times` in any 30 days."""
    return Rate(times, days(30))


def parse_duration(text: str) -> timedelta:
    """A duration from text such as `90s`, `15m`, `12h`, `7d`, `2w`.

    >>> parse_duration("12h")
    datetime.timedelta(seconds=43200)

    Raises:
        DeclarationError: the text is no number with one of these units.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", text)
    if match is None:
        raise DeclarationError(f"{text!r} is not a duration.", hint="Write a number and s, m, h, d or w, such as 12h.")
    return timedelta(seconds=float(match[1]) * _UNITS_S[match[2]])


def duration_text(span: timedelta) -> str:
    """The shortest exact text of a duration in one unit.

    >>> duration_text(hours(36)), duration_text(days(7)), duration_text(minutes(10))
    ('36h', '7d', '10m')
    """
    total_s = span.total_seconds()
    for unit in ("d", "h", "m"):
        if total_s and total_s % _UNITS_S[unit] == 0:
            return f"{int(total_s // _UNITS_S[unit])}{unit}"
    return f"{total_s:.6f}".rstrip("0").rstrip(".") + "s"
