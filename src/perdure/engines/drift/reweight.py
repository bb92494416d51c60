"""Why the error rose: because the inputs moved, or because the relation to the label did.

Called by diagnosing. A classifier learns to tell current inputs from healthy ones; its odds are the density
ratio of the two, and by it the healthy rows are weighted as if they had the current inputs. Their error is what
the move of the inputs alone explains; what is left is the relation's:

    current - healthy  =  (expected - healthy)  +  (current - expected)
        the rise             by the inputs           by the relation

What surprised us. Rows of one day share its weather, so a classifier that saw other rows of a day knows the
day by heart, and everything looks moved: scores are cross-fitted by cluster. And weights alone leave a third of a
harmless move unexplained where other inputs wander, too; a regression of the healthy loss on the inputs, corrected
by the weighted rows (doubly robust), explains it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.core.stats.distributions import normal_quantile, t_quantile
from perdure.core.stats.intervals import Interval
from perdure.engines.drift.cross_fit import separability, side_scores, usual_losses

Float1D = NDArray[np.float64]
Float2D = NDArray[np.float32]

MIN_ROWS = 50
"""On each side: below, no classifier tells anything."""
_STRATA = 20
_ROWS_A_STRATUM = 25
_KNOWN_ROWS = 5
"""Healthy rows of a stratum below which it counts as a place where the healthy rows have not been."""
_MAX_WEIGHT = 20.0
"""One healthy row never stands for more than so many."""
_COMMON = 0.1
"""A stratum is common ground where the rarer side has so much of it (R. Crump et al., Biometrika 96, 2009)."""
_ENOUGH_EFFECTIVE, _ENOUGH_COVERED = 50.0, 0.8


@dataclass(frozen=True, slots=True, eq=False)
class LossRows:
    """Rows of one side: their inputs and how wrong the model was on each."""

    x: Float2D
    """Shape (n, d), NaN for missing."""
    loss: Float1D
    """Shape (n,), finite, such as absolute errors."""
    clusters: NDArray[np.int64] | None = None
    """Shape (n,): rows of one cluster err together, such as those of a day; None: each row for itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What stands for the current inputs: one number a healthy row, and how far it can be trusted."""

    ratio: Float1D
    """Density ratio current / healthy at each healthy row, mean 1 where all is covered."""
    overlap_reference: Float1D
    """Weights of the healthy rows for what both sides have in common; all 0 where that is nothing."""
    overlap_current: Float1D
    separability: float
    """How well inputs alone tell the sides apart: 0.5 not at all, 1 entirely (area under the ROC curve)."""
    separability_low: float
    """What remains of it after what chance may give."""
    n_effective: float
    """Healthy rows that the weighted ones are worth."""
    covered_ratio: float
    """Share of current rows that lie where healthy rows have been."""

    @property
    def enough(self) -> bool:
        """Whether the weighted rows can speak for the current inputs."""
        return self.n_effective >= _ENOUGH_EFFECTIVE and self.covered_ratio >= _ENOUGH_COVERED


@dataclass(frozen=True, slots=True, eq=False)
class RiseSplit:
    """A rise of the error, split in two. All intervals are in the loss's unit."""

    healthy: Interval
    current: Interval
    expected: Interval
    """Of the healthy rows, weighted to have the current inputs."""
    rise: Interval
    by_inputs: Interval
    by_relation: Interval
    like_for_like: Interval
    """The rise where both sides have been: bounded weights, so it stands also when the inputs moved far away."""
    weights: Weights


def importance(reference: LossRows, current: LossRows, *, seed: int = 0) -> Weights:
    """Weights under which the reference has the current inputs.

    Cross-fitted scores of a classifier are cut into up to 20 strata; the share of current rows in a stratum over
    that of reference rows is the density ratio there. So the odds are calibrated whatever the classifier's are,
    weights are bounded by counts, and a stratum without reference rows shows as not covered.

    Args:
        reference: healthy rows, in any order.
        current: judged rows, in any order.
        seed: of the folds.

    Raises:
        TooFewRows: fewer than 50 rows on a side.
        DeclarationError: shapes do not fit.
    Cost: 0.3 CPU seconds for 10,000 rows of 20 features on each side.
    Source: S. Bickel, M. Brückner, T. Scheffer, Discriminative learning under covariate shift, JMLR 10 (2009);
        strata: P. Rosenbaum, D. Rubin, JASA 79 (1984); effective size: L. Kish, Survey Sampling (1965);
        weights of the overlap: F. Li, K. Morgan, A. Zaslavsky, JASA 113 (2018).
    """
    orders = _checked(reference, current)
    sides = [_ordered(side, order) for side, order in zip((reference, current), orders, strict=True)]
    scores = side_scores([side.x for side in sides], [side.clusters for side in sides], seed=seed)
    ratio, overlap, covered = _by_stratum(*scores)
    area, error = separability(*scores)
    total, squares = float(ratio[0].sum()), float((ratio[0] ** 2).sum())
    return Weights(
        ratio=_restored(ratio[0], orders[0]),
        overlap_reference=_restored(overlap[0], orders[0]),
        overlap_current=_restored(overlap[1], orders[1]),
        separability=area,
        separability_low=max(0.5, area - normal_quantile(0.975) * error),
        n_effective=total * total / squares if squares else 0.0,
        covered_ratio=covered,
    )


