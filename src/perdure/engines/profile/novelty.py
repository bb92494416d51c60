"""Values that the healthy past never had: is a stretch of rows off the profile of its source?

A feed that changes its unit, its rounding or its codes leaves the values of its past at once, however little
its distribution moves: wind in km/h stays within the plausible range, and lies off the original 36 values. The loop's
source recipes call this with two frames, the past and the newest rows.

A new value is *strange* where the past was dense, between two values that it had often, or far outside of all.
A new extreme just past the old one is not: storms do that. What surprised us on a year of real weather: strange
values come in bursts (a sensor that rounds to whole degrees for a morning), so a binomial tail alarms every
month. The test therefore takes how often and in what bursts the column had strange values before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats import proportion_interval

if TYPE_CHECKING:
    import polars as pl

MIN_REFERENCE = 200
"""Values that the past must have, so that one it never had says anything."""
_MAX_DISTINCT = 256
_REPEATED = 10
"""Few values means: each seen so often on average, as for the grids of profiles."""
_OFTEN = 5
"""So often both neighbours of a strange value were seen."""
_RARE = 0.1
"""So many other values, at most, lay between those neighbours, as a share of the rarer one."""
_MARGIN = 0.5
"""How far outside is far, in ranges of the past."""
_BURST = 2.0
"""Strange values of a stretch that has any, before the past has shown its own bursts."""
_ALARMS_A_YEAR = 0.1
_LOOKS_A_YEAR = 365.0
"""Looks that see different rows. Stretches within one look are nested in it, and need no correction: what is tested
is how many strange values the whole look could have had by chance."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """The values of one column's healthy past."""

    values: NDArray[Any]
    """Distinct, sorted: float32, or text."""
    counts: NDArray[np.int64]
    discrete: bool
    """Few values, each seen often: any other is new. Of many values only the range counts."""

    @property
    def n(self) -> int:
        """Values it rests on."""
        return int(self.counts.sum())

    @property
    def numeric(self) -> bool:
        """Numbers, not text."""
        return self.values.dtype.kind == "f"

    def new(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values the past never had; of a column of many values those far outside, shape (n,)."""
        if not self.discrete:
            return self._far(values)
        new: NDArray[np.bool_] = ~np.isin(values, self.values)
        return new

    def strange(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values a healthy source would hardly get, although it had some near by, shape (n,).

        Of few different values: those between two that the past had often, where it had hardly any other. A bad
        hour that was not found is such past too, and must not make the next one healthy.
        """
        if not self.discrete:
            return self._far(values)
        if not self.numeric:
            return self.new(values)
        often = self.counts >= _OFTEN
        known, counts = self.values[often], self.counts[often]
        if not len(known):
            return self._far(values)
        rare = np.bincount(np.searchsorted(known, self.values[~often]), self.counts[~often], minlength=len(known) + 1)
        at = np.searchsorted(known, values)
        beside = np.concatenate([[0], counts, [0]])
        dense = rare[at] <= _RARE * np.minimum(beside[at], beside[at + 1])
        inside = (at > 0) & (at < len(known)) & (known[np.minimum(at, len(known) - 1)] != values)
        strange: NDArray[np.bool_] = (inside & dense) | self._far(values)
        return strange

    def _far(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        if not self.numeric or not len(self.values):
            return np.zeros(len(values), dtype=np.bool_)
        low, high = float(self.values[0]), float(self.values[-1])
        margin = _MARGIN * (high - low)
        far: NDArray[np.bool_] = (values < low - margin) | (values > high + margin)
        return far


def known_values(past: NDArray[Any]) -> Known:
    """What a column had: its values without missing ones, any order.

    >>> known_values(np.repeat(np.float32([0, 5, 10]), 100)).strange(np.float32([5, 8, 11])).tolist()
    [False, True, False]
    """
    values, counts = np.unique(past, return_counts=True)
    few = len(values) <= min(_MAX_DISTINCT, max(1, len(past) // _REPEATED))
    return Known(values, counts.astype(np.int64), few)


@dataclass(frozen=True, slots=True)
class ColumnNovelty:
    """How one column's newest values differ from those of its past."""

    column: str
    share: float
    """Of values that the past never had, in the stretch; of strange ones where they may be chance."""
    low: float
    """0 where they may be chance; else the lower bound of the share."""
    high: float
    n: int
    """Values of the stretch."""
    first: int
    """Where the stretch begins: a position in the window's rows."""
    n_strange: int
    """Strange values of the window."""
    n_reference: int
    p_value: float
    sure: bool
    """Whether a healthy source has so many less than once in ten years."""


def column_novelty(
    name: str,
    past: Sequence[NDArray[Any]],
    window: NDArray[Any],
    *,
    n_columns: int = 1,
    confidence: float = 0.95,
) -> ColumnNovelty | None:
    """The newest values of a column against its past; None where the past has too few values, or the window none.

    How many strange values a healthy look has is taken from the past, each of its looks against all others: the share
    of looks that have any, times the chance of so large a burst, geometric with the mean burst of the past. Sure means below 0.1 alarms a year over all columns of the source, a look a day.

    Args:
        name: of the column.
        past: its values by look, oldest first: each array as long a time as the window.
        window: its newest values in the order in which they became available, missing ones NaN or None.
        n_columns: columns of the source that are judged, for the correction of many comparisons.
        confidence: of the bounds of the share.

    Cost: O(looks * n log n): 60 looks of 72 values take 5 ms.
    """
    present = ~_missing(window)
    values = window[present]
    looks = [look[~_missing(look)] for look in past]
    known = known_values(np.concatenate(looks)) if looks else None
    if known is None or known.n < MIN_REFERENCE or not len(values) or not (known.discrete or known.numeric):
        return None
    strange = known.strange(values)
    new = strange | known.new(values)
    n_strange = int(strange.sum())
    p_value = _tail(n_strange, past_bursts(looks, known))
    if p_value * n_columns * _LOOKS_A_YEAR >= _ALARMS_A_YEAR:
        share = n_strange / len(values)
        return ColumnNovelty(name, share, 0.0, share, len(values), 0, n_strange, known.n, p_value, False)
    stretches = {
        first: proportion_interval(int(new[first:].sum()), len(values) - first, confidence=confidence)
        for first in (0, _stretch(strange))
    }
    first, found = max(stretches.items(), key=lambda stretch: stretch[1].low)
    at = int(np.flatnonzero(present)[first])
    return ColumnNovelty(name, found.value, found.low, found.high, found.n, at, n_strange, known.n, p_value, True)


def past_bursts(looks: Sequence[NDArray[Any]], known: Known) -> list[int]:
    """Strange values of each look against all other looks.

    Args:
        looks: a column's past by look, without missing values.
        known: of all looks together.
    """
    if not known.discrete:
        return _far_bursts(looks)
    at = [np.searchsorted(known.values, look) for look in looks]
    bursts = []
    for positions, look in zip(at, looks, strict=True):
        if not len(look):
            bursts.append(0)
            continue
        own = np.bincount(positions, minlength=len(known.values))
        others = known.counts - own
        if (others[positions] < _OFTEN).any():
            had = others > 0
            strange = Known(known.values[had], others[had], True).strange(look)
            bursts.append(int(strange.sum()))
        else:
            bursts.append(0)
    return bursts


def _far_bursts(looks: Sequence[NDArray[Any]]) -> list[int]:
    filled = [look for look in looks if len(look)]
    lows, highs = [float(look.min()) for look in filled], [float(look.max()) for look in filled]
    bursts = [0] * (len(looks) - len(filled))
    for at, look in enumerate(filled):
        low, high = min([*lows[:at], *lows[at + 1 :]], default=0.0), max([*highs[:at], *highs[at + 1 :]], default=0.0)
        ends = Known(np.array([low, high], dtype=np.float32), np.array([1, 1]), False)
        bursts.append(int(ends.strange(look).sum()))
    return bursts


def _tail(k: int, bursts: Sequence[int]) -> float:
    """The chance of `k` or more strange values in a healthy look, 1 for none."""
    if k == 0:
        return 1.0
    had = [burst for burst in bursts if burst]
    any_at_all = (len(had) + 0.5) / (len(bursts) + 1.0)
    # The largest burst counts twice: what comes once in a year is larger than what came in a month.
    burst = (_BURST + sum(had) + max(had, default=0)) / (1.0 + len(had))
    return min(1.0, any_at_all * math.exp((k - 1) * math.log1p(-1.0 / max(_BURST, burst))))


def _stretch(strange: NDArray[np.bool_]) -> int:
    """First position of the newest stretch in which strange values are most beyond their share of all.

    The maximum, over the first positions, of the likelihood that the share changed there. O(n).
    """
    n, total = len(strange), int(strange.sum())
    if total in (0, n):
        return 0
    after_n = np.arange(n, 0, -1, dtype=np.float64)
    after = np.cumsum(strange[::-1])[::-1].astype(np.float64)
    gain = _likelihood(after, after_n) + _likelihood(total - after, n - after_n)
    rises = after / after_n > (total - after) / np.maximum(1.0, n - after_n)
    gain[1:][~rises[1:]] = -np.inf
    return int(np.argmax(gain))


def _likelihood(k: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest binomial log-likelihood of `k` of `n`; 0 for n = 0."""
    share = k / np.maximum(1.0, n)
    inside = (share > 0.0) & (share < 1.0)
    safe = np.where(inside, share, 0.5)
    log: NDArray[np.float64] = np.where(inside, k * np.log(safe) + (n - k) * np.log1p(-safe), 0.0)
    return log


def onset(off: NDArray[np.bool_], usual: float = 0.0) -> int | None:
    """Position of the first bad row: where the share of off-profile rows rose to stay; None when no row is off.

    Maximises the binomial log-likelihood of one share before and another, larger one after, over all positions.

    Args:
        off: shape (n,), rows in the order in which they became available: whether any column has a strange value.
        usual: share before the change that is expected anyway, such as that of the healthy past.

    Cost: O(n).

    >>> onset(np.array([False] * 50 + [True, True, False] + [True] * 20))
    50
    """
    if not off.any():
        return None
    n = len(off)
    after_n = np.arange(n, 0, -1, dtype=np.float64)
    after = np.cumsum(off[::-1])[::-1].astype(np.float64)
    before_n, before = n - after_n, float(off.sum()) - after
    low = min(max(usual, 0.5 / (n + 1.0)), 0.5)
    gain = before * math.log(low) + (before_n - before) * math.log1p(-low) + _likelihood(after, after_n)
    return int(np.argmax(np.where(off, gain, -np.inf)))


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        gone: NDArray[np.bool_] = ~np.isfinite(values)
        return gone
    return np.array([value is None for value in values], dtype=np.bool_)


def judged_columns(frame: pl.DataFrame) -> list[str]:
    """The columns that have values to compare: numbers and text, without those of perdure's own."""
    return [
        series.name
        for series in frame.iter_columns()
        if not series.name.startswith("_") and (series.dtype.is_numeric() or str(series.dtype) == "String")
    ]


def column_values(series: pl.Series) -> NDArray[Any]:
    """A column as float32, NaN for missing, or as text, None for missing."""
    if series.dtype.is_numeric():
        floats: Floats = series.cast(float_type()).fill_null(float("nan")).to_numpy()
        return floats
    text: NDArray[Any] = np.array(series.to_list(), dtype=object)
    return text


def float_type() -> Any:
    """The type of compared numbers, imported where it is used."""
    import polars as pl

    return pl.Float32
