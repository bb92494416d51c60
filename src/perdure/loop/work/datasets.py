"""Prepares datasets: labelled rows known at an instant, with their features as of each row's own time.

A dataset is a version of its own, kept in the lake under its content's hash, with the versions of the
tables it was read from. The candidates of one repair share one dataset: each fits on a stretch of it,
which its lineage names, and all keep the newest rows for validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model, TrainingData
from perdure.assets.version import Version, dataset_name
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import iso, parse_at
from perdure.core.errors import NotReady
from perdure.core.ids import version_id
from perdure.engines.features import FeaturePlan
from perdure.engines.training.dataset import LABEL, LABEL_KNOWN_AT, LabelJoin, split_by_time
from perdure.engines.training.lineage import describe
from perdure.loop.protocols import Workplace
from perdure.loop.work.rows import AS_OF, KEY, holdout_window, kept, labelled_rows, tables_of, usable_histories
from perdure.stores.lake.protocols import AppTransaction

KNOWN_AT = "_known_at"
"""Column of a dataset: from when both a row and its label were known."""
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which rows of a dataset were fitted on: `start <= column < end`."""

    column: str
    """`_as_of`, or `_known_at` where each row is used once."""
    start: datetime | None
    end: datetime

    def holds(self) -> pl.Expr:
        """Whether a row is inside."""
        inside = pl.col(self.column) < self.end
        return inside if self.start is None else inside & (pl.col(self.column) >= self.start)

    @staticmethod
    def of(version: Version) -> Stretch | None:
        """The stretch that a version's lineage names; None of one that fitted on nothing of its own."""
        rows = version.lineage.get("rows")
        if rows is None:
            return None
        return Stretch(rows["column"], parse_at(rows["start"]) if rows["start"] else None, parse_at(rows["end"]))


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A prepared dataset: labelled rows with their raw features, split by time, kept in the lake."""

    version: Version
    train: pl.DataFrame
    valid: pl.DataFrame
    plan: FeaturePlan
    """With the categories learned from the training part, or those of the version that it goes on from."""
    card: Mapping[str, Any]
    fitted: Stretch
    """What of the kept table `train` is."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Every labelled row from an instant on, with raw features; one a state of the tables."""

    table: pl.DataFrame
    counts: Mapping[str, int]
    holdout: tuple[datetime, datetime]
    """`[start, end)` of the rows that a repair keeps from fitting."""


def prepare_dataset(place: Workplace, model: type[Model], now: datetime) -> Dataset:
    """Rows known until `now` with labels known until `now`; the newest 15% are for validation.

    Raises:
        NotReady: no labelled row is there yet.
    """
    prepared = prepare_table(place, model, now)
    table, declared = prepared.table, FeaturePlan.from_views(model.features)
    train_part, valid_part = split_by_time(table, AS_OF)
    counts = {**prepared.counts, "n_train": train_part.height, "n_valid": valid_part.height}
    split_at = valid_part[AS_OF][0]
    card = {**describe(table, AS_OF, counts).as_dict(), "split_at": iso(split_at)}
    version = keep_dataset(place, model, table, card, now)
    fitted = Stretch(AS_OF, None, split_at)
    return Dataset(version, train_part, valid_part, _learned(declared, train_part), card, fitted)


def prepare_window(
    place: Workplace, model: type[Model], now: datetime, window: timedelta | None, *, widest: timedelta | None
) -> Dataset:
    """Rows of the window that ends where the holdout begins; the holdout's are for validation.

    Args:
        place: where the rows are.
        model: whose rows.
        now: rows and labels are those known by then.
        window: how long before `now` it begins; None: all rows.
        widest: of all windows of one repair, whose rows are prepared once and kept as one dataset.

    Raises:
        NotReady: fewer than two rows to fit on, or none to validate on.
    """
    start = None if window is None else now - window
    begins = None if widest is None or window is None else now - max(widest, window)
    prepared = prepare_table(place, model, now, begins)
    cut, end = prepared.holdout
    fitted = Stretch(AS_OF, start, cut)
    train = prepared.table.filter(fitted.holds())
    valid = prepared.table.filter((pl.col(AS_OF) >= cut) & (pl.col(AS_OF) < end))
    _check_parts(model, train, valid, now)
    version = _shared(place, model, now, begins, prepared)
    card = _card_of_parts(version, train, valid, cut)
    return Dataset(version, train, valid, _learned(FeaturePlan.from_views(model.features), train), card, fitted)


