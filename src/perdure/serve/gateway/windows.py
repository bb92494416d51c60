"""Windows of limits and budgets: minutes, and calendar days, weeks and months of a team's own time zone.

A budget's window begins at local midnight. What surprised us: where clocks change at midnight, a day begins at the first
instant that has its date, and in 2011 Samoa had no 30 December at all: ends are therefore the begin of the next date, and
never "a day later".

Minutes are smoothed. A limit of 60 a minute that were counted by the clock's minutes alone would let 120 through within a
second, around the turn of a minute. Here what the minute before used weighs on this one by the part of it that lies within
the last 60 seconds. So any stretch of s seconds (up to 60) lets at most limit × (1 + s / 60) through: a burst is never
above the limit, wherever it falls, and the limit can be had in full minute after minute. A virtual clock for each caller
(GCRA) has the same bound; but its state is an instant, which workers would have to share at each call, where amounts in
windows can be leased in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from perdure.assets.team import Period
from perdure.core.clock import from_us, to_us
from perdure.core.errors import BadTeam

MINUTE_US = 60_000_000
NEVER_US = 2**62
"""An end that does not come."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time with a name, from `starts_us` until before `ends_us`."""

    label: str
    starts_us: int
    ends_us: int


@lru_cache(maxsize=512)
def zone(name: str) -> tzinfo:
    """The time zone of a name.

    Raises:
        BadTeam: there is none of that name on this machine.
    """
    if name == "UTC":
        return timezone.utc  # noqa: UP017 - mypy knows the alias as a value, not as a tzinfo
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadTeam(
            f"There is no time zone {name!r} here.",
            hint="Write one such as Europe/Berlin; where the machine has none at all: pip install tzdata",
        ) from error


def calendar_window(per: Period, timezone_name: str, now_us: int) -> Window:
    """The day, week (from Monday) or month that an instant falls in, by the clocks of a time zone; or all of time.

    Cost: some 5 µs; callers keep it until it ends.

    >>> calendar_window("month", "Europe/Berlin", 1_767_225_600_000_000).label
    '2026-01'
    >>> calendar_window("total", "UTC", 0)
    Window(label='total', starts_us=0, ends_us=4611686018427387904)

    Raises:
        BadTeam: no such time zone.
    """
    if per == "total":
        return Window("total", 0, NEVER_US)
    place = zone(timezone_name)
    today = from_us(now_us).astimezone(place).date()
    if per == "day":
        return _window(today.isoformat(), today, today + timedelta(days=1), place)
    if per == "week":
        monday = today - timedelta(days=today.weekday())
        year, week, _ = monday.isocalendar()
        return _window(f"{year}-W{week:02}", monday, monday + timedelta(days=7), place)
    first = today.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return _window(f"{first:%Y-%m}", first, following, place)


def minute_window(now_us: int) -> Window:
    """The minute of an instant, named by its number since 1970.

    >>> minute_window(61_000_000)
    Window(label='1', starts_us=60000000, ends_us=120000000)
    """
    number = now_us // MINUTE_US
    return Window(str(number), number * MINUTE_US, (number + 1) * MINUTE_US)


def minute_room(ceiling: int, before: int, elapsed_us: int) -> int:
    """What this minute may use, `elapsed_us` after it began, where the minute before used so much; below 0: nothing.

    >>> minute_room(60, 60, 0), minute_room(60, 60, 30_000_000), minute_room(60, 10, 30_000_000)
    (0, 30, 55)
    """
    left_us = MINUTE_US - min(max(elapsed_us, 0), MINUTE_US)
    return ceiling + -(before * left_us) // MINUTE_US


def minute_delay_us(ceiling: int, levels: tuple[int, int], amount: int, elapsed_us: int) -> int:
    """Until there is room for `amount`, if nothing else comes. `levels`: of the minute before, and of this one.

    >>> minute_delay_us(60, (60, 0), 30, 0), minute_delay_us(60, (0, 60), 30, 30_000_000)
    (30000000, 60000000)
    """
    before, present = levels
    if present + amount <= ceiling:
        return max(_until_us(ceiling - present - amount, before) - elapsed_us, 0)
    return MINUTE_US - elapsed_us + _until_us(ceiling - amount, present)


def _until_us(room: int, before: int) -> int:
    """How far into a minute the weight of the one before has sunk to `room`."""
    if before <= room:
        return 0
    return MINUTE_US - max(room, 0) * MINUTE_US // before


def _window(label: str, first: date, following: date, place: tzinfo) -> Window:
    return Window(label, _midnight_us(first, place), _midnight_us(following, place))


def _midnight_us(day: date, place: tzinfo) -> int:
    """The first instant with this date: of a midnight that comes twice the earlier, of one that is left out the change."""
    return to_us(datetime(day.year, day.month, day.day, tzinfo=place))
