"""Calendar windows of any time zone, and minutes that are smoothed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.clock import from_us, to_us
from perdure.core.errors import BadTeam
from perdure.serve.gateway.windows import (
    MINUTE_US,
    NEVER_US,
    calendar_window,
    minute_delay_us,
    minute_room,
    minute_window,
)

ZONES = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "America/Havana", "Asia/Beirut"]
INSTANTS = st.integers(to_us(datetime(2005, 1, 1, tzinfo=UTC)), to_us(datetime(2035, 1, 1, tzinfo=UTC)))


@given(INSTANTS, st.sampled_from(ZONES), st.sampled_from(["day", "week", "month"]))
def test_windows_hold_their_instant_and_follow_each_other_without_a_gap(now_us, zone, per):
    window = calendar_window(per, zone, now_us)
    following = calendar_window(per, zone, window.ends_us)

    assert window.starts_us <= now_us < window.ends_us
    assert following.starts_us == window.ends_us
    assert following.label > window.label
    assert calendar_window(per, zone, window.starts_us) == window
    assert calendar_window(per, zone, window.ends_us - 1) == window


@pytest.mark.parametrize(
    ("per", "zone", "at", "label", "hours"),
    [
        ("day", "UTC", "2026-02-03T23:59:59Z", "2026-02-03", 24),
        ("day", "Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29", 23),  # clocks go forward
        ("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25", 25),
        ("day", "Asia/Kathmandu", "2026-02-03T18:15:00Z", "2026-02-04", 24),
        ("day", "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04", 23),  # a day without midnight
        ("day", "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29", 24),  # the 30th never came
        ("week", "UTC", "2027-01-03T12:00:00Z", "2026-W53", 168),
        ("month", "UTC", "2028-02-29T12:00:00Z", "2028-02", 29 * 24),
        ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12", 31 * 24),
    ],
)
def test_a_window_is_that_of_the_clocks_on_the_wall(per, zone, at, label, hours):
    window = calendar_window(per, zone, to_us(datetime.fromisoformat(at)))

    assert (window.label, (window.ends_us - window.starts_us) / 3_600_000_000) == (label, hours)


def test_the_samoan_day_after_the_29th_was_the_31st():
    window = calendar_window("day", "Pacific/Apia", to_us(datetime(2011, 12, 30, 10, tzinfo=UTC)))

    assert (window.label, from_us(window.starts_us).isoformat()) == ("2011-12-31", "2011-12-30T10:00:00+00:00")


def test_all_of_time_is_one_window():
    assert calendar_window("total", "UTC", 1).ends_us == NEVER_US


def test_a_time_zone_that_is_not_there_is_told():
    with pytest.raises(BadTeam, match="no time zone 'Europe/Berlen'"):
        calendar_window("day", "Europe/Berlen", 0)


@given(st.integers(1, 10_000), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, MINUTE_US - 1), st.data())
def test_there_is_room_after_the_delay_and_not_before(ceiling, before, present, elapsed_us, data):
    """Told to come back then, a caller that is alone is served then, and would not have been a moment earlier."""
    before, present = min(before, ceiling), min(present, ceiling)
    amount = data.draw(st.integers(1, ceiling))
    delay_us = minute_delay_us(ceiling, (before, present), amount, elapsed_us)

    def fits(after_us):
        at_us = elapsed_us + after_us
        if at_us < MINUTE_US:
            return present + amount <= minute_room(ceiling, before, at_us)
        return amount <= minute_room(ceiling, present, at_us - MINUTE_US)

    assert fits(delay_us)
    assert delay_us == 0 or not fits(delay_us - 2)


@given(st.lists(st.tuples(st.integers(0, 5 * MINUTE_US), st.integers(1, 20)), max_size=60), st.integers(1, 60))
def test_no_stretch_lets_more_through_than_the_bound(arrivals, ceiling):
    """limit × (1 + s / 60) in any s seconds: a burst is never above the limit, wherever it falls."""
    passed, totals = [], {}
    for at_us, amount in sorted(arrivals):
        minute, elapsed_us = divmod(at_us, MINUTE_US)
        room = minute_room(ceiling, totals.get(minute - 1, 0), elapsed_us) - totals.get(minute, 0)
        if amount <= room:
            totals[minute] = totals.get(minute, 0) + amount
            passed.append((at_us, amount))
    for first, (start_us, _) in enumerate(passed):
        for last in range(first, len(passed)):
            span_us = passed[last][0] - start_us
            if span_us <= MINUTE_US:
                assert sum(amount for _, amount in passed[first : last + 1]) <= ceiling * (1 + span_us / MINUTE_US)


def test_minutes_are_numbered_since_1970():
    assert minute_window(3 * MINUTE_US + 5).label == "3"
