"""Columns and profiles: what is kept of a window's rows so that drift can be told later.

A profile is small (some 20 kB a numeric column), holds no row, and adds up: the profile of a week
is the sum of the profiles of its days, as long as all were counted against one reference. Built and
stored by `engines.profile`, compared by `engines.drift`.

Counts merge exactly, in any order. The sums that means and W1 need are float64: they merge to
within rounding (1e-12 relative), so compare profiles by their counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError
from perdure.core.stats.sketches import Counts, Grid, count_sorted, make_grid


@dataclass(frozen=True, slots=True, eq=False)
class NumericColumn:
    """A column of numbers on a grid."""

    grid: Grid
    counts: Counts
    """Values in each cell, shape (edges + 1,): below the grid, its cells, above it."""
    n: int
    """Finite values."""
    n_null: int
    """Missing values; NaN and infinities are missing."""
    total: float
    """Sum of the finite values."""
    squares: float
    """Sum of their squares."""
    lowest: float
    """Infinity when there is no value."""
    highest: float
    """Minus infinity when there is no value."""
    below_total: float
    """Sum of the values below the grid, for W1."""
    above_total: float
    """Sum of the values above the grid, for W1."""

    def comparable(self, other: Column) -> bool:
        """Whether both were counted on one grid, so that they may be added or compared."""
        return isinstance(other, NumericColumn) and self.grid.same(other.grid)

    @property
    def mean(self) -> float | None:
        """Mean of the finite values; None when there is none."""
        return self.total / self.n if self.n else None

    @property
    def deviation(self) -> float:
        """Standard deviation of the finite values; 0 when there is none."""
        if not self.n:
            return 0.0
        mean = self.total / self.n
        return math.sqrt(max(0.0, self.squares / self.n - mean * mean))

    @property
    def off_grid_ratio(self) -> float | None:
        """Share of values that the reference never had; None unless the reference has few values.

        A feed that changes its unit or its rounding leaves the grid at once, however little its
        distribution moves.
        """
        if not self.grid.discrete:
            return None
        return float(self.counts[0::2].sum()) / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class CategoryColumn:
    """A column of categories, counted by value."""

    labels: tuple[str, ...]
    """Values with a count of their own, fixed by the reference."""
    counts: Counts
    """Rows of each label and, last, of all other values, shape (labels + 1,)."""
    n: int
    """Rows with a value."""
    n_null: int
    complete: bool
    """Whether the labels are all values that the reference had, so that any other is new."""
    codes: tuple[str, ...] = ()
    """Labels by code, where the column comes as codes 0, 1, …; empty where it comes as text."""

    @property
    def off_grid_ratio(self) -> float | None:
        """Share of values that the reference never had; None when it had more than are kept."""
        if not self.complete:
            return None
        return float(self.counts[-1]) / self.n if self.n else 0.0

    def comparable(self, other: Column) -> bool:
        """Whether both were counted by the same labels, so that they may be added or compared."""
        return isinstance(other, CategoryColumn) and (self.labels, self.complete) == (other.labels, other.complete)


Column = NumericColumn | CategoryColumn


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A window of rows, boiled down column by column."""

    n_rows: int
    columns: Mapping[str, Column]

    def __add__(self, other: Profile) -> Profile:
        """The profile of both windows together; see `merge`."""
        return merge(self, other)


def numeric_column(values: NDArray[np.float32], grid: Grid | None = None) -> NumericColumn:
    """A column counted on `grid`, or on a grid of its own.

    Args:
        values: shape (n,), float32, any order; left as they are. NaN and infinities are missing.
        grid: of the reference.

    Cost: O(n log n), 4 ms for 1e6 values where numpy sorts with AVX-512.

    >>> column = numeric_column(np.array([3, 1, np.nan], dtype=np.float32))
    >>> column.n, column.n_null, column.mean, column.lowest
    (2, 1, 2.0, 1.0)
    """
    ordered = np.sort(values)
    first = int(np.searchsorted(ordered, np.float32(-np.inf), side="right"))
    last = int(np.searchsorted(ordered, np.float32(np.inf), side="left"))
    present = ordered[first:last]
    own = make_grid(present) if grid is None else grid
    counts = count_sorted(own, present)
    doubles = present.astype(np.float64)
    n = len(present)
    return NumericColumn(
        grid=own,
        counts=counts,
        n=n,
        n_null=len(values) - n,
        total=float(doubles.sum()),
        squares=float(np.square(doubles).sum()),  # np.dot would wake BLAS threads that spin for longer than this
        lowest=float(doubles[0]) if n else math.inf,
        highest=float(doubles[-1]) if n else -math.inf,
        below_total=float(doubles[: counts[0]].sum()),
        above_total=float(doubles[n - counts[-1] :].sum()),
    )


def merge(first: Profile, second: Profile) -> Profile:
    """The profile of two windows together, both counted against one reference.

    Counts are exact; commutative and associative, sums to within rounding.

    Raises:
        DeclarationError: columns or grids differ.

    Cost: O(columns * cells), some 5 µs a column.
    """
    if first.columns.keys() != second.columns.keys():
        differing = sorted(first.columns.keys() ^ second.columns.keys())
        raise DeclarationError(
            f"Profiles of different columns cannot be merged: only one has {', '.join(differing)}.",
            hint="Build both with the same reference.",
        )
    columns = {name: merge_columns(name, column, second.columns[name]) for name, column in first.columns.items()}
    return Profile(first.n_rows + second.n_rows, columns)


def merge_columns(name: str, first: Column, second: Column) -> Column:
    """Two windows of one column together; see `merge`. `name` is for the error."""
    if isinstance(first, NumericColumn) and isinstance(second, NumericColumn) and first.comparable(second):
        return _merge_numeric(first, second)
    if isinstance(first, CategoryColumn) and isinstance(second, CategoryColumn) and first.comparable(second):
        return replace(
            first, counts=first.counts + second.counts, n=first.n + second.n, n_null=first.n_null + second.n_null
        )
    raise DeclarationError(
        f"The profiles of column {name!r} were counted on different grids.",
        hint="Build both with the same reference.",
    )


def _merge_numeric(first: NumericColumn, second: NumericColumn) -> NumericColumn:
    return NumericColumn(
        grid=first.grid,
        counts=first.counts + second.counts,
        n=first.n + second.n,
        n_null=first.n_null + second.n_null,
        total=first.total + second.total,
        squares=first.squares + second.squares,
        lowest=min(first.lowest, second.lowest),
        highest=max(first.highest, second.highest),
        below_total=first.below_total + second.below_total,
        above_total=first.above_total + second.above_total,
    )