def split_rise(reference: LossRows, current: LossRows, *, seed: int = 0, confidence: float = 0.95) -> RiseSplit:
    """The rise of the error between two sets of rows: what the inputs explain, and what they do not.

    Intervals come from linearised residuals by cluster with Student's t; they take the weights as known.
    The result does not depend on the order of the rows.

    Args:
        reference: rows on which the model was healthy.
        current: rows on which it is judged.
        seed: of the classifier's folds.
        confidence: of the bounds.

    Raises:
        TooFewRows: fewer than 50 rows on a side.
        DeclarationError: shapes do not fit, or a loss is not finite.
    Cost: as `importance`.
    Source: J. DiNardo, N. Fortin, T. Lemieux, Econometrica 64 (1996), for the split; T. Cai, H. Namkoong,
        S. Yadlowsky, Diagnosing model performance under distribution shift (2023), for like for like;
        A. Owen, Monte Carlo theory, methods and examples (2013), eq. 9.9, for the variance.

    >>> rng = np.random.default_rng(0)
    >>> x, moved = rng.normal(0.0, 1.0, (2000, 1)), rng.normal(0.7, 1.0, (2000, 1))
    >>> losses = [np.abs(each[:, 0]) + rng.exponential(1.0, 2000) for each in (x, moved)]
    >>> sides = [LossRows(each.astype(np.float32), loss) for each, loss in zip((x, moved), losses)]
    >>> split = split_rise(*sides)
    >>> split.by_inputs.low > 0.0, split.by_relation.low > 0.0
    (True, False)
    """
    weights = importance(reference, current, seed=seed)
    usual, usual_now = _usual(reference, current, seed)
    # The healthy rows less what their inputs foretell, and the current ones likewise.
    rest = LossRows(reference.x, reference.loss - usual, reference.clusters)
    rest_now = LossRows(current.x, current.loss - usual_now, current.clusters)
    foretold = _mean(LossRows(current.x, usual_now, current.clusters))
    healthy, left = _mean(reference), _mean(rest, weights.ratio)
    bound = _Bounds(confidence)
    return RiseSplit(
        healthy=bound.of(healthy),
        current=bound.of(_mean(current)),
        expected=bound.apart(foretold, left.negative()),
        rise=bound.apart(_mean(current), healthy),
        by_inputs=bound.apart(foretold, healthy.less(left)),
        by_relation=bound.apart(_mean(rest_now), left),
        like_for_like=bound.apart(_mean(rest_now, weights.overlap_current), _mean(rest, weights.overlap_reference)),
        weights=weights,
    )


