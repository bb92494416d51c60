"""Features: compiled from views, joined as of a point in time, offline and online to the same bit."""

from perdure.engines.features.frames import compile_frame
from perdure.engines.features.online import FoundRow, OnlineFeatures
from perdure.engines.features.plan import AVAILABLE_AT, EVENT_AT, FeaturePlan, OfflineFeatures
from perdure.engines.features.planned import PlannedFeature, PlannedView, StoredRow
from perdure.engines.features.point_in_time import (
    EXPIRED,
    FALLBACK_DEFAULT,
    FALLBACK_LAST_GOOD,
    FRESH,
    MISSING,
    NOT_YET,
    STATUS_WORDS,
    as_of_join,
)
from perdure.engines.features.rows import compile_row
from perdure.engines.features.skew import SkewExample, SkewReport, compare_vectors

__all__ = [
    "AVAILABLE_AT",
    "EVENT_AT",
    "EXPIRED",
    "FALLBACK_DEFAULT",
    "FALLBACK_LAST_GOOD",
    "FRESH",
    "MISSING",
    "NOT_YET",
    "STATUS_WORDS",
    "FeaturePlan",
    "FoundRow",
    "OfflineFeatures",
    "OnlineFeatures",
    "PlannedFeature",
    "PlannedView",
    "SkewExample",
    "SkewReport",
    "StoredRow",
    "as_of_join",
    "compare_vectors",
    "compile_frame",
    "compile_row",
]
