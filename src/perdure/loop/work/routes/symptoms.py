"""What the causes of routes ask of findings: which broke, and over which window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from perdure.assets.health import Finding, State
from perdure.core.units import days
from perdure.loop.work.routes.evidence import harm_of

UPSTREAM_FAILING = "upstream_failing"
UPSTREAM_SLOW = "upstream_slow"
UPSTREAM_SATURATED = "upstream_saturated"
SILENT_CHANGE = "silent_change"
PRICE_CHANGE = "price_change"
LONGER_CALLS = "longer_calls"
TRAFFIC_MOVED = "traffic_moved"
GUARD_TROUBLE = "guard_trouble"
BEFORE = 7
"""So many windows before the one that broke are what it is held against, a day at least."""


def broken_of(findings: Sequence[Finding], *harms: str) -> list[Finding]:
    """The broken findings that are about one of some harms."""
    return [each for each in findings if each.state is State.BROKEN and harm_of(each.reading.signal) in harms]


def over_of(findings: Sequence[Finding]) -> timedelta:
    """The shortest window of some findings."""
    return min(each.reading.window_end - each.reading.window_start for each in findings)


def before_of(over: timedelta) -> timedelta:
    """How long the time before is."""
    return max(BEFORE * over, days(1))


def times(ratio: float) -> str:
    """A ratio as people say it.

    >>> times(1.23), times(12.3)
    ('1.2 times', '12 times')
    """
    return f"{ratio:.2g} times" if ratio < 10 else f"{ratio:.0f} times"
