"""Makes a version: rows and labels from the lake, features as of their time, a fit, a registered candidate.

A model version pins everything it came from: the dataset (with the lake's versions it was read from),
the views' definitions, the contract, the code's hash, parameters and seed.
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
from perdure.core.errors import BadModel, NotReady
from perdure.core.ids import new_id, version_id
from perdure.engines.features import FeaturePlan
from perdure.engines.profile import build_profile, to_bytes
from perdure.engines.training.code import code_hash
from perdure.engines.training.compile import compile_model
from perdure.engines.training.dataset import LABEL, join_labels, prepare_rows, split_by_time
from perdure.engines.training.lineage import frame_digest
from perdure.engines.training.training import Trained, train
from perdure.engines.training.tuning import TrialRecord, Tuned, tune
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.feed import AVAILABLE_AT, EVENT_AT
from perdure.loop.work.outcomes import read_captures, read_labels
from perdure.loop.work.skew import histories, request_rows
from perdure.stores.lake.protocols import AppTransaction, Span
from perdure.stores.ledger.protocols import Run

AS_OF = "_as_of"
KEY = "_key"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A prepared dataset: labelled rows with their raw features, split by time, kept in the lake."""

    version: Version
    train: pl.DataFrame
    valid: pl.DataFrame
    plan: FeaturePlan
    """With the categories learned from the training part."""
    card: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedVersion:
    """A registered candidate with the run that made it."""

    version: Version
    run: Run
    dataset: Dataset


def prepare_dataset(place: Workplace, model: type[Model], now: datetime) -> Dataset:
    """Rows known until `now` with labels known until `now`, features as of each row's own time.

    Raises:
        NotReady: no labelled row is there yet.
    """
    rows, counts = _rows(place, model, now)
    labels = read_labels(place.stores.lake, model.name, model.label, None, now)
    joined = join_labels(rows, labels.rename({"key": KEY}), key=KEY, value="value", known_at="known_at", until=now)
    labelled = joined.frame.filter(pl.col(LABEL).is_not_null())
    if labelled.height < 2:
        raise NotReady(
            f"Model {model.name!r} has {labelled.height} labelled rows known by {now.isoformat()}.",
            hint="Ingest its sources first, or choose a later instant.",
        )
    declared = FeaturePlan.from_views(model.features)
    history = histories(place.stores.lake, declared, until=now)
    features = declared.offline(labelled, AS_OF, history).frame
    names = [feature.name for feature in declared.features]
    table = labelled.select(KEY, AS_OF, LABEL, *(pl.col(field).alias(f"row.{field}") for field in model.slices)).hstack(
        features.select(pl.all().name.prefix("f."))
    )
    train_part, valid_part = split_by_time(table, AS_OF)
    plan = declared.with_categories(declared.learn_categories(_features(train_part, names)))
    card = {
        **counts,
        "n_labels_orphaned": joined.n_orphaned,
        "n_labels_corrected": joined.n_corrected,
        "n_labelled": labelled.height,
        "n_unlabelled": joined.n_unlabelled,
        "n_train": train_part.height,
        "n_valid": valid_part.height,
        "from": labelled[AS_OF].min(),
        "until": labelled[AS_OF].max(),
        "split_at": valid_part[AS_OF].min(),
        "null_ratio": {name: round(features[name].null_count() / features.height, 4) for name in names},
    }
    return Dataset(_keep(place, model, table, card, now), train_part, valid_part, plan, plain(card))


def _rows(place: Workplace, model: type[Model], now: datetime) -> tuple[pl.DataFrame, dict[str, int]]:
    """History and captures as one frame: contract fields, key, prediction_id, _as_of; with what was dropped."""
    lake, fields = place.stores.lake, list(model.contract.model_fields)
    schema_columns = [*fields, EVENT_AT, AVAILABLE_AT]
    if lake.version(table_of(model.rows.name)) is None:
        raise NotReady(f"Model {model.name!r} has no rows yet.", hint=f"Ingest source {model.rows.name!r} first.")
    history = lake.read(table_of(model.rows.name), columns=schema_columns, span=Span(AVAILABLE_AT, None, now))
    history = history.rename({EVENT_AT: AS_OF})
    served = read_captures(lake, model.name, None, now, ["prediction_id", "row", "served_at"])
    live = None
    if not served.is_empty():
        asset = Watched(model.name, "", (), model.policy, model)
        live = request_rows(asset, served).with_columns(
            served["served_at"].alias(AS_OF), served["served_at"].alias(AVAILABLE_AT), served["prediction_id"]
        )
    prepared = prepare_rows(history, live, key=[model.label.key], as_of_column=AS_OF)
    frame = prepared.frame.with_columns(pl.col(model.label.key).cast(pl.String).alias(KEY))
    counts = {
        "n_history": prepared.n_history,
        "n_live": prepared.n_captures,
        "n_incomplete": prepared.n_incomplete,
        "n_duplicates": prepared.n_duplicates,
    }
    return frame, counts


