"""Drift of one column straight from two samples, for notebooks; monitoring compares stored profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import TooFewRows
from perdure.core.stats.columns import NumericColumn, numeric_column
from perdure.engines.drift.bins import N_BINS, coarse_counts
from perdure.engines.drift.distance import ks_distance, w1_distance
from perdure.engines.drift.divergence import js_from_counts, psi_from_counts

Floats1D = NDArray[np.floating[Any]]

_ROWS_A_BIN = 5


def psi(reference: Floats1D, current: Floats1D, *, n_bins: int = N_BINS, corrected: bool = True) -> float:
    """Population stability index between two samples of one column.

    Bins are quantiles of `reference`, so each holds an equal share of it; a value that fills more
    than a bin has one of its own. Values count as float32.

    Args:
        reference: healthy window, shape (n,); NaN counts as its own bin.
        current: judged window, shape (m,).
        n_bins: more bins see finer change and need more rows (about 50 a bin).
        corrected: subtract what no drift would show, (B - 1)(1/n + 1/m); textbooks do not.

    Returns: PSI >= 0, no unit. Usual reading: 0.1 look, 0.25 act.

    Raises:
        TooFewRows: n or m is below 5 * n_bins.

    Cost: O(n log n + m log m).  Checked against: a table worked by hand.  Source: N. Siddiqi, Credit Risk
    Scorecards (2006), ch. 9.

    >>> healthy = np.random.default_rng(0).normal(size=2000)
    >>> psi(healthy, healthy), psi(healthy, healthy + 1.0) > 0.25
    (0.0, True)
    """
    columns = _columns(reference, current, _ROWS_A_BIN * n_bins)
    return psi_from_counts(*coarse_counts(*columns, n_bins), corrected=corrected).value


def js_distance(reference: Floats1D, current: Floats1D, *, n_bins: int = N_BINS, corrected: bool = True) -> float:
    """Jensen–Shannon distance between two samples of one column, in the same bins as `psi`.

    Args:
        reference: healthy window, shape (n,); NaN counts as its own bin.
        current: judged window, shape (m,).
        n_bins: as for `psi`.
        corrected: subtract what no drift would show, (B - 1)/(8 ln 2)·(1/n + 1/m), before the root.

    Returns: 0 (equal) to 1 (nothing in common).

    Raises:
        TooFewRows: n or m is below 5 * n_bins.

    Cost: O(n log n + m log m).  Checked against: scipy's `jensenshannon`.  Source: J. Lin, IEEE
    Trans. Information Theory 37 (1991).
    """
    columns = _columns(reference, current, _ROWS_A_BIN * n_bins)
    return js_from_counts(*coarse_counts(*columns, n_bins), corrected=corrected).value


def ks(reference: Floats1D, current: Floats1D) -> float:
    """Kolmogorov–Smirnov distance between two samples, on the grid that monitoring uses.

    Args:
        reference: healthy window, shape (n,); NaN is left out.
        current: judged window, shape (m,).

    Returns: 0 to 1, short of the exact statistic by at most 1/1,024.

    Raises:
        TooFewRows: a sample is empty.

    Cost: O(n log n + m log m).  Checked against: scipy's `ks_2samp`.
    """
    return ks_distance(*_columns(reference, current, 1))


def w1(reference: Floats1D, current: Floats1D) -> float:
    """Wasserstein-1 distance between two samples, on the grid that monitoring uses.

    Args:
        reference: healthy window, shape (n,); NaN is left out.
        current: judged window, shape (m,).

    Returns: the mean move of a value, in the column's unit.

    Raises:
        TooFewRows: a sample is empty.

    Cost: O(n log n + m log m).  Checked against: scipy's `wasserstein_distance`.
    """
    return w1_distance(*_columns(reference, current, 1))


def _columns(reference: Floats1D, current: Floats1D, n_needed: int) -> tuple[NumericColumn, NumericColumn]:
    n = min(len(reference), len(current))
    if n < n_needed:
        raise TooFewRows(
            f"{n} rows are too few: this needs {n_needed} on each side.",
            hint="Use a longer window, or fewer bins.",
            n=n,
            n_needed=n_needed,
        )
    healthy = numeric_column(np.asarray(reference, dtype=np.float32))
    return healthy, numeric_column(np.asarray(current, dtype=np.float32), healthy.grid)
