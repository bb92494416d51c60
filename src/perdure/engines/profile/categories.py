"""Columns of categories: counted by label, from text or from codes. Called by `build`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.columns import CategoryColumn

if TYPE_CHECKING:
    import polars as pl

TOP_LABELS = 1000
"""Labels that get a count of their own; the rest share one."""
UNKNOWN_CODE = "code outside the labels"
"""Label of codes that no label stands for; counted with the rest."""


def text_counts(series: pl.Series) -> dict[str, int]:
    """Rows by value of a series, as text; nulls left out. Cost: O(n)."""
    import polars as pl

    counted = series.cast(pl.String).drop_nulls().rename("label").value_counts()
    return dict(counted.iter_rows())


def code_counts(values: NDArray[np.float32], codes: tuple[str, ...]) -> tuple[dict[str, int], int]:
    """Rows by label of a column of codes 0, 1, …, and how many are missing. Cost: O(n)."""
    present = values[np.isfinite(values)]
    whole = (present >= 0) & (present < len(codes)) & (present == np.floor(present))
    known = present[whole]
    by_code = np.bincount(known.astype(np.int64), minlength=len(codes))
    counts = dict(zip(codes, by_code.tolist(), strict=True))
    if len(known) < len(present):
        counts[UNKNOWN_CODE] = len(present) - len(known)
    return counts, len(values) - len(present)


def category_column(counts: Mapping[str, int], n_null: int, codes: tuple[str, ...] = ()) -> CategoryColumn:
    """A column whose most frequent labels get a count of their own.

    >>> category_column({"JFK": 3, "LGA": 5}, 1).labels
    ('LGA', 'JFK')
    """
    seen = {label: n for label, n in counts.items() if n and label != UNKNOWN_CODE}
    labels = tuple(sorted(seen, key=lambda label: (-seen[label], label))[:TOP_LABELS])
    complete = len(labels) == len(seen)
    return on_labels(CategoryColumn(labels, np.zeros(0, dtype=np.int64), 0, 0, complete, codes), counts, n_null)


def on_labels(known: CategoryColumn, counts: Mapping[str, int], n_null: int) -> CategoryColumn:
    """A column counted by the labels of another."""
    n = sum(counts.values())
    by_label = [counts.get(label, 0) for label in known.labels]
    cells = np.array([*by_label, n - sum(by_label)], dtype=np.int64)
    return CategoryColumn(known.labels, cells, n, n_null, known.complete, known.codes)
