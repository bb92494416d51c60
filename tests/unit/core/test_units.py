"""Durations and rates as users write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import DeclarationError
from perdure.core.units import (
    Rate,
    days,
    duration_text,
    hours,
    minutes,
    parse_duration,
    per_day,
    per_month,
    per_week,
    seconds,
    weeks,
)


@pytest.mark.parametrize(
    ("text", "span"),
    [("90s", seconds(90)), ("15m", minutes(15)), ("12h", hours(12)), ("7d", days(7)), ("2w", weeks(2))],
)
def test_a_number_and_a_unit_are_a_duration(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


def test_spaces_and_fractions_are_allowed() -> None:
    assert parse_duration(" 1.5 h ") == minutes(90)


@pytest.mark.parametrize("text", ["", "12", "h", "12 parsecs", "-3h", "1h30m", "1e3s"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DeclarationError, match=r"is not a duration.*such as 12h"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=10**15))
def test_a_duration_reads_back_from_its_text_to_the_microsecond(n: int) -> None:
    span = timedelta(microseconds=n)

    assert parse_duration(duration_text(span)) == span


def test_a_duration_of_nothing_has_a_text() -> None:
    assert duration_text(timedelta(0)) == "0s"


def test_rates_count_within_a_stretch() -> None:
    assert [per_day(1), per_week(2), per_month(3)] == [Rate(1, days(1)), Rate(2, days(7)), Rate(3, days(30))]
