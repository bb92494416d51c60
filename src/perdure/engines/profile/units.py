"""Unit changes: is a column what it was, times a factor, plus an offset? Wind in km/h where it was mph.

The loop asks when a source left its profile. Two samples are compared, not pairs: the same hours need not be in
both. Where the past had few different values, undoing the right change puts the new ones back on them, which chance
does not; of many values the distributions are compared (Kolmogorov–Smirnov).

What surprised us: the ratio of medians is a poor guide, for a windy day has twice the median of a calm month. Known
changes are therefore all tried, and the free fit on quantiles is only one more candidate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NO_CHANGE = "no change"
_MIN_VALUES = 8
_FEW = 256
_REPEATED = 10
_ON_GRID = 0.8
"""Share of values that undoing a change must put back on the values of the past."""
_GAIN = 0.3
_KS_LEVEL = 1.63
"""Critical value of the two-sample Kolmogorov–Smirnov test at 1%: N. Smirnov, Annals of Math. Statistics 19 (1948)."""
_QUANTILES = np.linspace(0.05, 0.95, 19)
_RESAMPLES = 50
_SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A known change: new = scale * old + offset."""

    scale: float
    offset: float
    units: tuple[tuple[str, str], ...]
    """(new, old) pairs of units that this is the change of; the most usual first."""

    def name(self, column: str = "") -> str:
        """In words; of several pairs the one whose old unit the column's name has.

        >>> UnitChange(1.609344, 0.0, (("km", "miles"), ("km/h", "mph"))).name("wind_mph")
        'km/h instead of mph'
        """
        new, old = self.old_unit_of(column) or self.units[0]
        return f"{new} instead of {old}"

    def old_unit_of(self, column: str) -> tuple[str, str] | None:
        """The pair whose old unit the column's name has; None when it has none of them."""
        words = set(column.lower().split("_"))
        return next((pair for pair in self.units if words & set(_SPELT.get(pair[1], (pair[1],)))), None)


_SPELT = {
    "mph": ("mph",),
    "miles": ("mi", "mile", "miles"),
    "km/h": ("kmh", "kph"),
    "m/s": ("ms", "mps"),
    "knots": ("kn", "kt", "knots"),
    "inches": ("in", "inch", "inches"),
    "feet": ("ft", "feet"),
    "metres": ("m", "metres", "meters"),
    "minutes": ("min", "mins", "minutes"),
    "hours": ("h", "hours"),
    "seconds": ("s", "sec", "seconds"),
    "shares": ("ratio", "share"),
    "percent": ("pct", "percent"),
    "hPa": ("hpa", "mb", "mbar"),
    "inHg": ("inhg",),
    "pounds": ("lb", "lbs"),
    "°F": ("f", "fahrenheit"),
    "°C": ("c", "celsius"),
    "K": ("k", "kelvin"),
}


def _both(scale: float, *units: tuple[str, str]) -> list[UnitChange]:
    back = tuple((old, new) for new, old in units)
    return [UnitChange(scale, 0.0, units), UnitChange(1.0 / scale, 0.0, back)]


UNIT_CHANGES: tuple[UnitChange, ...] = (
    *_both(1.609344, ("km/h", "mph"), ("km", "miles")),
    *_both(1.852, ("km/h", "knots")),
    *_both(0.44704, ("m/s", "mph")),
    *_both(3.6, ("km/h", "m/s")),
    *_both(0.514444, ("m/s", "knots")),
    *_both(1.150779, ("mph", "knots")),
    *_both(0.3048, ("metres", "feet")),
    *_both(25.4, ("mm", "inches")),
    *_both(2.54, ("cm", "inches")),
    *_both(0.45359237, ("kg", "pounds")),
    *_both(33.863887, ("hPa", "inHg")),
    *_both(0.750062, ("mmHg", "hPa")),
    *_both(60.0, ("seconds", "minutes"), ("minutes", "hours")),
    *_both(3600.0, ("seconds", "hours")),
    *_both(24.0, ("hours", "days")),
    *_both(100.0, ("percent", "shares"), ("Pa", "hPa"), ("cm", "metres")),
    *_both(10.0, ("tenths", "whole units"), ("mm", "cm")),
    *_both(1000.0, ("thousandths", "whole units"), ("metres", "km"), ("ms", "seconds")),
    UnitChange(1.8, 32.0, (("°F", "°C"),)),
    UnitChange(5.0 / 9.0, -160.0 / 9.0, (("°C", "°F"),)),
    UnitChange(1.0, 273.15, (("K", "°C"),)),
    UnitChange(1.0, -273.15, (("°C", "K"),)),
    UnitChange(5.0 / 9.0, 459.67 * 5.0 / 9.0, (("K", "°F"),)),
)
"""Exact by definition where digits end; SI brochure (2019) and NIST SP 811, appendix B."""


