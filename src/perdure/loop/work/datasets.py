"""Prepares datasets: rows known at an instant, their labels, their features as of each row's own time.

A dataset is a version of its own, kept in the lake under its content's hash, with the versions of the
tables it was read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model, TrainingData
from perdure.assets.version import Version, dataset_name
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import iso
from perdure.core.errors import NotReady
from perdure.core.ids import version_id
from perdure.engines.features import FeaturePlan
from perdure.engines.training.dataset import LABEL, LabelJoin, join_labels, prepare_rows, split_by_time
from perdure.engines.training.lineage import describe
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.feed import AVAILABLE_AT, EVENT_AT, known_span
from perdure.loop.work.outcomes import captures_table, labels_table, read_captures, read_labels
from perdure.loop.work.skew import histories, request_rows
from perdure.stores.lake.protocols import AppTransaction

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


def prepare_dataset(place: Workplace, model: type[Model], now: datetime) -> Dataset:
    """Rows known until `now` with labels known until `now`, features as of each row's own time.

    Raises:
        NotReady: no labelled row is there yet.
    """
    rows, counts = _rows(place, model, now)
    labels = _keyed_labels(place, model, now)
    joined = join_labels(rows, labels, key=KEY, value="value", known_at="known_at", until=now)
    labelled = joined.frame.filter(pl.col(LABEL).is_not_null())
    if labelled.height < 2:
        raise NotReady(
            f"Model {model.name!r} has {labelled.height} labelled rows known by {now.isoformat()}.",
            hint="Ingest its sources first, or choose a later instant.",
        )
    declared = FeaturePlan.from_views(model.features)
    names = [feature.name for feature in declared.features]
    table = _table(place, model, labelled, declared, now)
    train_part, valid_part = split_by_time(table, AS_OF)
    plan = declared.with_categories(declared.learn_categories(_features(train_part, names)))
    counts |= _label_counts(joined) | {"n_train": train_part.height, "n_valid": valid_part.height}
    card = {**describe(table, AS_OF, counts).as_dict(), "split_at": iso(valid_part[AS_OF][0])}
    return Dataset(_keep(place, model, table, card, now), train_part, valid_part, plan, card)


def _keyed_labels(place: Workplace, model: type[Model], now: datetime) -> pl.DataFrame:
    """Labels by key alone: one that came by a prediction's id counts for the key of that prediction.

    A key that was served twice is one training row, and a label of either prediction is its label.
    """
    labels = read_labels(place.stores.lake, model.name, model.label, None, now)
    served = read_captures(place.stores.lake, model.name, None, now, ["prediction_id", "key"])
    if not served.is_empty():
        keys = served.select("prediction_id", served_key="key")
        labels = labels.join(keys, on="prediction_id", how="left", maintain_order="left").with_columns(
            key=pl.coalesce("served_key", "key")
        )
    return labels.select("value", "known_at", pl.col("key").alias(KEY))


def _table(
    place: Workplace, model: type[Model], labelled: pl.DataFrame, plan: FeaturePlan, now: datetime
) -> pl.DataFrame:
    """Key, as-of instant, label, slice columns (`row.*`) and raw features (`f.*`) of each labelled row."""
    features = plan.offline(labelled, AS_OF, histories(place.stores.lake, plan, until=now)).frame
    slices = [pl.col(field).alias(f"row.{field}") for field in model.slices]
    return labelled.select(KEY, AS_OF, LABEL, *slices).hstack(features.select(pl.all().name.prefix("f.")))


def _label_counts(joined: LabelJoin) -> dict[str, int]:
    names = (
        "n_labelled",
        "n_unlabelled",
        "n_labels",
        "n_unusable",
        "n_future",
        "n_orphaned",
        "n_corrected",
        "n_early",
    )
    return {name: getattr(joined, name) for name in names} | {"n_labels_duplicated": joined.n_duplicates}


def _rows(place: Workplace, model: type[Model], now: datetime) -> tuple[pl.DataFrame, dict[str, int]]:
    """History and captures as one frame: contract fields, key, prediction_id, _as_of; with what was dropped."""
    lake, fields = place.stores.lake, list(model.contract.model_fields)
    schema_columns = [*fields, EVENT_AT, AVAILABLE_AT]
    if lake.version(table_of(model.rows.name)) is None:
        raise NotReady(f"Model {model.name!r} has no rows yet.", hint=f"Ingest source {model.rows.name!r} first.")
    history = lake.read(table_of(model.rows.name), columns=schema_columns, span=known_span(AVAILABLE_AT, None, now))
    history = history.rename({EVENT_AT: AS_OF})
    served = read_captures(lake, model.name, None, now, ["prediction_id", "row", "served_at"])
    live, n_outdated = None, 0
    if not served.is_empty():
        typed, read = request_rows(Watched(model.name, "", (), model.policy, model), served)
        n_outdated = served.height - read.height
        live = typed.with_columns(
            read["served_at"].alias(AS_OF), read["served_at"].alias(AVAILABLE_AT), read["prediction_id"]
        )
    prepared = prepare_rows(history, live, key=[model.label.key], as_of_column=AS_OF)
    frame = prepared.frame.with_columns(pl.col(model.label.key).cast(pl.String).alias(KEY))
    counts = {
        "n_history": prepared.n_history,
        "n_live": prepared.n_captures,
        "n_outdated": n_outdated,
        "n_incomplete": prepared.n_incomplete,
        "n_duplicates": prepared.n_duplicates,
    }
    return frame, counts


def _features(table: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return table.select(pl.col(f"f.{name}").alias(name) for name in names)


def _keep(place: Workplace, model: type[Model], table: pl.DataFrame, card: Mapping[str, Any], now: datetime) -> Version:
    """Write the dataset to a table of its own and register it with its lineage; equal datasets are kept once."""
    lake, name = place.stores.lake, dataset_name(model.name)
    sources = {model.rows.name, model.label.source.name} | {
        view.source.name for view in model.features if view.source is not None
    }
    tables = [*(table_of(source) for source in sorted(sources)), captures_table(model.name), labels_table(model.name)]
    lineage = {
        "tables": {table: kept for table in tables if (kept := lake.version(table)) is not None},
        "contract": contract_definition(model.contract)["name"],
        "views": [view.version for view in model.features],
        "as_of": now,
    }
    definition = {"columns": table.columns, "card": card}
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
