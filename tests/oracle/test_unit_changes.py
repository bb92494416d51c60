"""Unit changes against exact definitions, on samples of other rows than the past's."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.engines.profile.units import UNIT_CHANGES, UnitChange, fit_units

_KNOTS = np.arange(36) * 1.15078
_WEIGHTS = np.exp(-(((np.arange(36) - 9) / 6.0) ** 2) / 2.0)


def _wind(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(_KNOTS, n, p=_WEIGHTS / _WEIGHTS.sum())


EXACT = [
    # BIPM, The International System of Units (2019), table 8; NIST SP 811 (2008), appendix B.8.
    ("km/h instead of mph", 1.609344, 0.0),
    ("m/s instead of mph", 0.44704, 0.0),
    ("km/h instead of knots", 1.852, 0.0),
    ("m/s instead of knots", 1852.0 / 3600.0, 0.0),
    ("mm instead of inches", 25.4, 0.0),
    ("metres instead of feet", 0.3048, 0.0),
    ("kg instead of pounds", 0.45359237, 0.0),
    ("hPa instead of inHg", 33.86389, 0.0),
    ("mmHg instead of hPa", 100.0 / 133.3224, 0.0),
    ("°F instead of °C", 1.8, 32.0),
    ("°C instead of °F", 5.0 / 9.0, -160.0 / 9.0),
    ("K instead of °C", 1.0, 273.15),
]


@pytest.mark.parametrize(("name", "scale", "offset"), EXACT, ids=[name for name, _, _ in EXACT])
def test_the_factor_of_a_known_change_is_the_published_one(name: str, scale: float, offset: float) -> None:
    [change] = [each for each in UNIT_CHANGES if each.name() == name]
    assert change.scale == pytest.approx(scale, rel=2e-6)
    assert change.offset == pytest.approx(offset, rel=1e-9)


@pytest.mark.parametrize("change", UNIT_CHANGES, ids=lambda change: change.name())
def test_a_days_values_off_the_grid_tell_the_factor(change: UnitChange) -> None:
    """72 values of a windier day than the past's, and each factor among all that are known."""
    day = _wind(7, 72) * change.scale + change.offset
    fit = fit_units(_wind(1, 4000), day, "speed")
    assert (fit.scale, fit.offset, fit.changed) == (change.scale, change.offset, True)
    assert fit.on_grid_after == 1.0
    assert fit.on_grid_before is not None
    assert fit.on_grid_before < 0.4


@pytest.mark.parametrize("change", UNIT_CHANGES, ids=lambda change: change.name())
def test_many_values_of_a_column_that_names_its_unit_tell_the_factor(change: UnitChange) -> None:
    """No grid helps: distributions are compared, and the column's name tells close factors apart."""
    rng = np.random.default_rng(3)
    old, new = rng.normal(60.0, 12.0, 5000), rng.normal(60.0, 12.0, 3000)
    fit = fit_units(old, new * change.scale + change.offset)
    assert fit.changed
    assert fit.scale == pytest.approx(change.scale, rel=0.03)
    assert fit.distance_after < 0.1


def test_rounded_values_are_undone_to_within_their_rounding() -> None:
    """A feed that converts, converts to one decimal place."""
    fit = fit_units(_wind(1, 4000), np.round(_wind(7, 72) * 1.609344, 1), "wind_mph")
    assert (fit.name, fit.changed) == ("km/h instead of mph", True)


def test_an_unknown_factor_is_found_by_the_gaps_of_the_grid() -> None:
    fit = fit_units(_wind(1, 4000), _wind(7, 200) * 7.3)
    assert fit.changed
    assert fit.name == ""
    assert fit.scale == pytest.approx(7.3, rel=1e-6)


def test_no_rain_is_no_evidence() -> None:
    """Nine of ten hours are dry in any unit; the others are off the grid."""
    rng = np.random.default_rng(0)
    rain = np.where(rng.random(4000) < 0.1, rng.integers(1, 9, 4000) * 0.5, 0.0)
    fit = fit_units(rain[:3000], rain[3000:3200] / 25.4, "rain_mm")
    assert (fit.scale, fit.changed) == (1 / 25.4, True)


def test_too_few_values_tell_nothing() -> None:
    fit = fit_units(_wind(1, 4000), _wind(7, 5) * 1.609344)
    assert (fit.name, fit.changed) == ("no change", False)
