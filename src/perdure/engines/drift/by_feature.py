"""Two profiles → the drift of each feature, most drifted first.

Called by observing (is any feature past its bound?) and by diagnosing (which moved, and how?).
Drift is what moved, not what harms: it is evidence for a person or a diagnosis, and never a reason
to retrain by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from perdure.core.errors import DeclarationError, TooFewRows, nearest
from perdure.core.stats.columns import Column, NumericColumn, Profile
from perdure.core.stats.intervals import Interval
from perdure.core.stats.multiple import adjusted_p_values
from perdure.engines.drift.bins import coarse_counts
from perdure.engines.drift.distance import ks_distance, ks_margin, w1_distance
from perdure.engines.drift.divergence import chi2_p_value, js_from_counts, psi_from_counts

Measure = Literal["psi", "js", "ks", "w1"]
BoundedMeasure = Literal["psi", "js", "ks"]
"""Measures that have an interval, and may so be judged against a bound."""
MEASURES: tuple[Measure, ...] = ("psi", "js", "ks", "w1")


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How far one feature moved between the reference and the judged window."""

    feature: str
    psi: float
    """Population stability index over deciles and missing values, bias-corrected."""
    psi_low: float
    psi_high: float
    js: float
    """Jensen–Shannon distance over the same bins, 0 to 1, bias-corrected."""
    js_low: float
    js_high: float
    ks: float | None
    """Largest gap of the distribution functions, 0 to 1; None for categories, which have no order."""
    ks_low: float | None
    """What remains of it after the gap that chance may open."""
    ks_high: float | None
    w1: float | None
    """Mean move of a value, in the feature's unit; None for categories."""
    w1_sd: float | None
    """The same in standard deviations of the reference; None where that is 0."""
    n_reference: int
    n_current: int
    p_value: float
    """Of chi-squared over the same bins as PSI."""
    adjusted_p: float
    """After Benjamini–Hochberg over all features."""
    null_ratio_reference: float
    null_ratio_current: float
    off_grid_ratio: float | None
    """Share of values that the reference never had; None where the reference has too many to tell."""

    def interval(self, measure: BoundedMeasure) -> Interval:
        """The value of a measure with its bounds, for a reading; KS of a category is 0."""
        if measure == "psi":
            return Interval(self.psi, self.psi_low, self.psi_high, self.n_current)
        if measure == "js":
            return Interval(self.js, self.js_low, self.js_high, self.n_current)
        return Interval(self.ks or 0.0, self.ks_low or 0.0, self.ks_high or 0.0, self.n_current)


def drift_by_feature(
    reference: Profile, current: Profile, *, measure: Measure = "psi", confidence: float = 0.95
) -> list[FeatureDrift]:
    """The drift of every feature of the reference, most drifted by `measure` first.

    Args:
        reference: profile of the healthy window.
        current: profile of the judged window, counted against `reference`.
        measure: what to sort by; "w1" sorts by standard deviations.
        confidence: of the bounds.

    Raises:
        TooFewRows: a window has no row.
        DeclarationError: the profiles were not counted on the same grids, or no such measure.

    Cost: some 0.2 ms a feature, whatever the number of rows.

    >>> import numpy as np
    >>> from perdure.core.stats.columns import Profile, numeric_column
    >>> healthy = numeric_column(np.random.default_rng(0).normal(size=5000).astype(np.float32))
    >>> moved = np.random.default_rng(1).normal(1.0, size=1000).astype(np.float32)
    >>> window = Profile(1000, {"wind": numeric_column(moved, healthy.grid)})
    >>> [drift] = drift_by_feature(Profile(5000, {"wind": healthy}), window)
    >>> drift.feature, drift.psi > 0.5, round(drift.w1), drift.adjusted_p < 1e-9
    ('wind', True, 1, True)
    """
    if measure not in MEASURES:
        near = nearest(measure, MEASURES)
        raise DeclarationError(
            f"There is no drift measure {measure!r}.",
            hint=f"Did you mean {near!r}?" if near else f"Use one of {', '.join(MEASURES)}.",
        )
    if not reference.n_rows or not current.n_rows:
        raise TooFewRows(
            f"Drift needs rows on both sides, not {reference.n_rows} and {current.n_rows}.",
            hint="Use a longer window.",
            n=min(reference.n_rows, current.n_rows),
            n_needed=1,
        )
    found = [
        _drift(name, column, _counterpart(name, column, current), confidence)
        for name, column in reference.columns.items()
    ]
    adjusted = adjusted_p_values([drift.p_value for drift in found])
    found = [replace(drift, adjusted_p=float(p)) for drift, p in zip(found, adjusted, strict=True)]
    return sorted(found, key=lambda drift: (-_size(drift, measure), drift.feature))