@dataclass(frozen=True, slots=True)
class UnitFit:
    """How new values of a column follow from old ones: new = scale * old + offset."""

    scale: float
    offset: float
    name: str
    """`no change`, a known one such as `km/h instead of mph`, or empty: a factor that nobody is known to use."""
    changed: bool
    on_grid_before: float | None
    """Share of the new values, zeros left out, that the past had; None where it had many different ones."""
    on_grid_after: float | None
    """The same after undoing the change."""
    distance_before: float
    """Kolmogorov–Smirnov distance of the new values from the past, 0 to 1."""
    distance_after: float
    """The same after undoing the change."""
    margin: float
    """Half the width of the free fit's 95% interval of the scale: what the samples alone would tell."""
    n: int
    """New values."""


def fit_units(reference: NDArray[np.floating], current: NDArray[np.floating], column: str = "") -> UnitFit:
    """The change of unit that explains the new values best, or none.

    Of a past of few different values (256 at most, each seen ten times on average) a change must put 80% of the new
    values back on them, and 30 points more than lay there before. Of many values it must bring the
    distributions below half their distance and within a quarter of each other, or within chance; an unknown factor
    only within chance from more than a half.

    Args:
        reference: healthy values, shape (n,); NaN is left out.
        current: new values, shape (m,), of other rows.
        column: its name, which tells mph from miles.

    Returns: `no change` with scale 1 and offset 0 when nothing fits, or fewer than 8 values are there.
    Cost: O((n + m) log n) for each known change; 5,000 and 72 values take 15 ms.

    >>> wind = np.repeat(np.arange(20) * 1.15078, 30)
    >>> fit_units(wind, wind[5:200] * 1.609344, "wind_mph").name
    'km/h instead of mph'
    """
    old = _present(reference)
    new = _present(current)
    if min(len(old), len(new)) < _MIN_VALUES:
        return UnitFit(1.0, 0.0, NO_CHANGE, False, None, None, 0.0, 0.0, 0.0, len(new))
    grid = _grid(old)
    judge = _Judge(old, new, grid)
    free = _free(old, new)
    margin = _margin(old, new)
    known = [(change, judge.fit(change.scale, change.offset)) for change in UNIT_CHANGES]
    known = [each for each in known if judge.explains(each[1], known=True)]
    # Factors that are close to each other both explain a small sample: the column's own unit tells them apart.
    known = [each for each in known if each[0].old_unit_of(column)] or known
    found = [(fit, change.name(column)) for change, fit in known]
    if not found:
        tries = [free, *([] if grid is None else _lattice(grid, new))]
        found = [(judge.fit(*each), "") for each in tries]
        found = [each for each in found if judge.explains(each[0], known=False)]
    best, name = min(found, key=lambda each: each[0].badness, default=(judge.as_it_is, NO_CHANGE))
    before = judge.as_it_is
    return UnitFit(
        best.scale,
        best.offset,
        name,
        bool(found),
        before.on_grid,
        best.on_grid,
        before.distance,
        best.distance,
        margin,
        len(new),
    )


@dataclass(frozen=True, slots=True)
class _Fit:
    scale: float
    offset: float
    on_grid: float | None
    distance: float

    @property
    def badness(self) -> tuple[float, float]:
        """Less is better: values off the grid first, to a twentieth, then the distance."""
        return (0.0 if self.on_grid is None else round(20.0 * (1.0 - self.on_grid)), self.distance)


class _Judge:
    """Judges changes of one column."""

    def __init__(self, old: Floats, new: Floats, grid: Floats | None) -> None:
        self._old = old
        self._new = new
        self._grid = grid
        # No rain is no rain in any unit.
        self._telling = new[new != 0.0] if (new != 0.0).sum() >= _MIN_VALUES else new
        self._rounding = _rounding(new)
        self._chance = _KS_LEVEL * math.sqrt((len(old) + len(new)) / (len(old) * len(new)))
        self.as_it_is = self.fit(1.0, 0.0)

    def fit(self, scale: float, offset: float) -> _Fit:
        undone = np.sort((self._new - offset) / scale)
        on_grid = None
        if self._grid is not None:
            on_grid = _on_grid(self._grid, (self._telling - offset) / scale, self._rounding / abs(scale))
        return _Fit(scale, offset, on_grid, _ks(self._old, undone))

    def explains(self, fit: _Fit, *, known: bool) -> bool:
        before = self.as_it_is
        if fit.on_grid is not None and before.on_grid is not None:
            return fit.on_grid >= _ON_GRID and fit.on_grid - before.on_grid >= _GAIN
        if before.distance <= 1.5 * self._chance:
            return False
        if not known:
            return before.distance > 0.5 and fit.distance <= self._chance
        return fit.distance <= before.distance / 2.0 and fit.distance <= max(0.25, self._chance)


