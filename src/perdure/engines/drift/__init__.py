"""How far what is served moved from what was learned: PSI, Jensen–Shannon, KS, W1, chi-squared.

`by_feature` compares two profiles, `samples` two arrays; beneath lie `divergence` (counts),
`distance` (distribution functions) and `bins` (fine cells to coarse bins). `reweight` splits a rise of
the error into the inputs' part and the relation's, with fits of `cross_fit`; `conversions` tells a
changed unit from a season. Pure arithmetic.
"""

from __future__ import annotations

from perdure.engines.drift.by_feature import FeatureDrift, Measure, alarming, drift_by_feature
from perdure.engines.drift.conversions import CONVERSIONS, Conversion, Rescaled, find_rescaling, off_grid
from perdure.engines.drift.divergence import chi2_p_value, js_from_counts, psi_from_counts
from perdure.engines.drift.reweight import LossRows, RiseSplit, Weights, importance, split_rise
from perdure.engines.drift.samples import js_distance, ks, psi, w1

__all__ = [
    "CONVERSIONS",
    "Conversion",
    "FeatureDrift",
    "LossRows",
    "Measure",
    "Rescaled",
    "RiseSplit",
    "Weights",
    "alarming",
    "chi2_p_value",
    "drift_by_feature",
    "find_rescaling",
    "importance",
    "js_distance",
    "js_from_counts",
    "ks",
    "off_grid",
    "psi",
    "psi_from_counts",
    "split_rise",
    "w1",
]
