"""The gate between a model and its compiled twin: on hard rows both must give the same number.

Hard rows are those that conversions get wrong: values at a tree's threshold and one float32 to either
side, missing features, and combinations of them. `compile` calls this; nothing is served compiled
that has not passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from perdure.assets.model import Float1D, Float2D

TOLERANCE = 1e-5
"""Of the prediction's scale. ONNX adds a hundred trees in float32, good to about 1e-6; a row that takes a
wrong branch is off by a leaf's difference."""
_N_SAMPLE = 1_000
_N_PROBES = 2_000


@dataclass(frozen=True, slots=True)
class ParityReport:
    """How far compiled and native predictions differ, on how many rows."""

    n_rows: int
    max_abs_diff: float
    """In the prediction's unit."""
    max_rel_diff: float
    """Relative to the larger of the row's own and the median prediction's size."""
    n_different: int
    """Rows beyond the tolerance, or finite on one side only."""
    agreed: bool
    reason: str = ""
    """Why there is no agreement; empty when there is."""


def not_compiled(reason: str) -> ParityReport:
    """The report of a model that was not compiled at all."""
    return ParityReport(0, 0.0, 0.0, 0, agreed=False, reason=reason)


def compare(native: Float1D, compiled: Float1D) -> ParityReport:
    """Compare two predictions of the same rows.

    >>> compare(np.array([1.0, 2.0]), np.array([1.0, 2.5])).n_different
    1
    """
    both = np.isfinite(native) & np.isfinite(compiled)
    one_sided = (np.isfinite(native) != np.isfinite(compiled)) | (np.isinf(native) & (native != compiled))
    size = np.abs(native[both])
    typical = float(np.median(size)) if size.size else 0.0
    diff = np.abs(native[both] - compiled[both])
    scale = np.maximum(np.maximum(size, typical), np.finfo(np.float32).tiny)
    n_different = int((diff > TOLERANCE * scale).sum() + one_sided.sum())
    return ParityReport(
        n_rows=len(native),
        max_abs_diff=float(diff.max(initial=0.0)),
        max_rel_diff=float((diff / scale).max(initial=0.0)),
        n_different=n_different,
        agreed=n_different == 0,
        reason=f"{n_different} of {len(native)} rows differ" if n_different else "",
    )


def probe_rows(
    sample_x: Float2D, splits: Sequence[tuple[int, float]], *, with_missing: bool, seed: int = 0
) -> NDArray[np.float32]:
    """Rows to compare on: the sample's own, then rows made hard in one feature and in all of them.

    Args:
        sample_x: real rows, shape (n, d), n >= 1; the first 1,000 are used.
        splits: (feature, threshold) pairs of the compiled trees; none for other models.
        with_missing: whether rows may hold NaN.
        seed: of the choice of rows and values.

    Returns: shape (up to 5,000 + d, d).
    """
    rng = np.random.default_rng(seed)
    sample = np.ascontiguousarray(sample_x[:_N_SAMPLE], dtype=np.float32)
    probes = [sample, _at_each_split(sample, splits, rng), _at_all_splits(sample, splits, rng)]
    if with_missing:
        one_missing = sample[rng.integers(0, len(sample), sample.shape[1])]
        np.fill_diagonal(one_missing, np.nan)
        sparse = sample[rng.integers(0, len(sample), _N_SAMPLE)]
        sparse[rng.random(sparse.shape) < 0.3] = np.nan
        probes += [one_missing, sparse, np.full((1, sample.shape[1]), np.nan, dtype=np.float32)]
    return np.concatenate(probes)


def _beside(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Each value itself, or one of its float32 neighbours."""
    toward = rng.choice(np.array([-np.inf, np.nan, np.inf], dtype=np.float32), size=values.shape)
    moved = np.nextafter(values, np.where(np.isnan(toward), values, toward))
    return np.asarray(moved, dtype=np.float32)


def _at_each_split(
    sample: NDArray[np.float32], splits: Sequence[tuple[int, float]], rng: np.random.Generator
) -> NDArray[np.float32]:
    if not splits:
        return sample[:0]
    chosen = rng.choice(len(splits), size=min(len(splits), _N_PROBES), replace=False)
    features = np.array([splits[each][0] for each in chosen])
    values = np.array([splits[each][1] for each in chosen], dtype=np.float32)
    rows = sample[rng.integers(0, len(sample), len(chosen))]
    rows[np.arange(len(rows)), features] = _beside(values, rng)
    return rows


def _at_all_splits(
    sample: NDArray[np.float32], splits: Sequence[tuple[int, float]], rng: np.random.Generator
) -> NDArray[np.float32]:
    if not splits:
        return sample[:0]
    rows = sample[rng.integers(0, len(sample), _N_SAMPLE)]
    for feature in {feature for feature, _ in splits}:
        values = np.array([value for of, value in splits if of == feature], dtype=np.float32)
        rows[:, feature] = _beside(rng.choice(values, size=len(rows)), rng)
    return rows
