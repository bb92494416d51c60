"""The two clocks, and the only place that reads the time.

Domain time (windows, TTL, label delay, budgets, watch) is data: it travels with a request of a
replay and with `tick(now)`. Machine time is for leases, timeouts, polling and latency. A lint rule
forbids `datetime.now` and `time.time` in every other module.

Inside hot paths an instant is an `int` of microseconds since 1970 UTC (`_us`); elsewhere an aware
UTC `datetime` (`_at`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from perdure.core.errors import DeclarationError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time of one of the two clocks."""

    def now(self) -> datetime:
        """The instant, aware, UTC."""
        ...


class MachineClock:
    """The machine's clock: in production domain time is machine time."""

    __slots__ = ()

    def now(self) -> datetime:
        """The machine's instant, aware, UTC."""
        return datetime.now(UTC)


def machine_now() -> datetime:
    """The machine's instant, aware, UTC."""
    return datetime.now(UTC)


def machine_us() -> int:
    """The machine's instant in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


monotonic_s: Callable[[], float] = time.perf_counter
"""Seconds of a clock that never goes back, for time-outs and latency. The function itself: a call asks it a dozen times."""


def cpu_s() -> float:
    """CPU seconds this process has used so far, user and system."""
    return time.process_time()


def sleep_s(seconds: float) -> None:
    """Wait on the machine's clock."""
    time.sleep(seconds)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC of an aware instant.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000

    Raises:
        DeclarationError: `at` has no time zone.
    """
    if at.tzinfo is None:
        raise DeclarationError(
            f"The instant {at.isoformat()!r} has no time zone.", hint="Use an aware datetime in UTC."
        )
    return (at - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The aware UTC instant of microseconds since 1970.

    >>> from_us(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return EPOCH + timedelta(microseconds=us)


def parse_at(text: str, *, zone_required: bool = False) -> datetime:
    """An aware UTC instant from ISO 8601 text; a date alone means its first instant.

    Without a zone the text means UTC, unless `zone_required`: ask for it where text comes from a
    stranger, who may have meant their own.

    >>> parse_at("2013-03-01").isoformat()
    '2013-03-01T00:00:00+00:00'

    Raises:
        DeclarationError: the text is not an ISO 8601 instant, lies outside of the years 1 to 9999 in
            UTC, or has no zone where one is required.
    """
    example = "Write ISO 8601, such as 2013-03-01T06:00:00Z."
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except ValueError as error:
        raise DeclarationError(f"{text!r} is not an instant.", hint=example) from error
    except OverflowError as error:
        raise DeclarationError(
            f"{text!r} lies outside of the years 1 to 9999 in UTC.", hint="Write an instant within them."
        ) from error
    if zone_required:
        raise DeclarationError(f"The instant {text!r} has no time zone.", hint=example)
    return at.replace(tzinfo=UTC)


def iso(at: datetime) -> str:
    """ISO 8601 with `Z`, to the second where there are no microseconds.

    >>> iso(datetime(2013, 3, 1, tzinfo=UTC))
    '2013-03-01T00:00:00Z'
    """
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
