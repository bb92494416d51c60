"""Makes a version: a dataset, a fit, compiled artifacts, a registered candidate.

A model version pins everything it came from: the dataset, the views' definitions, the contract, the
code's hash, parameters and seed. Training again on the same inputs makes the same version.
Persons train by `train_version`; remedies make candidates by `train_on`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model, TrainingData
from perdure.assets.version import Version
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import machine_now
from perdure.core.errors import BadModel
from perdure.core.ids import new_id, version_id
from perdure.engines.profile import build_profile, to_bytes
from perdure.engines.training.code import code_hash, code_text
from perdure.engines.training.compile import Compiled, compile_model
from perdure.engines.training.training import Trained, measured, train
from perdure.engines.training.tuning import TrialRecord, Tuned, tune
from perdure.loop.protocols import Workplace
from perdure.loop.work.datasets import Dataset, prepare_dataset, training_data
from perdure.stores.ledger.protocols import Run


@dataclass(frozen=True, slots=True, eq=False)
class TrainedVersion:
    """A registered candidate with the run that made it."""

    version: Version
    run: Run
    dataset: Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How a candidate is made of a dataset."""

    params: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the model's own."""
    remedy: str = ""
    """Name of the remedy; empty where a person trains."""
    remedy_params: Mapping[str, Any] = field(default_factory=dict)
    warm_start: Version | None = None
    """Version whose fitted model `fit` goes on from."""
    native: Any = None
    """That fitted model."""
    fitted: Callable[[TrainingData], Any] | None = None
    """Makes the model in place of the declared `fit`."""
    run_id: str = ""


def train_version(
    place: Workplace, model: type[Model], now: datetime, *, params: Mapping[str, Any] | None = None
) -> TrainedVersion:
    """Prepare, fit, compile and register one candidate; the run is recorded also when it fails.

    Raises:
        NotReady: no labelled rows.
        BadModel: the model's `fit` failed; the message has its file and line.
    """
    return train_on(place, model, prepare_dataset(place, model, now), Recipe(params or {}), now)


def train_on(place: Workplace, model: type[Model], dataset: Dataset, recipe: Recipe, now: datetime) -> TrainedVersion:
    """Fit, compile and register one candidate of a dataset; the run is recorded also when it fails.

    Equal datasets, code and recipes make the same version, whoever asks and however often.

    Raises:
        BadModel: the model's `fit` failed; the message has its file and line.
    """
    chosen = {**model.params, **recipe.params}
    run_id = recipe.run_id or new_id("run")
    run = Run(run_id, "train", model.name, "running", machine_now(), params=plain(chosen), actor=place.actor)
    _record(place, run, now)
    data = training_data(dataset, chosen, model.seed)
    try:
        trained = _trained(model, dataset, data, recipe)
    except BadModel as error:
        _record(place, _finished(run, "failed", {}, {"error": error.as_dict()}), now)
        raise
    compiled = compile_model(trained.fitted, len(data.features), data.x_valid, task=model.task)
    content = _version(place, model, dataset, data, compiled)
    lineage = {**content.lineage, **_lineage(dataset, recipe)}
    version = register(place, replace(content, lineage=plain(lineage)), trained.metrics, now)
    facts = {
        "version": version.id,
        "dataset": dataset.version.id,
        "code": version.lineage["code"],
        "seed": model.seed,
        "remedy": recipe.remedy,
        "curves": trained.curves,
        "slices": trained.slices,
        "importance": trained.importance,
        "parity": compiled.definition()["parity"],
        "cpu_s": round(trained.cpu_s, 3),
        "card": dataset.card,
    }
    done = _finished(run, "done", trained.metrics, facts)
    _record(place, done, now)
    return TrainedVersion(version, done, dataset)


def _trained(model: type[Model], dataset: Dataset, data: TrainingData, recipe: Recipe) -> Trained:
    slices = {field: dataset.valid[f"row.{field}"].cast(pl.String).to_list() for field in model.slices}
    lean = bool(recipe.remedy)
    if recipe.fitted is not None:
        return measured(model, data, recipe.fitted(data), slices=slices, lean=lean)
    return train(model, data, warm_start=recipe.native, slices=slices, lean=lean)


