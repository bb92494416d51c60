"""Rows on which a version is known to have been healthy: what its present error is compared with.

They are the held-out part of its own dataset, encoded by its own plan and answered by its own predictor, and
the newest stretch of served outcomes that an objective called healthy. Together they say more than either: the
first is there from the first day on, the second knows the inputs of later seasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.health import State
from perdure.assets.version import Version
from perdure.core.clock import parse_at
from perdure.core.errors import NotFound
from perdure.core.ids import Digest
from perdure.engines.training.dataset import LABEL
from perdure.engines.training.predictor import Predictor, load_predictor
from perdure.loop.work.recent import N_SAMPLED, Outcomes, Recent, day_of, signal_of
from perdure.loop.work.rows import AS_OF, KEY
from perdure.stores.blobs.protocols import Blobs


@lru_cache(maxsize=1)
def healthy_outcomes(recent: Recent) -> tuple[Outcomes, Mapping[str, int]]:
    """Healthy rows of the judged version, and how many of them were held out and how many were served.

    No rows when neither can be had, as for a version that was made elsewhere. Several causes of one diagnosis ask
    for the same.
    """
    held_out, served = _held_out(recent), _served(recent)
    counts = {"n_held_out": len(held_out), "n_served_healthy": len(served)}
    return held_out.plus(served) if len(served) else held_out, counts


def _held_out(recent: Recent) -> Outcomes:
    try:
        rows = held_out_rows(recent)
        predictor = predictor_of(recent.place.stores.blobs, recent.version)
    except NotFound:
        return recent.no_rows()
    field, _, value = recent.slice.partition("=")
    if field and f"row.{field}" in rows.columns:
        rows = rows.filter(pl.col(f"row.{field}").cast(pl.String) == value)
    drawn = rows.sort(pl.col(KEY).hash(7), AS_OF, KEY).head(N_SAMPLED)
    x = recent.plan.encode(drawn.select(pl.col(f"f.{name}").alias(name) for name in recent.names))
    slices = {
        field: drawn[f"row.{field}"].cast(pl.String).fill_null("null").to_numpy()
        for field in recent.model.slices
        if f"row.{field}" in drawn.columns
    }
    found = Outcomes(x, drawn[LABEL].to_numpy(), predictor.predict(x), day_of(drawn[AS_OF]), slices)
    return found.where(np.isfinite(recent.loss(found.y, found.prediction)))


def held_out_rows(recent: Recent) -> pl.DataFrame:
    """Labelled rows of the version's dataset that it was not fitted on, newer than those it was.

    Raises:
        NotFound: the ledger or the lake does not have the dataset.
    """
    lineage = recent.version.lineage
    if "dataset" not in lineage:
        raise NotFound(f"Version {recent.version.id!r} names no dataset.", hint="Train it here.")
    with recent.place.stores.ledger.read() as session:
        dataset = session.registry.get_version(lineage["dataset"])
    name, _, digest = dataset.id.partition("@")
    column, cut = _cut(lineage, dataset)
    table = recent.place.stores.lake.read(f"datasets/{name}/{digest}")
    return table.filter((pl.col(column) >= cut) & pl.col(LABEL).is_not_null())


def _cut(lineage: Mapping[str, Any], dataset: Version) -> tuple[str, datetime]:
    """From where on the version's dataset was held out: by its own lineage, else by the dataset's card."""
    fitted = lineage.get("rows")
    if fitted is not None:
        return fitted["column"], parse_at(fitted["end"])
    card = dataset.definition["card"]
    if "split_at" not in card:
        raise NotFound(f"Dataset {dataset.id!r} does not say what was held out.", hint="Train the version again.")
    return AS_OF, parse_at(card["split_at"])


def predictor_of(blobs: Blobs, version: Version) -> Predictor:
    """What answers for a version, loaded from its blobs.

    Raises:
        NotFound: a blob is gone.
        Corrupt: a blob is damaged.
    """
    roles = {role: digest for role, digest in version.artifacts.items() if role != "profile"}
    artifacts = {role: blobs.get(Digest(digest)) for role, digest in roles.items()}
    return load_predictor(version.definition, artifacts, trusted=True)


def _served(recent: Recent) -> Outcomes:
    """The newest window before the present one that an objective on the same error called healthy."""
    objectives = [each for each in recent.asset.healthy if each.bound is not None and not each.spec.by]
    readings = recent.place.stores.readings.list(recent.asset.name)
    healthy = [
        reading
        for reading in readings
        for objective in objectives
        if signal_of(reading.signal) == recent.loss.metric
        and objective.measured_by(reading)
        and reading.window_end <= recent.window[0]
        and objective.judge(reading).state is State.HEALTHY
    ]
    if not healthy:
        return recent.no_rows()
    newest = max(healthy, key=lambda reading: (reading.window_end, reading.signal))
    return recent.labelled((newest.window_start, newest.window_end))
