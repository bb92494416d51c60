"""Declared assets as canonical data: what the ledger registers and hashes, so that a change is seen."""

from __future__ import annotations

from typing import Any

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.project import Project
from perdure.assets.source import Source
from perdure.core.canonical import plain
from perdure.core.units import duration_text


def definitions(project: Project) -> dict[tuple[str, str], dict[str, Any]]:
    """Kind and name → definition, for every asset of the project."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, contract in project.contracts.items():
        found["contract", name] = contract_definition(contract)
    for name, source in project.sources.items():
        found["source", name] = source_definition(source)
    for name, view in project.views.items():
        found["feature_view", name] = view.definition()
    for name, model in project.models.items():
        found["model", name] = model_definition(model)
    return found


def source_definition(source: Source) -> dict[str, Any]:
    """A source as canonical data; what its reader is, not what it reads."""
    delay = source.available_at
    return {
        "name": source.name,
        "contract": source.contract.__name__,
        "event_at": source.event_at,
        "available_at": delay if isinstance(delay, str) else duration_text(delay),
        "key": list(source.key),
        "every": duration_text(source.every),
        "owner": source.owner,
        "healthy": [objective_definition(objective) for objective in source.healthy],
    }


def model_definition(model: type[Model]) -> dict[str, Any]:
    """A model's declaration as canonical data, without what training adds."""
    return {
        "name": model.name,
        "purpose": model.purpose,
        "owner": model.owner,
        "task": model.task,
        "contract": model.contract.__name__,
        "features": [view.version for view in model.features],
        "rows": model.rows.name,
        "label": {
            "source": model.label.source.name,
            "column": model.label.column,
            "key": model.label.key,
            "known_at": model.label.known_at,
            "delay": duration_text(model.label.delay),
        },
        "params": plain(dict(model.params)),
        "seed": model.seed,
        "healthy": [objective_definition(objective) for objective in model.healthy],
        "policy": policy_definition(model.policy),
    }


def objective_definition(objective: Objective) -> dict[str, Any]:
    """An objective as canonical data."""
    return {
        "objective": objective.text(),
        "confidence": objective.confidence,
        "stakeholder": objective.stakeholder,
    }


def policy_definition(policy: Policy) -> dict[str, Any]:
    """A policy as canonical data."""
    return {
        "autonomy": policy.autonomy,
        "trigger": policy.trigger,
        "training": policy.training,
        "retrains": f"{policy.retrains.times} per {duration_text(policy.retrains.per)}",
        "every": duration_text(policy.every) if policy.every else None,
        "approve_by": policy.approve_by,
        "watch": duration_text(policy.watch),
    }