def _features(table: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return table.select(pl.col(f"f.{name}").alias(name) for name in names)


def _keep(place: Workplace, model: type[Model], table: pl.DataFrame, card: Mapping[str, Any], now: datetime) -> Version:
    """Write the dataset to a table of its own and register it with its lineage; equal datasets are kept once."""
    lake, name = place.stores.lake, f"{model.name}_rows"
    sources = {model.rows.name, model.label.source.name} | {
        view.source.name for view in model.features if view.source is not None
    }
    lineage = {
        "sources": {source: lake.version(table_of(source)) for source in sorted(sources)},
        "contract": contract_definition(model.contract)["name"],
        "views": [view.version for view in model.features],
        "as_of": now,
    }
    definition = {"content": frame_digest(table), "columns": table.columns, "card": plain(card)}
    digest = content_hash({"definition": definition, "lineage": lineage})
    version = Version(
        id=version_id(name, digest),
        asset=name,
        kind="dataset",
        definition=definition,
        artifacts={},
        lineage=plain(lineage),
        metrics={},
        created_at=now,
        actor=place.actor,
    )
    lake.append(f"datasets/{name}/{digest[:12]}", table, transaction=AppTransaction("dataset", 1))
    with place.stores.ledger.transaction(actor=place.actor, at=now, reason="prepare dataset") as session:
        session.registry.put_version(version)
    return version


def training_data(dataset: Dataset, params: Mapping[str, Any], seed: int) -> TrainingData:
    """What `fit` gets: encoded arrays of both parts."""
    names = [feature.name for feature in dataset.plan.features]
    return TrainingData(
        x=dataset.plan.encode(_features(dataset.train, names)),
        y=dataset.train[LABEL].to_numpy(),
        x_valid=dataset.plan.encode(_features(dataset.valid, names)),
        y_valid=dataset.valid[LABEL].to_numpy(),
        features=names,
        categories=dataset.plan.categories,
        params=dict(params),
        seed=seed,
    )


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
    version = _register(place, model, dataset, data, trained, (run, chosen, now))
    facts = {
        "version": version.id,
        "dataset": dataset.version.id,
        "code": version.lineage["code"],
        "seed": model.seed,
        "curves": trained.curves,
        "slices": trained.slices,
        "importance": trained.importance,
        "parity": version.definition["parity"],
        "cpu_s": round(trained.cpu_s, 3),
        "card": dataset.card,
    }
    done = _finished(run, "done", trained.metrics, facts)
    _record(place, done, now)
    return TrainedVersion(version, done, dataset)


def _register(
    place: Workplace,
    model: type[Model],
    dataset: Dataset,
    data: TrainingData,
    trained: Trained,
    how: tuple[Run, Mapping[str, Any], datetime],
) -> Version:
    run, params, now = how
    compiled = compile_model(trained.fitted, len(data.features), data.x_valid, task=model.task)
    profile = build_profile(np.concatenate([data.x, data.x_valid]), list(data.features), categories=data.categories)
    blobs = place.stores.blobs
    artifacts = {role: blobs.put(content) for role, content in compiled.artifacts.items()}
    artifacts["profile"] = blobs.put(to_bytes(profile))
    contract = contract_definition(model.contract)
    definition = {
        **dataset.plan.definition(),
        **compiled.definition(),
        "contract": {**contract, "hash": content_hash(contract)},
        "label": {"column": model.label.column, "key": model.label.key, "known_at": model.label.known_at},
    }
    lineage = {
        "dataset": dataset.version.id,
        "code": code_hash(model),
        "params": dict(params),
        "seed": model.seed,
        "run": run.id,
    }
    # The run's id is left out of the hash: training again on the same inputs makes the same version.
    hashed = {
        "definition": definition,
        "artifacts": artifacts,
        "lineage": {key: value for key, value in lineage.items() if key != "run"},
    }
    version = Version(
        id=version_id(model.name, content_hash(hashed)),
        asset=model.name,
        kind="model",
        definition=plain(definition),
        artifacts=artifacts,
        lineage=plain(lineage),
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
