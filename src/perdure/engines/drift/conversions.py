"""Was a column rescaled? A value that changed its unit leaves the few values it had, and comes back when converted.

Called by diagnosing, of served features and of labels. A season moves a column as far as a unit does, but no
conversion then puts its values back where they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.columns import NumericColumn

Floats1D = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Conversion:
    """`current = scale * former + offset`, and what it is called."""

    name: str
    scale: float
    offset: float = 0.0

    def undone(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Converted values as they would have been before."""
        undone: NDArray[np.float64] = (values - self.offset) / self.scale
        return undone


def _both_ways(name: str, back: str, scale: float) -> list[Conversion]:
    return [Conversion(name, scale), Conversion(back, 1.0 / scale)]


CONVERSIONS: tuple[Conversion, ...] = (
    *_both_ways("miles to kilometres", "kilometres to miles", 1.609344),
    *_both_ways("knots to kilometres an hour", "kilometres an hour to knots", 1.852),
    *_both_ways("knots to miles an hour", "miles an hour to knots", 1.150779),
    *_both_ways("metres a second to kilometres an hour", "kilometres an hour to metres a second", 3.6),
    *_both_ways("metres a second to miles an hour", "miles an hour to metres a second", 2.236936),
    *_both_ways("metres a second to knots", "knots to metres a second", 1.943844),
    *_both_ways("feet to metres", "metres to feet", 0.3048),
    *_both_ways("inches to centimetres", "centimetres to inches", 2.54),
    *_both_ways("inches to millimetres", "millimetres to inches", 25.4),
    *_both_ways("pounds to kilograms", "kilograms to pounds", 0.45359237),
    *_both_ways("minutes to seconds", "seconds to minutes", 60.0),
    *_both_ways("hours to seconds", "seconds to hours", 3600.0),
    *_both_ways("days to hours", "hours to days", 24.0),
    *_both_ways("tens", "tenths", 10.0),
    *_both_ways("ratio to percent", "percent to ratio", 100.0),
    *_both_ways("thousands", "thousandths", 1000.0),
    *_both_ways("millions", "millionths", 1e6),
    Conversion("Fahrenheit to Celsius", 5.0 / 9.0, -160.0 / 9.0),
    Conversion("Celsius to Fahrenheit", 1.8, 32.0),
    Conversion("Celsius to Kelvin", 1.0, 273.15),
    Conversion("Kelvin to Celsius", 1.0, -273.15),
)
"""Conversions of the International System of Units (BIPM, 9th edition, 2019) and of decimal prefixes."""
_TOLERANCE = 0.1
"""Share of the usual step between two values of the reference by which rounding may put a value off."""
_BACK = 0.9
"""At least so much of the values that left the grid comes back when converted; by chance a fifth would."""
_MIN_VALUES = 20
_LATTICE = 0.95
"""At least so much of the reference's values lie whole steps apart."""
_NOISE = 1e-6
_BEYOND = 0.5
"""By so much of its range converted values may pass the reference's."""
_MIN_STEPS = 5


@dataclass(frozen=True, slots=True)
class Rescaled:
    """A conversion that explains where a column's values went."""

    conversion: Conversion
    n_off_grid: int
    """Values that the reference does not know as they are."""
    back_ratio: float
    """Share of these that it knows after the conversion is undone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The values of a reference, and the lattice that they lie on where they do."""

    values: NDArray[np.float64]
    """Sorted."""
    step: float
    """Of the lattice; the usual one between two values where there is none."""
    lattice: bool

    @classmethod
    def of(cls, column: NumericColumn) -> _Known | None:
        """None for a column of too many values, or too few, to tell."""
        if not column.grid.discrete or len(column.grid.edges) < 2 * _MIN_STEPS:
            return None
        values = column.grid.edges[0::2].astype(np.float64)
        gaps = np.diff(values)
        step = float(gaps[gaps > _NOISE * (values[-1] - values[0])].min())
        places = (values - values[0]) / step
        lattice = float((np.abs(places - np.round(places)) <= _TOLERANCE).mean()) >= _LATTICE
        return cls(values, step if lattice else float(np.median(gaps)), lattice)

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values are like those of the reference: one of them, or on their lattice."""
        at = np.searchsorted(self.values, values)
        above = np.abs(self.values[np.minimum(at, len(self.values) - 1)] - values)
        below = np.abs(values - self.values[np.maximum(at - 1, 0)])
        near: NDArray[np.bool_] = np.minimum(above, below) <= _TOLERANCE * self.step
        if self.lattice:
            places = (values - self.values[0]) / self.step
            near |= np.abs(places - np.round(places)) <= _TOLERANCE
        return near

    def takes_back(self, undone: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which converted values come back: like those of the reference, about as large, and not lost in its 0."""
        low, high = self.values[0], self.values[-1]
        beyond = _BEYOND * (high - low)
        inside = (undone >= low - beyond) & (undone <= high + beyond) & (np.abs(undone) > _TOLERANCE * self.step)
        back: NDArray[np.bool_] = inside & self.holds(undone)
        return back


def off_grid(column: NumericColumn, values: Floats1D) -> NDArray[np.bool_]:
    """Which values are unlike those of the reference, shape (n,); NaN is not one of them.

    Values that lie on the same lattice are alike, also where the reference never had them: a warmer summer than
    ever has the same tenths of a degree. None is unlike, where the reference has too many different values to tell.
    """
    known, data = _Known.of(column), np.asarray(values, dtype=np.float64)
    if known is None:
        return np.zeros(len(data), dtype=np.bool_)
    finite = np.isfinite(data)
    away: NDArray[np.bool_] = finite & ~known.holds(np.where(finite, data, known.values[0]))
    return away


def find_rescaling(column: NumericColumn, current: Floats1D) -> Rescaled | None:
    """The known conversion that puts those values back on the reference's own that are off them, or None.

    Only they are asked, so a change of unit within the window is found, too. It is found for columns of few
    different values (at least 5), which is where it shows for sure.

    Args:
        column: the reference.
        current: values of the window, shape (n,); NaN is left out.

    Cost: O(conversions * distinct values).

    >>> from perdure.core.stats.columns import numeric_column
    >>> mph = np.random.default_rng(0).integers(0, 36, 2000) * 1.15078
    >>> found = find_rescaling(numeric_column(mph.astype(np.float32)), mph[:200] * 1.609344)
    >>> found.conversion.name, found.back_ratio
    ('miles to kilometres', 1.0)
    """
    known = _Known.of(column)
    away = np.asarray(current, dtype=np.float64)[off_grid(column, current)]
    if known is None or len(away) < _MIN_VALUES:
        return None
    distinct, counts = np.unique(away, return_counts=True)
    shares = [
        (float(counts[known.takes_back(conversion.undone(distinct))].sum() / counts.sum()), conversion)
        for conversion in CONVERSIONS
    ]
    share, conversion = max(shares, key=lambda found: found[0])
    return Rescaled(conversion, len(away), share) if share >= _BACK else None
