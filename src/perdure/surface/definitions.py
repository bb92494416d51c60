"""Declared assets as canonical data: what the ledger registers and hashes, so that a change is seen.

Called by `apply` and by `check --ci`. Records are described field by field as they are declared, so a
field that is added to a policy, an objective, a source or a model is a part of the definition at once.
What differs between two machines is none: no folder of a file is written down, only its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from perdure.assets.agent import Agent
from perdure.assets.core_schema import code_digest
from perdure.assets.feature_view import FeatureView
from perdure.assets.fields import contract_definition
from perdure.assets.graph import Graph
from perdure.assets.guard import Guard, Learned
from perdure.assets.index import Index
from perdure.assets.judge import Judge
from perdure.assets.model import Label, Model
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route
from perdure.assets.scorer_specs import scorer_definition
from perdure.assets.source import CallableReader, Reader, Source
from perdure.assets.suite import Suite
from perdure.assets.team import Team
from perdure.core.canonical import plain
from perdure.core.units import Rate, duration_text


def definitions(project: Project) -> dict[tuple[str, str], dict[str, Any]]:
    """Kind and name → definition, for every asset of the project."""
    told: Mapping[str, Mapping[str, Any]] = {
        "contract": project.contracts,
        "source": project.sources,
        "feature_view": project.views,
        "model": project.models,
        "route": project.routes,
        "guard": project.guards,
        "prompt": project.prompts,
        "judge": project.judges,
        "index": project.indexes,
        "agent": project.agents,
        "graph": project.graphs,
        "suite": project.suites,
        "team": project.teams,
    }
    return {(kind, name): definition_of(kind, asset) for kind, assets in told.items() for name, asset in assets.items()}


def definition_of(kind: str, asset: Any) -> dict[str, Any]:
    """The definition of one declared asset of a kind, such as `feature_view`."""
    by_kind: Mapping[str, Callable[[Any], dict[str, Any]]] = {
        "contract": contract_definition,
        "source": source_definition,
        "feature_view": FeatureView.definition,
        "model": model_definition,
        "route": route_definition,
        "guard": guard_definition,
        "prompt": prompt_definition,
        "judge": judge_definition,
        "index": index_definition,
        "agent": run_definition,
        "graph": run_definition,
        "suite": Suite.definition,
        "team": team_definition,
    }
    return by_kind[kind](asset)


def source_definition(source: Source) -> dict[str, Any]:
    """A source as canonical data; how its reader reads, not what it finds there."""
    return {
        **described(source, leave_out=("contract", "read", "healthy", "policy")),
        "contract": source.contract.__name__,
        "read": reader_definition(source.read),
        "healthy": [objective_definition(objective) for objective in source.healthy],
        "policy": policy_definition(source.policy),
    }


def reader_definition(read: Reader | object) -> dict[str, Any]:
    """A reader as canonical data: the name of its file without the folder, or the code of its function."""
    if isinstance(read, CallableReader):
        function = read.function
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return {"kind": "function", "name": name, "code": code_digest(function)}
    return {"kind": type(read).__name__, **described(read)}


def model_definition(model: type[Model]) -> dict[str, Any]:
    """A model's declaration as canonical data, without what training adds."""
    own: dict[str, Any] = {
        "contract": model.contract.__name__,
        "features": [view.version for view in model.features],
        "rows": model.rows.name,
        "label": label_definition(model.label),
        "healthy": [objective_definition(objective) for objective in model.healthy],
        "policy": policy_definition(model.policy),
    }
    declared = [name for name in Model.__annotations__ if name not in own]
    return {**{name: _told(getattr(model, name)) for name in declared}, **own, "code": _code(model)}


def _code(model: type[Model]) -> dict[str, str]:
    """Digest of the source of each method of the model and of the classes it builds on, up to `Model`."""
    classes = model.__mro__[: model.__mro__.index(Model)]
    methods = {name for cls in classes for name, value in vars(cls).items() if not name.startswith("__")
               and callable(getattr(value, "__func__", value)) and not isinstance(value, type)}  # fmt: skip
    return {name: code_digest(getattr(model, name)) for name in sorted(methods)}


def route_definition(route: Route) -> dict[str, Any]:
    """A route's declaration as canonical data: what its versions are, where its upstreams are, what healthy is."""
    upstreams = {target.upstream.name: described(target.upstream) for target in route.targets}
    return {**route.definition(), "upstreams": upstreams, **_judged(route)}


def guard_definition(guard: Guard) -> dict[str, Any]:
    """A guard's declaration as canonical data: what its versions are, what it learns from, what healthy is."""
    learned = [check.examples for check in guard.checks if isinstance(check, Learned)]
    examples = [each.name if isinstance(each, Source) else code_digest(each) for each in learned]
    return {**guard.definition(), "examples": examples, **_judged(guard)}


def prompt_definition(prompt: Prompt) -> dict[str, Any]:
    """A prompt's declaration as canonical data: what its versions are, what healthy is."""
    return {**prompt.definition(), **_judged(prompt)}


def judge_definition(judge: Judge) -> dict[str, Any]:
    """A judge's declaration as canonical data: what its versions are, what it is calibrated on, what healthy is."""
    anchor = None if judge.anchor is None else Path(judge.anchor).name
    return {**judge.definition(), "anchor": anchor, **_judged(judge)}


def index_definition(index: Index) -> dict[str, Any]:
    """An index's declaration as canonical data: what its versions are, how it is looked after, what healthy is."""
    golden = None if index.golden is None else Path(index.golden).name
    own = {"golden": golden, "census": duration_text(index.census), "history": duration_text(index.history)}
    bounds = {"most_deleted": index.most_deleted, "unverified": index.unverified}
    return {**index.definition(), **own, **bounds, **_judged(index)}


def run_definition(asset: Agent | Graph) -> dict[str, Any]:
    """An agent's or a graph's declaration as canonical data: what its versions are, what success and healthy are."""
    success = [scorer_definition(each) for each in asset.success]
    return {**asset.definition(), "success": success, **_judged(asset)}


def team_definition(team: Team) -> dict[str, Any]:
    """A team's declaration as canonical data: what it may call and spend, what healthy is."""
    return {**described(team, leave_out=("healthy", "policy")), **_judged(team)}


def _judged(asset: Route | Guard | Prompt | Judge | Index | Agent | Graph | Team) -> dict[str, Any]:
    return {
        "healthy": [objective_definition(objective) for objective in asset.healthy],
        "policy": policy_definition(asset.policy),
    }


def label_definition(label: Label) -> dict[str, Any]:
    """A label as canonical data."""
    return {**described(label, leave_out=("source",)), "source": label.source.name}


def objective_definition(objective: Objective) -> dict[str, Any]:
    """An objective as canonical data: in words, and each part of it."""
    own = described(objective, leave_out=("spec",))
    return {"objective": objective.text(), **described(objective.spec), **own}


def policy_definition(policy: Policy) -> dict[str, Any]:
    """A policy as canonical data, every field of it."""
    return described(policy)


def described(record: Any, *, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Each field of a dataclass as canonical data, durations and rates as text.

    >>> from perdure.assets.policy import Ramp
    >>> described(Ramp())
    {'shadow': '12h', 'canary': '12h', 'share': 0.2}
    """
    names = [field.name for field in dataclasses.fields(record) if field.name not in leave_out]
    return {name: _told(getattr(record, name)) for name in names}


def _told(value: Any) -> Any:
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Rate):
        return f"{value.times} per {duration_text(value.per)}"
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _told(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_told(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return described(value)
    return plain(value)
