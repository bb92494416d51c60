"""How far what is served moved from what was learned: PSI, Jensen–Shannon, KS, W1, chi-squared.

`by_feature` compares two profiles, `samples` two arrays; beneath lie `divergence` (counts),
`distance` (distribution functions) and `bins` (fine cells to coarse bins). Pure arithmetic.
"""

from __future__ import annotations

from perdure.engines.drift.by_feature import FeatureDrift, Measure, alarming, drift_by_feature
from perdure.engines.drift.divergence import chi2_p_value, js_from_counts, psi_from_counts
from perdure.engines.drift.samples import js_distance, ks, psi, w1

__all__ = [
    "FeatureDrift",
    "Measure",
    "alarming",
    "chi2_p_value",
    "drift_by_feature",
    "js_distance",
    "js_from_counts",
    "ks",
    "psi",
    "psi_from_counts",
    "w1",
]
