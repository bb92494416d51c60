"""Kolmogorov–Smirnov and Wasserstein-1 between two columns counted on one fine grid."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.columns import NumericColumn


def ks_distance(reference: NumericColumn, current: NumericColumn) -> float:
    """The largest gap between the two distribution functions, looked for at the grid's edges.

    A lower bound of the exact statistic, short of it by less than a cell's share (1/1,024), in
    practice by 1e-4; exact on a discrete grid. 0 when one side has no value.

    Cost: O(cells).

    Source: A. Kolmogorov (1933), N. Smirnov (1939); checked against scipy's `ks_2samp`.
    """
    gap = _gaps(reference, current)
    return float(np.abs(gap).max()) if len(gap) else 0.0


def ks_margin(n: int, m: int, confidence: float = 0.95) -> float:
    """How far an observed KS distance may lie above the true one, by chance.

    sqrt(ln(2/α)/2 · (1/n + 1/m)): the distance that two samples of one distribution exceed with
    probability α at most.

    Source: P. Massart, Annals of Probability 18 (1990), for the constant.

    >>> round(ks_margin(1000, 1000), 3)
    0.061
    """
    return math.sqrt(math.log(2.0 / (1.0 - confidence)) / 2.0 * (1.0 / n + 1.0 / m)) if n and m else 1.0


def w1_distance(reference: NumericColumn, current: NumericColumn) -> float:
    """The Wasserstein-1 distance in the column's unit: how far a value moved on average.

    The area between the distribution functions, taken as linear within a cell. What lies off the
    grid is exact as long as only one side has values there, by their count and sum; where both
    have, the difference of their excess stands for it. 0 when one side has no value.

    Cost: O(cells).  Checked against scipy's `wasserstein_distance`.
    """
    gap = _gaps(reference, current)
    if not len(gap):
        return 0.0
    edges = reference.grid.edges.astype(np.float64)
    inside = float((_mean_size(gap[:-1], gap[1:]) * np.diff(edges)).sum())
    below = abs(_below(reference, float(edges[0])) - _below(current, float(edges[0])))
    above = abs(_above(reference, float(edges[-1])) - _above(current, float(edges[-1])))
    return inside + below + above


def _gaps(reference: NumericColumn, current: NumericColumn) -> NDArray[np.float64]:
    """Share of the reference below each edge, less that of the current column."""
    if not reference.n or not current.n:
        return np.empty(0)
    return np.cumsum(reference.counts[:-1]) / reference.n - np.cumsum(current.counts[:-1]) / current.n


def _mean_size(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of |x| as x goes linearly from a to b."""
    size = np.abs(a) + np.abs(b)
    crossing = np.divide(a * a + b * b, 2.0 * size, out=np.zeros_like(size), where=size > 0.0)
    return np.where(a * b < 0.0, crossing, size / 2.0)


def _below(column: NumericColumn, edge: float) -> float:
    return (edge * float(column.counts[0]) - column.below_total) / column.n


def _above(column: NumericColumn, edge: float) -> float:
    return (column.above_total - edge * float(column.counts[-1])) / column.n