def _usual(reference: LossRows, current: LossRows, seed: int) -> tuple[Float1D, Float1D]:
    """The loss that the inputs of each row foretell, by what was seen on healthy rows."""
    orders = _checked(reference, current)
    healthy, now = (_ordered(side, order) for side, order in zip((reference, current), orders, strict=True))
    usual = usual_losses([healthy.x, now.x], healthy.loss, healthy.clusters, seed=seed)
    return _restored(usual[0], orders[0]), _restored(usual[1], orders[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Mean:
    """A weighted mean with what each cluster contributes to its error."""

    value: float
    influence: Float1D
    """Of each cluster, summing to 0."""
    n: int

    @property
    def variance(self) -> float:
        n_clusters = len(self.influence)
        return float((self.influence**2).sum()) * n_clusters / max(1, n_clusters - 1)

    @property
    def freedom(self) -> int:
        return max(1, len(self.influence) - 1)

    def negative(self) -> _Mean:
        return _Mean(-self.value, -self.influence, self.n)

    def less(self, other: _Mean) -> _Mean:
        """The difference of two means of the same rows: what they share cancels."""
        return _Mean(self.value - other.value, self.influence - other.influence, self.n)


@dataclass(frozen=True, slots=True)
class _Bounds:
    confidence: float

    def of(self, mean: _Mean) -> Interval:
        return self._around(mean.value, mean.variance, mean.freedom, mean.n)

    def apart(self, first: _Mean, second: _Mean) -> Interval:
        """The difference of two means of different rows (B. L. Welch, Biometrika 34, 1947)."""
        one, other = first.variance, second.variance
        spread = one * one / first.freedom + other * other / second.freedom
        freedom = (one + other) ** 2 / spread if 0.0 < spread < math.inf else 1.0
        return self._around(first.value - second.value, one + other, max(1, int(freedom)), first.n)

    def _around(self, value: float, variance: float, freedom: int, n: int) -> Interval:
        half = t_quantile(0.5 + self.confidence / 2.0, freedom) * math.sqrt(variance)
        return Interval(value, value - half, value + half, n)


def _mean(rows: LossRows, weights: Float1D | None = None) -> _Mean:
    weights = np.ones(len(rows.loss)) if weights is None else weights
    total = float(np.sort(weights).sum())
    if total <= 0.0:
        # Nothing is in common: the rows say something of themselves only, and nothing for sure.
        return _Mean(0.0, np.full(_n_units(rows), math.inf), len(rows.loss))
    # Sorted before they are summed: the same rows in another order give the same last digit.
    value = float(np.sort(weights * rows.loss).sum()) / total
    return _Mean(value, _by_cluster(weights * (rows.loss - value) / total, rows), len(rows.loss))


def _n_units(rows: LossRows) -> int:
    n_clusters = 0 if rows.clusters is None else len(np.unique(rows.clusters))
    return n_clusters if n_clusters > 1 else len(rows.loss)


def _by_cluster(residuals: Float1D, rows: LossRows) -> Float1D:
    """Sums of the residuals by cluster, in the order of the clusters; by row where there are no two of them."""
    if rows.clusters is None or _n_units(rows) == len(rows.loss):
        return residuals[_canonical(rows)]
    order = np.lexsort((residuals, rows.clusters))
    _, member = np.unique(rows.clusters[order], return_inverse=True)
    sums: Float1D = np.bincount(member, weights=residuals[order]).astype(np.float64)
    return sums


def _by_stratum(reference: Float1D, current: Float1D) -> tuple[list[Float1D], list[Float1D], float]:
    """Density ratio and overlap weight of each row of both sides, and the share of current rows that is covered."""
    n, m = len(reference), len(current)
    n_strata = max(2, min(_STRATA, min(n, m) // _ROWS_A_STRATUM))
    edges = np.unique(_balanced_quantiles(reference, current, np.arange(1, n_strata) / n_strata))
    places = [np.searchsorted(edges, scores, side="right") for scores in (reference, current)]
    p, q = (np.bincount(at, minlength=len(edges) + 1) for at in places)
    known = p >= _KNOWN_ROWS
    ratio = np.where(known, np.minimum((q / m) / np.maximum(p / n, 1e-300), _MAX_WEIGHT), 0.0)
    share = (q / m) / np.maximum(q / m + p / n, 1e-300)
    both = known & (share >= _COMMON) & (share <= 1.0 - _COMMON)
    overlap = [np.where(both, share, 0.0)[places[0]], np.where(both, 1.0 - share, 0.0)[places[1]]]
    return [ratio[at] for at in places], overlap, float(q[known].sum() / m)


def _balanced_quantiles(reference: Float1D, current: Float1D, levels: Float1D) -> Float1D:
    """Quantiles of both sides together, each side counting half however many rows it has."""
    scores = np.concatenate([reference, current])
    mass = np.repeat([0.5 / len(reference), 0.5 / len(current)], [len(reference), len(current)])
    order = np.argsort(scores, kind="stable")
    reached = np.searchsorted(np.cumsum(mass[order]), levels)
    quantiles: Float1D = scores[order][np.minimum(reached, len(scores) - 1)]
    return quantiles


def _checked(*sides: LossRows) -> list[NDArray[np.intp]]:
    """An order of each side's rows that does not depend on the one they came in."""
    width = {side.x.shape[1] for side in sides if side.x.ndim == 2}
    for side in sides:
        if side.x.ndim != 2 or len(width) != 1 or side.loss.shape != (len(side.x),):
            raise DeclarationError(
                f"Inputs of shape {side.x.shape} came with {len(side.loss)} losses.",
                hint="Give both sides the same features, and each row one loss.",
            )
        if not np.isfinite(side.loss).all():
            raise DeclarationError("A loss is not finite.", hint="Leave out rows without a label or a prediction.")
        if len(side.loss) < MIN_ROWS:
            raise TooFewRows(
                f"{len(side.loss)} rows are too few to tell inputs apart: this needs {MIN_ROWS}.",
                hint="Use a longer window.",
                n=len(side.loss),
                n_needed=MIN_ROWS,
            )
    return [_canonical(side) for side in sides]


def _canonical(side: LossRows) -> NDArray[np.intp]:
    keys: list[NDArray[Any]] = [side.loss, *np.ascontiguousarray(side.x.T)]
    return np.lexsort(keys if side.clusters is None else [*keys, side.clusters])


def _ordered(side: LossRows, order: NDArray[np.intp]) -> LossRows:
    clusters = None if side.clusters is None else side.clusters[order]
    return LossRows(np.ascontiguousarray(side.x[order], dtype=np.float32), side.loss[order], clusters)


def _restored(values: Float1D, order: NDArray[np.intp]) -> Float1D:
    restored = np.empty(len(values))
    restored[order] = values
    return restored