def _lineage(dataset: Dataset, recipe: Recipe) -> dict[str, Any]:
    """Which rows were fitted on, up to when, by which remedy; the dataset, code, parameters and seed are there."""
    stretch = dataset.fitted
    lineage: dict[str, Any] = {
        "rows": {"column": stretch.column, "start": stretch.start, "end": stretch.end},
        "watermark": stretch.end,
    }
    if recipe.remedy:
        lineage |= {"remedy": recipe.remedy, "remedy_params": dict(recipe.remedy_params)}
    if recipe.warm_start is not None:
        lineage["warm_start"] = recipe.warm_start.id
    return lineage


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a version's id is a hash over."""

    definition: Mapping[str, Any]
    artifacts: Mapping[str, str]
    lineage: Mapping[str, Any]
    asset: str


def _version(place: Workplace, model: type[Model], dataset: Dataset, data: TrainingData, compiled: Compiled) -> Content:
    """Store the artifacts and put together what the version is."""
    profile = build_profile(np.concatenate([data.x, data.x_valid]), list(data.features), categories=data.categories)
    contents = {**compiled.artifacts, "profile": to_bytes(profile)}
    contract = contract_definition(model.contract)
    # Parity's figures differ in the last digit between processors: they belong to the run.
    runtime = {key: value for key, value in compiled.definition().items() if key != "parity"}
    definition = {
        **dataset.plan.definition(),
        **runtime,
        "contract": {**contract, "hash": content_hash(contract)},
        "label": {"column": model.label.column, "key": model.label.key, "known_at": model.label.known_at},
    }
    code = code_text(model)
    if code is not None:
        # Found by its hash, which the lineage has: as an artifact it would give every version another id.
        place.stores.blobs.put(code)
    lineage = {
        "dataset": dataset.version.id,
        "code": code_hash(model),
        "params": dict(data.params),
        "seed": data.seed,
    }
    artifacts = {role: place.stores.blobs.put(content) for role, content in contents.items()}
    return Content(plain(definition), artifacts, plain(lineage), model.name)


def register(place: Workplace, content: Content, metrics: Mapping[str, float], now: datetime) -> Version:
    """Keep a model version under the hash of its content; one that is there already stays as it is."""
    version = Version(
        id=version_id(content.asset, content_hash(content)),
        asset=content.asset,
        kind="model",
        definition=content.definition,
        artifacts=content.artifacts,
        lineage=content.lineage,
        metrics=metrics,
        created_at=now,
        actor=place.actor,
    )
    with place.transaction(now, "train") as session:
        return session.registry.put_version(version)


def tune_params(
    place: Workplace,
    model: type[Model],
    now: datetime,
    *,
    n_trials: int,
    progress: Callable[[TrialRecord], None] | None = None,
) -> Tuned:
    """Search parameters by Optuna on the validation part; the search is recorded as a run of kind `tune`."""
    dataset = prepare_dataset(place, model, now)
    run = Run(new_id("run"), "tune", model.name, "running", machine_now(), actor=place.actor)
    _record(place, run, now)
    tuned = tune(
        model, training_data(dataset, model.params, model.seed), n_trials=n_trials, seed=model.seed, progress=progress
    )
    trials = [{"params": plain(dict(t.params)), "value": t.value, "state": t.state} for t in tuned.trials]
    facts = {"dataset": dataset.version.id, "trials": trials}
    done = _finished(run, "done", {tuned.metric: tuned.best_value}, facts)
    _record(place, replace(done, params=plain(dict(tuned.best_params))), now)
    return tuned


def _finished(run: Run, status: str, metrics: Mapping[str, float], facts: Mapping[str, Any]) -> Run:
    return replace(run, status=status, finished_at=machine_now(), metrics=dict(metrics), facts=plain(facts))


def _record(place: Workplace, run: Run, now: datetime) -> None:
    with place.transaction(now, f"{run.kind} {run.status}") as session:
        session.runs.put(run)
