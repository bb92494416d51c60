"""Compares served vectors with their recomputation. Called by the loop's skew signal; any difference counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError

N_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class SkewExample:
    """One feature of one row that differs; None is missing."""

    row: int
    feature: str
    served: float | None
    recomputed: float | None


@dataclass(frozen=True, slots=True)
class SkewReport:
    """How many served vectors differ from their recomputation, and where."""

    n_rows: int
    n_mismatched_rows: int
    by_feature: Mapping[str, int]
    """Number of rows that differ, of each feature that does."""
    examples: tuple[SkewExample, ...]
    """The first few, in order of row and feature."""


def compare_vectors(
    served: NDArray[np.float32], recomputed: NDArray[np.float32], features: Sequence[str]
) -> SkewReport:
    """Compare bit by bit, but NaN equals NaN whatever its bits.

    Args:
        served: vectors as they were captured, shape (n, d).
        recomputed: vectors of the same rows, computed offline as of the moment of serving, shape (n, d).
        features: d names.

    Raises:
        DeclarationError: the shapes do not fit each other or the names.

    >>> served = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    >>> compare_vectors(served, np.array([[1.0, np.nan], [2.0, 4.0]], np.float32), ["a", "b"]).by_feature
    {'b': 1}
    """
    if served.shape != recomputed.shape or served.shape[1:] != (len(features),):
        raise DeclarationError(
            f"Served vectors have shape {served.shape}, recomputed ones {recomputed.shape}, for {len(features)} features.",
            hint="Compare vectors of one version, row by row.",
        )
    unlike = (served.view(np.uint32) != recomputed.view(np.uint32)) & ~(np.isnan(served) & np.isnan(recomputed))
    counts = unlike.sum(axis=0)
    examples = tuple(
        SkewExample(int(row), features[at], _value(served[row, at]), _value(recomputed[row, at]))
        for row, at in np.argwhere(unlike)[:N_EXAMPLES]
    )
    by_feature = {name: int(n) for name, n in zip(features, counts, strict=True) if n}
    return SkewReport(len(served), int(unlike.any(axis=1).sum()), by_feature, examples)


def _value(number: np.float32) -> float | None:
    return None if np.isnan(number) else float(number)
