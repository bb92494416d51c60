"""A change of unit is told from a season: converted values come back, new ones on the same lattice never left."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.stats.columns import NumericColumn, numeric_column
from perdure.engines.drift.conversions import CONVERSIONS, find_rescaling, off_grid

KNOT_MPH = 1.15078


def _wind(rng: np.random.Generator, n: int, mean: float = 9.0) -> np.ndarray:
    """Whole knots in miles an hour, rounded as a feed rounds them."""
    return (rng.poisson(mean, n) * KNOT_MPH).round(5)


@pytest.fixture
def reference() -> NumericColumn:
    return numeric_column(_wind(np.random.default_rng(0), 4000).astype(np.float32))


def test_kilometres_for_miles_are_found_though_most_values_stay_plausible(reference: NumericColumn) -> None:
    wind = (_wind(np.random.default_rng(1), 300) * 1.609344).round(2)
    found = find_rescaling(reference, wind)
    assert found is not None
    assert found.conversion.name == "miles to kilometres"
    assert found.n_off_grid > 200


def test_a_change_of_unit_within_the_window_is_found(reference: NumericColumn) -> None:
    rng = np.random.default_rng(2)
    mixed = np.concatenate([_wind(rng, 400), _wind(rng, 100) * 1.609344, [np.nan] * 5])
    found = find_rescaling(reference, mixed)
    assert found is not None
    assert found.conversion.name == "miles to kilometres"
    assert not off_grid(reference, mixed)[:400].any()


def test_a_windy_season_is_no_change_of_unit(reference: NumericColumn) -> None:
    """Values that training never had lie on the same lattice: nothing is off it."""
    storm = _wind(np.random.default_rng(3), 500, mean=40.0)
    assert not off_grid(reference, storm).any()
    assert find_rescaling(reference, storm) is None


def test_values_of_no_known_unit_are_off_the_grid_and_unexplained(reference: NumericColumn) -> None:
    noise = np.random.default_rng(4).uniform(0.0, 30.0, 500)
    assert off_grid(reference, noise).mean() > 0.7
    assert find_rescaling(reference, noise) is None


def test_a_column_of_many_values_or_of_two_tells_nothing() -> None:
    rng = np.random.default_rng(5)
    many, two = rng.normal(size=2000).astype(np.float32), rng.integers(0, 2, 2000).astype(np.float32)
    for values in (many, two):
        column = numeric_column(values)
        assert find_rescaling(column, values * 25.4) is None
        assert not off_grid(column, values * 25.4).any()


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda each: each.name)
def test_undoing_a_conversion_gives_the_values_back(conversion: object) -> None:
    values = np.array([0.0, 1.0, -3.5, 120.0])
    there = values * conversion.scale + conversion.offset  # type: ignore[attr-defined]
    np.testing.assert_allclose(conversion.undone(there), values, atol=1e-9)  # type: ignore[attr-defined]


def test_celsius_for_fahrenheit_is_found() -> None:
    rng = np.random.default_rng(6)
    column = numeric_column(rng.integers(10, 70, 3000).astype(np.float32))
    found = find_rescaling(column, ((rng.integers(10, 70, 200) - 32) / 1.8).round(2))
    assert found is not None
    assert found.conversion.name == "Fahrenheit to Celsius"
