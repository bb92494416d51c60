"""Charts of numbers and instants that nobody expects: each is drawn, or told to be nothing, and none fails the page."""

from __future__ import annotations

import math

import pytest

from perdure.core.clock import parse_at, to_us
from perdure.surface.console.drawing import points, svg
from perdure.surface.console.records import Picture, Series
from perdure.surface.console.thinning import thin

DAY = 86_400_000_000
T = to_us(parse_at("2025-03-01T00:00:00Z"))
LAST = to_us(parse_at("9999-12-31T23:59:59Z"))


def drawn(values, at=None, **rest) -> str:
    at_us = at or [T + n * DAY for n in range(len(values))]
    picture = Picture("p", "Error", "min", tuple(at_us), (Series("mae", tuple(values)),), **rest)
    assert "NaN" not in str(points(picture))
    found = str(svg(picture))
    assert not {"nan", "inf"} & set(found.replace('"', " ").replace(",", " ").split())
    return found


@pytest.mark.parametrize(
    "values",
    [
        [5.0], [5.0] * 9, [0.0] * 9, [-5.0] * 3, [1e-300, 2e-300], [5e-324, 1e-323], [1.0, 1.0 + 1e-15], [1e299, -1e299],
        [1.0, None, None, 2.0, None], [math.nan, 1.0, math.inf], [1.7e308, 2.0],
    ],
)  # fmt: skip
def test_every_run_of_values_is_a_drawing(values):
    assert drawn(values).startswith("<svg")


@pytest.mark.parametrize("values", [[], [None], [math.nan], [math.inf, -math.inf], [1.7e308]])
def test_what_cannot_be_drawn_is_told_to_be_nothing(values):
    assert "Nothing was measured" in drawn(values, at=[T + n for n in range(max(1, len(values)))])


@pytest.mark.parametrize("bound", [math.inf, -math.inf, math.nan])
def test_a_bound_that_is_no_number_is_left_out(bound):
    assert 'class="bound"' not in drawn([1.0], bound=bound)


def test_from_the_first_of_our_instants_to_the_last_there_are_years_below_and_not_a_thousand():
    assert 2 <= drawn([1.0, 2.0], at=[T, LAST]).count("tick x") < 20
    assert drawn([1.0, 2.0], at=[LAST - DAY, LAST]).count("tick x") >= 2
    assert drawn([1.0, 2.0], at=[to_us(parse_at("0001-01-01T00:00:00Z")), LAST]).count("tick x") < 20


def test_what_is_no_number_makes_no_hole_where_a_bucket_has_numbers_too():
    few = thin(
        Picture("p", "Error", "", tuple(range(400)), (Series("mae", (1.0, math.nan, 3.0, math.inf) * 100),)), 100
    )
    assert few.series[0].values == (2.0,) * 100
    assert (few.series[0].low[0], few.series[0].high[0]) == (1.0, 3.0)
