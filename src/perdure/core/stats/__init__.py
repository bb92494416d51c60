"""The arithmetic of being sure: intervals, adjusted p-values, counts that merge. No I/O.

`intervals` says how sure a number is, `multiple` corrects for many tests, `sketches` boils columns
down, `distributions` and `tails` hold the functions beneath. Evals stand on `verdicts` (over `clustered`,
`sequential`, `power`), judges on `corrected` (over `agreement`, `shares`), `biases` and `choosing`; `ranking` measures what retrieval finds.
Engines and the loop call it.
"""

from __future__ import annotations

from perdure.core.stats.intervals import (
    Interval,
    clustered_mean_interval,
    mean_interval,
    paired_mean_interval,
    proportion_interval,
    quantile_interval,
)
from perdure.core.stats.multiple import adjusted_p_values

__all__ = [
    "Interval",
    "adjusted_p_values",
    "clustered_mean_interval",
    "mean_interval",
    "paired_mean_interval",
    "proportion_interval",
    "quantile_interval",
]
