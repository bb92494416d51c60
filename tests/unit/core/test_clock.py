"""The two clocks and the two spellings of an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.clock import (
    MachineClock,
    cpu_s,
    from_us,
    iso,
    machine_now,
    machine_us,
    monotonic_s,
    parse_at,
    sleep_s,
    to_us,
)
from perdure.core.errors import DeclarationError

instants = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))


@given(instants)
def test_microseconds_and_instants_are_the_same_thing(at: datetime) -> None:
    assert from_us(to_us(at)) == at


@given(instants)
def test_iso_text_reads_back_as_the_same_instant(at: datetime) -> None:
    assert parse_at(iso(at)) == at


def test_an_instant_of_another_zone_is_the_same_microsecond() -> None:
    cet = timezone(timedelta(hours=1))

    assert to_us(datetime(2013, 3, 1, 1, tzinfo=cet)) == to_us(datetime(2013, 3, 1, tzinfo=UTC))
    assert iso(datetime(2013, 3, 1, 1, tzinfo=cet)) == "2013-03-01T00:00:00Z"


def test_an_instant_before_1970_is_a_negative_number_rounded_down() -> None:
    assert to_us(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


def test_a_naive_instant_is_refused_with_what_to_write() -> None:
    with pytest.raises(DeclarationError, match=r"no time zone.*aware datetime"):
        to_us(datetime(2013, 3, 1))


def test_text_that_is_no_instant_is_refused_with_an_example() -> None:
    with pytest.raises(DeclarationError, match=r"'yesterday' is not an instant.*2013-03-01T06:00:00Z"):
        parse_at("yesterday")


def test_text_without_a_zone_means_utc() -> None:
    assert parse_at("2013-03-01T06:00:00") == datetime(2013, 3, 1, 6, tzinfo=UTC)


def test_text_without_a_zone_is_refused_where_a_zone_is_required() -> None:
    with pytest.raises(DeclarationError, match=r"no time zone.*2013-03-01T06:00:00Z"):
        parse_at("2013-03-01T06:00:00", zone_required=True)

    at = parse_at("2013-03-01T06:00:00+02:00", zone_required=True)

    assert (at, at.tzinfo) == (datetime(2013, 3, 1, 4, tzinfo=UTC), UTC)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-00:01"])
def test_an_instant_that_utc_cannot_spell_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match="years 1 to 9999"):
        parse_at(text)


def test_the_machine_tells_one_time_in_three_ways() -> None:
    before = machine_us()
    told = [to_us(machine_now()), to_us(MachineClock().now())]
    after = machine_us()

    assert all(before <= each <= after for each in told)
    assert machine_now().tzinfo is UTC


def test_waiting_takes_its_time_and_no_cpu() -> None:
    start_s, start_cpu_s = monotonic_s(), cpu_s()

    sleep_s(0.02)

    assert monotonic_s() - start_s >= 0.02
    assert cpu_s() - start_cpu_s < 0.02
