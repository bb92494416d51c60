"""How late labels come: what the watermark of a label rests on. Called by observing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perdure.core.errors import TooFewRows
from perdure.core.stats.intervals import Interval, proportion_interval, quantile_interval
from perdure.engines.performance.metrics import Float1D


@dataclass(frozen=True, slots=True)
class DelaySummary:
    """Label delay over a window of predictions, in seconds from prediction to the label's known time."""

    n: int
    """Predictions."""
    n_known: int
    """Predictions whose label came."""
    n_early: int
    """Labels known before their prediction was made: a clock or a key is wrong."""
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    max_s: float | None
    """Over the labels that came; None when none did."""
    p90_bounds_s: tuple[float, float] | None
    """Where the 90th percentile lies for sure; None while labels are too few to say."""
    late: Interval | None
    """Share of predictions whose label is not known within the watermark; None without predictions."""


def delay_summary(delay_s: Float1D, *, watermark_s: float, confidence: float = 0.95) -> DelaySummary:
    """Quantiles of the delay and the share of labels beyond the watermark.

    Quantiles are of the labels that came, so they are too small while many are missing: read them
    together with `late`, which counts a missing label as late. Give only predictions that are at
    least as old as the watermark, or all that is young counts as late.

    Args:
        delay_s: known time minus prediction time, shape (n,), seconds; NaN where no label came.
        watermark_s: the declared delay of the label.
        confidence: of the bounds.

    Cost: O(n).

    >>> summary = delay_summary(np.array([60.0, 120.0, 9000.0, np.nan]), watermark_s=3600.0)
    >>> summary.n_known, summary.p50_s, summary.late.value
    (3, 120.0, 0.5)
    """
    known = delay_s[np.isfinite(delay_s)].astype(np.float64)
    n, in_time = len(delay_s), int((known <= watermark_s).sum())
    p50_s, p90_s, p99_s, max_s = _quantiles(known)
    return DelaySummary(
        n=n,
        n_known=len(known),
        n_early=int((known < 0.0).sum()),
        p50_s=p50_s,
        p90_s=p90_s,
        p99_s=p99_s,
        max_s=max_s,
        p90_bounds_s=_p90_bounds(known, confidence),
        late=proportion_interval(n - in_time, n, confidence=confidence) if n else None,
    )


def _quantiles(known: Float1D) -> tuple[float | None, ...]:
    if not len(known):
        return None, None, None, None
    return tuple(np.quantile(known, [0.5, 0.9, 0.99, 1.0]).tolist())


def _p90_bounds(known: Float1D, confidence: float) -> tuple[float, float] | None:
    try:
        interval = quantile_interval(known, 0.9, confidence=confidence)
    except TooFewRows:
        return None
    return interval.low, interval.high