def prepare_new_rows(
    place: Workplace, model: type[Model], now: datetime, *, champion: Version, used: pl.Series
) -> Dataset:
    """Rows that became known since the champion's watermark and before the holdout, without keys that it used.

    Args:
        place: where the rows are.
        model: whose rows.
        now: rows and labels are those known by then.
        champion: its lineage has the watermark, its definition the categories.
        used: `_key` of every row that it, or a version before it, was fitted on.

    Raises:
        NotReady: fewer than two such rows, or none to validate on.
    """
    watermark = parse_at(champion.lineage["watermark"])
    prepared = prepare_table(place, model, now)
    cut, end = prepared.holdout
    fitted = Stretch(KNOWN_AT, watermark, cut)
    fresh = prepared.table.filter(~pl.col(KEY).is_in(used.implode()))
    train = fresh.filter(fitted.holds())
    valid = prepared.table.filter((pl.col(AS_OF) >= cut) & (pl.col(AS_OF) < end))
    _check_parts(model, train, valid, now)
    # What was fitted on is kept as a table of its own: the next one in line asks it for the keys.
    card = {
        **describe(train, AS_OF, {"n_train": train.height, "n_valid": valid.height}).as_dict(),
        "split_at": iso(cut),
    }
    version = keep_dataset(place, model, train, card, now)
    plan = FeaturePlan.from_definition(champion.definition)
    return Dataset(version, train, valid, plan, card, fitted)


def prepare_table(place: Workplace, model: type[Model], now: datetime, start: datetime | None = None) -> Prepared:
    """Labelled rows from `start` on with the features of the declared views, prepared once for all windows.

    Raises:
        NotReady: no labelled row is there yet.
    """
    return kept(place, model, now, ("table", start), lambda: _prepare(place, model, now, start))


def _prepare(place: Workplace, model: type[Model], now: datetime, start: datetime | None) -> Prepared:
    rows = labelled_rows(place, model, now, start)
    if rows.frame.height < _LEAST:
        raise NotReady(
            f"Model {model.name!r} has {rows.frame.height} labelled rows known by {now.isoformat()}.",
            hint="Ingest its sources first, or choose a later instant.",
        )
    plan = FeaturePlan.from_views(model.features)
    table = _table(model, rows.frame, plan, usable_histories(place, plan, now))
    counts = {**rows.counts, **_label_counts(rows.joined)}
    return Prepared(table, counts, holdout_window(rows.frame, model, now))


