"""Makes a version: a dataset, a fit, compiled artifacts, a registered candidate.

A model version pins everything it came from: the dataset, the views' definitions, the contract, the
code's hash, parameters and seed. Training again on the same inputs makes the same version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from perdure.engines.training.code import code_hash
from perdure.engines.training.compile import Compiled, compile_model
from perdure.engines.training.training import Trained, train
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


def train_version(
    place: Workplace, model: type[Model], now: datetime, *, params: Mapping[str, Any] | None = None
) -> TrainedVersion:
    """Prepare, fit, compile and register one candidate; the run is recorded also when it fails.

    Raises:
        NotReady: no labelled rows.
        BadModel: the model's `fit` failed; the message has its file and line.
    """
    chosen = {**model.params, **(params or {})}
    dataset = prepare_dataset(place, model, now)
    run = Run(new_id("run"), "train", model.name, "running", machine_now(), params=plain(chosen), actor=place.actor)
    _record(place, run, now)
    data = training_data(dataset, chosen, model.seed)
    slices = {field: dataset.valid[f"row.{field}"].cast(pl.String).to_list() for field in model.slices}
    try:
        trained = train(model, data, slices=slices)
    except BadModel as error:
        _record(place, _finished(run, "failed", {}, {"error": error.as_dict()}), now)
        raise
    compiled = compile_model(trained.fitted, len(data.features), data.x_valid, task=model.task)
    version = _register(place, _version(place, model, dataset, data, compiled), trained, now)
    facts = {
        "version": version.id,
        "dataset": dataset.version.id,
        "code": version.lineage["code"],
        "seed": model.seed,
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


@dataclass(frozen=True, slots=True, eq=False)
class _Content:
    """What a version's id is a hash over."""

    definition: Mapping[str, Any]
    artifacts: Mapping[str, str]
    lineage: Mapping[str, Any]
    asset: str


def _version(
    place: Workplace, model: type[Model], dataset: Dataset, data: TrainingData, compiled: Compiled
) -> _Content:
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
    lineage = {
        "dataset": dataset.version.id,
        "code": code_hash(model),
        "params": dict(data.params),
        "seed": data.seed,
    }
    artifacts = {role: place.stores.blobs.put(content) for role, content in contents.items()}
    return _Content(plain(definition), artifacts, plain(lineage), model.name)


def _register(place: Workplace, content: _Content, trained: Trained, now: datetime) -> Version:
    version = Version(
        id=version_id(content.asset, content_hash(content)),
        asset=content.asset,
        kind="model",
        definition=content.definition,
        artifacts=content.artifacts,
        lineage=content.lineage,
        metrics=trained.metrics,
        created_at=now,
        actor=place.actor,
    )
    with place.stores.ledger.transaction(actor=place.actor, at=now, reason="train") as session:
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
    with place.stores.ledger.transaction(actor=place.actor, at=now, reason=f"{run.kind} {run.status}") as session:
        session.runs.put(run)