def _present(values: NDArray[np.floating]) -> Floats:
    doubles = np.asarray(values, dtype=np.float64).ravel()
    return np.sort(doubles[np.isfinite(doubles)])


def _grid(old: Floats) -> Floats | None:
    """The few different values of the past; None where it had many, or only one."""
    distinct = np.unique(old)
    return distinct if 3 <= len(distinct) <= min(_FEW, len(old) // _REPEATED) else None


def _rounding(values: Floats) -> float:
    """Half of the last decimal place that the values use, 0 to 6 places."""
    for places in range(7):
        if np.allclose(values, np.round(values, places), rtol=0.0, atol=1e-7 * max(1.0, float(np.abs(values).max()))):
            return 0.5 * 10.0**-places
    return 0.5e-6


def _on_grid(grid: Floats, values: Floats, rounding: float) -> float:
    """Share of values on the grid, to within their rounding but never more than a tenth of the grid's usual gap."""
    gap = float(np.median(np.diff(grid)))
    tolerance = np.minimum(rounding, 0.1 * gap) + 1e-6 * np.abs(values)
    at = np.clip(np.searchsorted(grid, values), 1, len(grid) - 1)
    nearest = np.minimum(np.abs(values - grid[at - 1]), np.abs(values - grid[at]))
    return float((nearest <= tolerance).mean())


def _ks(first: Floats, second: Floats) -> float:
    """Two-sample Kolmogorov–Smirnov distance of sorted values, to within a millionth of each value."""
    points = np.concatenate([first, second])
    slack = 1e-6 * np.abs(points)
    below = [
        (_share(first, points + slack) - _share(second, points + slack)),
        (_share(first, points - slack) - _share(second, points - slack)),
    ]
    return float(np.minimum(np.abs(below[0]), np.abs(below[1])).max())


def _share(ordered: Floats, points: Floats) -> Floats:
    return np.searchsorted(ordered, points, side="right") / len(ordered)


def _free(old: Floats, new: Floats) -> tuple[float, float]:
    """Scale and offset of the line through the quantiles: Theil–Sen, or through zero where the offset is small.

    Source: P. K. Sen, Journal of the American Statistical Association 63 (1968).
    """
    x, y = np.quantile(old, _QUANTILES), np.quantile(new, _QUANTILES)
    rows, columns = np.triu_indices(len(x), k=1)
    apart = np.abs(x[columns] - x[rows]) > 1e-12
    if not apart.any():
        return 1.0, float(np.median(y) - np.median(x))
    slope = float(np.median((y[columns] - y[rows])[apart] / (x[columns] - x[rows])[apart]))
    slope = slope if abs(slope) > 1e-12 else 1.0
    offset = float(np.median(y - slope * x))
    if abs(offset) < 0.1 * abs(slope) * max(float(np.abs(x).max()), 1e-12):
        weight = float(x @ x)
        return (float(x @ y) / weight, 0.0) if weight > 0.0 else (slope, offset)
    return slope, offset


def _margin(old: Floats, new: Floats) -> float:
    """Half the width of the bootstrap's 95% interval of the free fit's scale; seeded."""
    rng = np.random.default_rng(0)
    sizes = min(len(old), _SAMPLE), min(len(new), _SAMPLE)
    scales = [_free(rng.choice(old, sizes[0]), rng.choice(new, sizes[1]))[0] for _ in range(_RESAMPLES)]
    low, high = np.quantile(scales, [0.025, 0.975])
    return float(high - low) / 2.0


def _lattice(grid: Floats, new: Floats) -> list[tuple[float, float]]:
    """Changes that the usual gaps between neighbouring values suggest, with and without an offset."""
    distinct = np.unique(new)
    if len(distinct) < 3:
        return []
    gaps, new_gaps = np.diff(grid), np.diff(distinct)
    scale = float(np.median(new_gaps[new_gaps <= 1.5 * new_gaps.min()]) / np.median(gaps[gaps <= 1.5 * gaps.min()]))
    return [(scale, 0.0), (scale, float(distinct[0] - scale * grid[0]))]
