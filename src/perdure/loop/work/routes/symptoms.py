"""What the causes of routes ask of findings: which broke, over which window, and which time it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from perdure.assets.health import Finding, State
from perdure.core.units import days
from perdure.loop.incidents import find_incident
from perdure.loop.protocols import Watched, Workplace
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


def healthy_time(place: Workplace, asset: Watched, over: timedelta, now: datetime) -> tuple[datetime, datetime]:
    """`[start, end)` that a window of ill health is held against: before it, and before the open incident's first window.

    Else what has been ill for long would be held against itself, and look usual.
    """
    with place.stores.ledger.read() as session:
        incident = find_incident(session, asset.name)
    end = (now if incident is None else min(now, incident.opened_at)) - over
    return end - before_of(over), end


def times(ratio: float) -> str:
    """A ratio as people say it.

    >>> times(1.23), times(12.3)
    ('1.2 times', '12 times')
    """
    return f"{ratio:.2g} times" if ratio < 10 else f"{ratio:.0f} times"