def alarming(
    drifts: Sequence[FeatureDrift], *, bound: float, measure: BoundedMeasure = "psi", q: float = 0.05
) -> list[FeatureDrift]:
    """The features that moved for sure, and further than `bound` for sure; in the order given.

    Both are needed: significance alone alarms at harmless moves once rows are many, size alone at
    noise while they are few. With no drift, 50 features and 200 to 5,000 rows, none of 460 simulated
    windows alarmed at PSI .1, JS .1 or KS .05; a shift of 0.3 standard deviations in 1,000 rows was
    found at KS .05 in 99 of 100.

    Args:
        drifts: from `drift_by_feature`.
        bound: of the measure, such as 0.1 for PSI.
        measure: whose lower bound is compared.
        q: false discovery rate over the features.
    """
    return [drift for drift in drifts if drift.adjusted_p <= q and drift.interval(measure).low > bound]


def _drift(name: str, reference: Column, current: Column, confidence: float) -> FeatureDrift:
    p, q = coarse_counts(reference, current)
    psi = psi_from_counts(p, q, confidence=confidence)
    js = js_from_counts(p, q, confidence=confidence)
    p_value = chi2_p_value(p, q)
    ordered = _ordered(reference, current, confidence)
    return FeatureDrift(
        feature=name,
        psi=psi.value,
        psi_low=psi.low,
        psi_high=psi.high,
        js=js.value,
        js_low=js.low,
        js_high=js.high,
        ks=ordered.ks,
        ks_low=ordered.ks_low,
        ks_high=ordered.ks_high,
        w1=ordered.w1,
        w1_sd=ordered.w1_sd,
        n_reference=reference.n + reference.n_null,
        n_current=current.n + current.n_null,
        p_value=p_value,
        adjusted_p=p_value,
        null_ratio_reference=reference.n_null / (reference.n + reference.n_null),
        null_ratio_current=current.n_null / (current.n + current.n_null),
        off_grid_ratio=current.off_grid_ratio,
    )


@dataclass(frozen=True, slots=True)
class _Ordered:
    """The measures that need an order; all None for categories."""

    ks: float | None = None
    ks_low: float | None = None
    ks_high: float | None = None
    w1: float | None = None
    w1_sd: float | None = None


def _ordered(reference: Column, current: Column, confidence: float) -> _Ordered:
    if not isinstance(reference, NumericColumn) or not isinstance(current, NumericColumn):
        return _Ordered()
    ks, w1 = ks_distance(reference, current), w1_distance(reference, current)
    margin = ks_margin(reference.n, current.n, confidence)
    spread = reference.deviation
    return _Ordered(ks, max(0.0, ks - margin), min(1.0, ks + margin), w1, w1 / spread if spread > 0.0 else None)


def _counterpart(name: str, reference: Column, current: Profile) -> Column:
    column = current.columns.get(name)
    if column is None:
        raise DeclarationError(
            f"The current profile lacks the feature {name!r} of the reference.",
            hint="Build it with reference=..., from rows that have every feature.",
        )
    if not reference.comparable(column):
        raise DeclarationError(
            f"The profiles of {name!r} were counted on different grids.",
            hint="Build the current profile with reference=... .",
        )
    return column


def _size(drift: FeatureDrift, measure: Measure) -> float:
    value = drift.w1_sd if measure == "w1" else getattr(drift, measure)
    return -1.0 if value is None else float(value)