def _table(
    model: type[Model], labelled: pl.DataFrame, plan: FeaturePlan, history: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """Key, instants, label, slice columns (`row.*`) and raw features (`f.*`) of each labelled row."""
    features = plan.offline(labelled, AS_OF, history).frame
    slices = [pl.col(field).alias(f"row.{field}") for field in model.slices]
    known_at = pl.max_horizontal(AS_OF, LABEL_KNOWN_AT).alias(KNOWN_AT)
    own = labelled.select(KEY, AS_OF, LABEL, known_at, *slices)
    return own.hstack(features.select(pl.all().name.prefix("f.")))


def _learned(plan: FeaturePlan, train: pl.DataFrame) -> FeaturePlan:
    """The plan with the categories of the training part."""
    names = [feature.name for feature in plan.features]
    return plan.with_categories(plan.learn_categories(raw_features(train, names)))


def _check_parts(model: type[Model], train: pl.DataFrame, valid: pl.DataFrame, now: datetime) -> None:
    if train.height < _LEAST or valid.is_empty():
        raise NotReady(
            f"Model {model.name!r} has {train.height} labelled rows to fit on and {valid.height} in its holdout "
            f"of {model.holdout}, known by {now.isoformat()}.",
            hint="Wait for labels, or declare another holdout.",
        )


def _shared(place: Workplace, model: type[Model], now: datetime, start: datetime | None, prepared: Prepared) -> Version:
    """The dataset that the windows of one repair have in common."""

    def keep() -> Version:
        card = describe(prepared.table, AS_OF, prepared.counts).as_dict()
        return keep_dataset(place, model, prepared.table, card, now)

    return kept(place, model, now, ("dataset", start), keep)


def _card_of_parts(version: Version, train: pl.DataFrame, valid: pl.DataFrame, cut: datetime) -> Mapping[str, Any]:
    card = dict(version.definition["card"])
    counts = {**card["counts"], "n_train": train.height, "n_valid": valid.height}
    return {**card, "counts": counts, "split_at": iso(cut)}


def used_keys(place: Workplace, version: Version, find: Callable[[str], Version]) -> pl.Series:
    """`_key` of every row that a version, or one that it goes on from, was fitted on.

    Args:
        place: where the datasets are.
        version: the newest in line.
        find: a version by its id.
    """
    parts, at = [pl.Series(KEY, [], pl.String)], version
    while True:
        stretch = Stretch.of(at)
        if stretch is not None:
            table = place.stores.lake.read(_table_name(at.lineage["dataset"]), columns=[KEY, stretch.column])
            parts.append(table.filter(stretch.holds())[KEY])
        before = at.lineage.get("warm_start") or at.lineage.get("calibrates")
        if before is None:
            return pl.concat(parts).unique(maintain_order=True)
        at = find(before)


def fitted_until(version: Version, find: Callable[[str], Version]) -> datetime | None:
    """The end of the rows that a version, or one that it goes on from, was fitted on; None of one that says nothing.

    No row before it is fair ground: who saw it would be judged by what it learned by heart.
    """
    ends, at = list[datetime](), version
    while True:
        stretch = Stretch.of(at)
        if stretch is not None:
            ends.append(stretch.end)
        before = at.lineage.get("warm_start") or at.lineage.get("calibrates")
        if before is None:
            return max(ends, default=None)
        at = find(before)


def _table_name(dataset_id: str) -> str:
    name, _, digest = dataset_id.partition("@")
    return f"datasets/{name}/{digest}"


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


def raw_features(table: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The raw features of a prepared table, by their own names."""
    return table.select(pl.col(f"f.{name}").alias(name) for name in names)


def keep_dataset(
    place: Workplace, model: type[Model], table: pl.DataFrame, card: Mapping[str, Any], now: datetime
) -> Version:
    """Write the dataset to a table of its own and register it with its lineage; equal datasets are kept once."""
    lake, name = place.stores.lake, dataset_name(model.name)
    lineage = {
        "tables": {name: at for name in tables_of(model) if (at := lake.version(name)) is not None},
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
    lake.append(_table_name(version.id), table, transaction=AppTransaction("dataset", 1))
    with place.transaction(now, "prepare dataset") as session:
        session.registry.put_version(version)
    return version


def training_data(dataset: Dataset, params: Mapping[str, Any], seed: int) -> TrainingData:
    """What `fit` gets: encoded arrays of both parts."""
    names = [feature.name for feature in dataset.plan.features]
    return TrainingData(
        x=dataset.plan.encode(raw_features(dataset.train, names)),
        y=dataset.train[LABEL].to_numpy(),
        x_valid=dataset.plan.encode(raw_features(dataset.valid, names)),
        y_valid=dataset.valid[LABEL].to_numpy(),
        features=names,
        categories=dataset.plan.categories,
        params=dict(params),
        seed=seed,
    )
