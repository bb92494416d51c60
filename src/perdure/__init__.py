"""perdure: models decay, systems perdure. Declare what you run and what healthy means.

    from perdure import Contract, Label, Model, Policy, Source, days, feature_view, hours, mae

Everything public is imported when first used, so `import perdure` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.assets.contract import Contract
    from perdure.assets.expressions import when
    from perdure.assets.fallback import last_good
    from perdure.assets.feature_view import FeatureView, feature_view
    from perdure.assets.model import Label, Model, TrainingData
    from perdure.assets.objective import (
        Objective,
        accuracy,
        bias,
        drift,
        freshness_h,
        latency_ms,
        mae,
        off_profile,
        rmse,
        skew,
        violations_ratio,
        volume,
    )
    from perdure.assets.policy import Hours, Policy, Ramp
    from perdure.assets.project import Project
    from perdure.assets.source import Source, csv, parquet
    from perdure.core.signature import verify_signature
    from perdure.core.units import Rate, days, hours, minutes, per_day, per_month, per_week, weeks
    from perdure.surface.examples import run_demo
    from perdure.surface.sdk import Perdure, init_project, open_project

__version__ = "0.1.0"

_HOME = {
    "Contract": "perdure.assets.contract",
    "FeatureView": "perdure.assets.feature_view",
    "Label": "perdure.assets.model",
    "Model": "perdure.assets.model",
    "Objective": "perdure.assets.objective",
    "Perdure": "perdure.surface.sdk",
    "Hours": "perdure.assets.policy",
    "Policy": "perdure.assets.policy",
    "Ramp": "perdure.assets.policy",
    "Rate": "perdure.core.units",
    "Project": "perdure.assets.project",
    "Source": "perdure.assets.source",
    "TrainingData": "perdure.assets.model",
    "accuracy": "perdure.assets.objective",
    "bias": "perdure.assets.objective",
    "csv": "perdure.assets.source",
    "days": "perdure.core.units",
    "drift": "perdure.assets.objective",
    "feature_view": "perdure.assets.feature_view",
    "freshness_h": "perdure.assets.objective",
    "hours": "perdure.core.units",
    "last_good": "perdure.assets.fallback",
    "latency_ms": "perdure.assets.objective",
    "mae": "perdure.assets.objective",
    "minutes": "perdure.core.units",
    "init_project": "perdure.surface.sdk",
    "off_profile": "perdure.assets.objective",
    "open_project": "perdure.surface.sdk",
    "run_demo": "perdure.surface.examples",
    "parquet": "perdure.assets.source",
    "per_day": "perdure.core.units",
    "per_month": "perdure.core.units",
    "per_week": "perdure.core.units",
    "rmse": "perdure.assets.objective",
    "skew": "perdure.assets.objective",
    "verify_signature": "perdure.core.signature",
    "violations_ratio": "perdure.assets.objective",
    "volume": "perdure.assets.objective",
    "weeks": "perdure.core.units",
    "when": "perdure.assets.expressions",
}

__all__ = [
    "Contract",
    "FeatureView",
    "Hours",
    "Label",
    "Model",
    "Objective",
    "Perdure",
    "Policy",
    "Project",
    "Ramp",
    "Rate",
    "Source",
    "TrainingData",
    "__version__",
    "accuracy",
    "bias",
    "csv",
    "days",
    "drift",
    "feature_view",
    "freshness_h",
    "hours",
    "init_project",
    "last_good",
    "latency_ms",
    "mae",
    "minutes",
    "off_profile",
    "open_project",
    "parquet",
    "per_day",
    "per_month",
    "per_week",
    "rmse",
    "run_demo",
    "skew",
    "verify_signature",
    "violations_ratio",
    "volume",
    "weeks",
    "when",
]


if not TYPE_CHECKING:  # type checkers see the imports above, and so tell a misspelt name

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'perdure' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
