"""perdure: models decay, systems perdure. Declare what you run and what healthy means.

    from perdure import Contract, Label, Model, Policy, Source, days, feature_view, hours, mae

Everything public is imported when first used, so `import perdure` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.assets import scorers
    from perdure.assets.contract import Contract
    from perdure.assets.eval_objectives import (
        eval_score,
        hallucination_ratio,
        judge_agreement,
        judge_obeyed,
        judge_shift,
        label_age_d,
        online_score,
        unapproved_ratio,
    )
    from perdure.assets.expressions import when
    from perdure.assets.fallback import last_good
    from perdure.assets.feature_view import FeatureView, feature_view
    from perdure.assets.gateway_objectives import (
        answer_shift,
        block_ratio,
        burn_ratio,
        cost_anomaly,
        cost_usd,
        error_ratio,
        false_block_ratio,
        first_token_ms,
        miss_ratio,
        new_intents,
        refusal_ratio,
        spend_usd,
        tokens_per_s,
    )
    from perdure.assets.guard import (
        CanaryLeak,
        Custom,
        DefenderInjection,
        FitsSchema,
        Grounded,
        Guard,
        InjectionRules,
        Learned,
        Names,
        Pii,
        PresidioPii,
        Secrets,
        ToolCalls,
        Topics,
        Toxicity,
    )
    from perdure.assets.judge import Judge
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
    from perdure.assets.prompt import Prompt, prompts
    from perdure.assets.route import Cache, Probe, Probes, Route, Target, UnitPrices
    from perdure.assets.source import Source, csv, parquet
    from perdure.assets.suite import Case, Suite, suites
    from perdure.assets.team import Budget, Limits, Team
    from perdure.assets.upstream import Upstream
    from perdure.core.signature import verify_signature
    from perdure.core.units import Rate, days, hours, minutes, per_day, per_month, per_week, seconds, weeks
    from perdure.surface.examples import run_demo
    from perdure.surface.sdk import Perdure, init_project, open_project

__version__ = "0.1.0"

_HOME = {
    "Budget": "perdure.assets.team",
    "Cache": "perdure.assets.route",
    "CanaryLeak": "perdure.assets.guard",
    "Case": "perdure.assets.suite",
    "Contract": "perdure.assets.contract",
    "Custom": "perdure.assets.guard",
    "DefenderInjection": "perdure.assets.guard",
    "FeatureView": "perdure.assets.feature_view",
    "FitsSchema": "perdure.assets.guard",
    "Grounded": "perdure.assets.guard",
    "Guard": "perdure.assets.guard",
    "Hours": "perdure.assets.policy",
    "InjectionRules": "perdure.assets.guard",
    "Judge": "perdure.assets.judge",
    "Label": "perdure.assets.model",
    "Learned": "perdure.assets.guard",
    "Limits": "perdure.assets.team",
    "Model": "perdure.assets.model",
    "Names": "perdure.assets.guard",
    "Objective": "perdure.assets.objective",
    "Perdure": "perdure.surface.sdk",
    "Pii": "perdure.assets.guard",
    "Policy": "perdure.assets.policy",
    "PresidioPii": "perdure.assets.guard",
    "Probe": "perdure.assets.route",
    "Probes": "perdure.assets.route",
    "Project": "perdure.assets.project",
    "Prompt": "perdure.assets.prompt",
    "Ramp": "perdure.assets.policy",
    "Rate": "perdure.core.units",
    "Route": "perdure.assets.route",
    "Secrets": "perdure.assets.guard",
    "Source": "perdure.assets.source",
    "Suite": "perdure.assets.suite",
    "Target": "perdure.assets.route",
    "Team": "perdure.assets.team",
    "ToolCalls": "perdure.assets.guard",
    "Topics": "perdure.assets.guard",
    "Toxicity": "perdure.assets.guard",
    "TrainingData": "perdure.assets.model",
    "UnitPrices": "perdure.assets.route",
    "Upstream": "perdure.assets.upstream",
    "accuracy": "perdure.assets.objective",
    "answer_shift": "perdure.assets.gateway_objectives",
    "bias": "perdure.assets.objective",
    "block_ratio": "perdure.assets.gateway_objectives",
    "burn_ratio": "perdure.assets.gateway_objectives",
    "cost_anomaly": "perdure.assets.gateway_objectives",
    "cost_usd": "perdure.assets.gateway_objectives",
    "csv": "perdure.assets.source",
    "days": "perdure.core.units",
    "drift": "perdure.assets.objective",
    "error_ratio": "perdure.assets.gateway_objectives",
    "eval_score": "perdure.assets.eval_objectives",
    "false_block_ratio": "perdure.assets.gateway_objectives",
    "feature_view": "perdure.assets.feature_view",
    "first_token_ms": "perdure.assets.gateway_objectives",
    "freshness_h": "perdure.assets.objective",
    "hallucination_ratio": "perdure.assets.eval_objectives",
    "hours": "perdure.core.units",
    "init_project": "perdure.surface.sdk",
    "judge_agreement": "perdure.assets.eval_objectives",
    "judge_obeyed": "perdure.assets.eval_objectives",
    "judge_shift": "perdure.assets.eval_objectives",
    "label_age_d": "perdure.assets.eval_objectives",
    "last_good": "perdure.assets.fallback",
    "latency_ms": "perdure.assets.objective",
    "mae": "perdure.assets.objective",
    "minutes": "perdure.core.units",
    "miss_ratio": "perdure.assets.gateway_objectives",
    "new_intents": "perdure.assets.gateway_objectives",
    "off_profile": "perdure.assets.objective",
    "online_score": "perdure.assets.eval_objectives",
    "open_project": "perdure.surface.sdk",
    "parquet": "perdure.assets.source",
    "per_day": "perdure.core.units",
    "per_month": "perdure.core.units",
    "per_week": "perdure.core.units",
    "prompts": "perdure.assets.prompt",
    "refusal_ratio": "perdure.assets.gateway_objectives",
    "rmse": "perdure.assets.objective",
    "run_demo": "perdure.surface.examples",
    "seconds": "perdure.core.units",
    "skew": "perdure.assets.objective",
    "spend_usd": "perdure.assets.gateway_objectives",
    "suites": "perdure.assets.suite",
    "tokens_per_s": "perdure.assets.gateway_objectives",
    "unapproved_ratio": "perdure.assets.eval_objectives",
    "verify_signature": "perdure.core.signature",
    "violations_ratio": "perdure.assets.objective",
    "volume": "perdure.assets.objective",
    "weeks": "perdure.core.units",
    "when": "perdure.assets.expressions",
}
_MODULES = {"scorers": "perdure.assets.scorers"}
"""Names that stand for a module: some of what is in it has the name of something else here."""

__all__ = [
    "Budget",
    "Cache",
    "CanaryLeak",
    "Case",
    "Contract",
    "Custom",
    "DefenderInjection",
    "FeatureView",
    "FitsSchema",
    "Grounded",
    "Guard",
    "Hours",
    "InjectionRules",
    "Judge",
    "Label",
    "Learned",
    "Limits",
    "Model",
    "Names",
    "Objective",
    "Perdure",
    "Pii",
    "Policy",
    "PresidioPii",
    "Probe",
    "Probes",
    "Project",
    "Prompt",
    "Ramp",
    "Rate",
    "Route",
    "Secrets",
    "Source",
    "Suite",
    "Target",
    "Team",
    "ToolCalls",
    "Topics",
    "Toxicity",
    "TrainingData",
    "UnitPrices",
    "Upstream",
    "__version__",
    "accuracy",
    "answer_shift",
    "bias",
    "block_ratio",
    "burn_ratio",
    "cost_anomaly",
    "cost_usd",
    "csv",
    "days",
    "drift",
    "error_ratio",
    "eval_score",
    "false_block_ratio",
    "feature_view",
    "first_token_ms",
    "freshness_h",
    "hallucination_ratio",
    "hours",
    "init_project",
    "judge_agreement",
    "judge_obeyed",
    "judge_shift",
    "label_age_d",
    "last_good",
    "latency_ms",
    "mae",
    "minutes",
    "miss_ratio",
    "new_intents",
    "off_profile",
    "online_score",
    "open_project",
    "parquet",
    "per_day",
    "per_month",
    "per_week",
    "prompts",
    "refusal_ratio",
    "rmse",
    "run_demo",
    "scorers",
    "seconds",
    "skew",
    "spend_usd",
    "suites",
    "tokens_per_s",
    "unapproved_ratio",
    "verify_signature",
    "violations_ratio",
    "volume",
    "weeks",
    "when",
]


if not TYPE_CHECKING:  # type checkers see the imports above, and so tell a misspelt name

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(_MODULES[name])
        if name not in _HOME:
            raise AttributeError(f"module 'perdure' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
