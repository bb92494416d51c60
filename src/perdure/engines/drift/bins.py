"""Fine cells grouped into the coarse bins that PSI, Jensen–Shannon and chi-squared need.

Fine grids serve KS and W1; in 1,024 cells PSI would measure mostly noise. Bins are deciles of the
reference, so each holds about an equal share of it; a value that fills much of the reference keeps a
bin of its own. Missing values are one more bin, when either side has any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.columns import CategoryColumn, NumericColumn
from perdure.core.stats.sketches import Counts

N_BINS = 10
_EXPECTED_ROWS = 5.0
"""Rows that a label's cell must be expected to hold in the smaller window (W. G. Cochran, 1954)."""


def coarse_counts(
    reference: NumericColumn | CategoryColumn, current: NumericColumn | CategoryColumn, n_bins: int = N_BINS
) -> tuple[Counts, Counts]:
    """Rows by coarse bin of two columns on one grid, missing values last when there are any.

    Args:
        reference: gives the bins.
        current: counted on the reference's grid.
        n_bins: of numeric columns.
    """
    if isinstance(reference, NumericColumn):
        starts = _bin_starts(reference.counts, n_bins)
        p, q = np.add.reduceat(reference.counts, starts), np.add.reduceat(current.counts, starts)
    else:
        p, q = _pooled(reference.counts, current.counts)
    if reference.n_null or current.n_null:
        return np.append(p, reference.n_null), np.append(q, current.n_null)
    return p, q


def _bin_starts(counts: Counts, n_bins: int) -> NDArray[np.intp]:
    """First cell of each bin: the cell edges nearest to the quantiles k / n_bins."""
    before = np.concatenate([[0], np.cumsum(counts)])[:-1]
    total = int(counts.sum())
    targets = np.arange(1, n_bins) * total / n_bins
    right = np.minimum(np.searchsorted(before, targets), len(before) - 1)
    left = np.searchsorted(before, before[np.maximum(right - 1, 0)])
    nearest = np.where(targets - before[left] < before[right] - targets, left, right)
    inner = nearest[(before[nearest] > 0) & (before[nearest] < total)]
    return np.unique(np.concatenate([[0], inner]))


def _pooled(p: Counts, q: Counts) -> tuple[Counts, Counts]:
    """Labels too rare to be judged, counted together; by both sides' sum, which favours neither."""
    n, m = int(p.sum()), int(q.sum())
    expected = (p + q) * (min(n, m) / max(n + m, 1))
    rare = expected < _EXPECTED_ROWS
    if rare.sum() < 2:
        return p, q
    return np.append(p[~rare], p[rare].sum()), np.append(q[~rare], q[rare].sum())
