"""Two columns of profiles as one small multiple: at most two dozen bins that a person can read.

Profiles count on a thousand narrow cells, which drift needs and nobody can look at; here they are poured together: numbers into
equally wide bins between the reference's outermost hundredths, categories by their commonest labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perdure.core.stats.columns import CategoryColumn, Column, NumericColumn

_BINS = 24
_NOTHING = 1e-30
"""An edge is the float after a value: that after 0 is no number that anybody knows."""
_LABELS = 12
_OUTER = 0.005
"""Share of the reference that lies beyond each outermost bin: it is counted in that bin."""

Bins = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[str, ...]]
"""Counts of the reference, counts of the current window, edges, labels (where there are no edges)."""


def histogram(reference: Column, current: Column) -> Bins:
    """Counts of both on the same bins."""
    if isinstance(reference, CategoryColumn) or isinstance(current, CategoryColumn):
        return _by_label(reference, current)
    if reference.grid.discrete and len(reference.counts) // 2 <= _BINS:
        return _by_value(reference, current)
    return _by_width(reference, current)


def _by_label(reference: Column, current: Column) -> Bins:
    assert isinstance(reference, CategoryColumn)
    order = sorted(range(len(reference.labels)), key=lambda k: -int(reference.counts[k] + current.counts[k]))
    shown = order[:_LABELS]
    rest = [k for k in range(len(reference.counts)) if k not in set(shown)]
    labels = tuple(reference.labels[k] for k in shown)

    def counted(column: Column) -> tuple[float, ...]:
        own = [float(column.counts[k]) for k in shown]
        return (*own, float(sum(int(column.counts[k]) for k in rest)), float(column.n_null))

    return counted(reference), counted(current), (), (*labels, "others", "missing")


def _by_value(reference: NumericColumn, current: NumericColumn) -> Bins:
    """Cells at odd places are the values themselves, the others lie between them."""
    values = [float(each) for each in reference.grid.edges[0::2]]

    def counted(column: NumericColumn) -> tuple[float, ...]:
        own = [float(each) for each in column.counts[1::2]]
        return (*own, float(column.counts[0::2].sum()), float(column.n_null))

    return counted(reference), counted(current), (), (*(f"{each:g}" for each in values), "other values", "missing")


def _by_width(reference: NumericColumn, current: NumericColumn) -> Bins:
    edges = reference.grid.edges.astype(np.float64)
    if len(edges) < 2:
        return (), (), (), ()
    total = np.cumsum(reference.counts)
    least, most = (
        float(edges[int(np.clip(np.searchsorted(total, share * total[-1]), 0, len(edges) - 1))])
        for share in (_OUTER, 1 - _OUTER)
    )
    if most <= least:
        least, most = float(edges[0]), float(edges[-1])
    wide = np.linspace(least, most, _BINS + 1)
    middles = np.concatenate([[edges[0]], (edges[:-1] + edges[1:]) / 2, [edges[-1]]])
    places = np.clip(np.searchsorted(wide, middles, side="right") - 1, 0, _BINS - 1)
    return (
        _poured(reference.counts, places),
        _poured(current.counts, places),
        tuple(0.0 if abs(each) < _NOTHING else each for each in wide.tolist()),
        (),
    )


def _poured(
    counts: Sequence[int] | np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    places: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
) -> tuple[float, ...]:
    poured = np.zeros(_BINS)
    np.add.at(poured, places, counts)
    return tuple(poured.tolist())
