"""Worlds that were trained, served and labelled without HTTP: captures are made by the offline engine.

Served vectors are those that a recomputation would give, so there is no skew unless a test plants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from perdure.assets.health import Cause, Finding
from perdure.assets.objective import Objective, mae
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days
from perdure.loop.diagnose import diagnose
from perdure.loop.protocols import Kind, Watched
from perdure.loop.work.causes import model_causes
from perdure.loop.work.healthy import predictor_of
from perdure.loop.work.performance import ErrorSignal
from perdure.loop.work.skew import histories
from perdure.loop.work.versions import find_champion, plan_of
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

TRAINED, CHANGED, NOW = 16.0, 18.0, 25.5
"""Days from the start: when the model is trained, when the world changes, when it is diagnosed."""
FAR_KM = 4.5
N_DAYS = 26
PER_DAY = 120
SETTINGS = Settings(project=ProjectSettings(name="world"))


def at(day: float) -> datetime:
    """The instant of a day."""
    return START + timedelta(days=day)


def made(seed: int, *, change_at: float | None = None, n_days: int = N_DAYS, per_day: int = PER_DAY) -> World:
    """A world large enough to be diagnosed."""
    return World(seed=seed, n_days=n_days, per_day=per_day, change_at=change_at)


def later(column: str, day: float = CHANGED) -> pl.Expr:
    """Rows from a day on."""
    return pl.col(column) >= at(day)


def far_deliveries(world: World, day: float = CHANGED) -> World:
    """From the change on mostly longer distances are ordered, which were never foretold as well: only the inputs move."""
    rng = np.random.default_rng(world.seed)
    far = world.orders.filter(pl.col("distance_km") > FAR_KM)["order_id"].implode()
    harder = pl.Series(rng.normal(0.0, 6.0, world.arrivals.height))
    world.arrivals = world.arrivals.with_columns(
        minutes=pl.when(pl.col("order_id").is_in(far)).then((pl.col("minutes") + harder).clip(1.0)).otherwise("minutes")
    )
    seldom = pl.Series(rng.random(world.orders.height) < 0.1)
    world.orders = world.orders.filter(~later("ordered_at", day) | (pl.col("distance_km") > FAR_KM) | seldom)
    return world


def inches_for_millimetres(world: World, day: float = CHANGED) -> World:
    """From the change on the feed reports rain in a unit 25.4 times as small."""
    rescaled = pl.when(later("seen_at", day)).then(pl.col("rain_mm") * 25.4).otherwise("rain_mm").clip(0.0, 100.0)
    world.sky = world.sky.with_columns(rain_mm=rescaled)
    return world


def serve(perdure: Perdure, world: World, start_day: float = TRAINED, end_day: float = NOW) -> pl.DataFrame:
    """What the champion would have captured, not yet in the lake."""
    place = perdure.place
    champion = find_champion(place.stores.ledger, "minutes")
    assert champion is not None
    plan = plan_of(champion)
    rows = world.requests(start_day, end_day)
    offline = plan.offline(rows, "_at", histories(place.stores.lake, plan, until=at(end_day)))
    x = plan.encode(offline.frame)
    return pl.DataFrame(
        {
            "prediction_id": ["p" + key for key in rows["order_id"]],
            "request_id": rows["order_id"],
            "key": rows["order_id"],
            "version": [champion.id] * rows.height,
            "arm": ["champion"] * rows.height,
            "served_at": rows["_at"],
            "recorded_at": rows["_at"],
            "latency_us": [1000] * rows.height,
            "generation": [1] * rows.height,
            "row": [f'{{"order_id":"{key}","shop":"{shop}"}}' for key, shop in rows.select("order_id", "shop").rows()],
            "features": pl.Series(x).cast(pl.List(pl.Float32)),
            "status": [bytes(each) for each in offline.status],
            "prediction": predictor_of(place.stores.blobs, champion).predict(x),
            "batch": [1] * rows.height,
        },
        schema_overrides={"latency_us": pl.Int64, "generation": pl.Int64, "batch": pl.Int64},
    )


def lived(folder: Path, world: World, *, served: pl.DataFrame | None = None) -> Perdure:
    """The world trained, released, served and labelled until now."""
    perdure = trained(folder, world)
    keep(perdure, serve(perdure, world) if served is None else served)
    return perdure


def trained(folder: Path, world: World) -> Perdure:
    """The world trained and released, with its sources known until now."""
    perdure = Perdure(folder, SETTINGS, project=world.project())
    perdure.train("minutes", at=at(TRAINED))
    perdure.apply(at=at(TRAINED))
    perdure.ingest(at=at(NOW))
    return perdure


def keep(perdure: Perdure, captures: pl.DataFrame) -> None:
    """Append captures to the lake."""
    perdure.place.stores.lake.append("captures/minutes", captures)


def watched(perdure: Perdure, *healthy: Objective) -> Watched:
    """The model with objectives of the test's own."""
    model = perdure.project.model("minutes")
    return Watched("minutes", "model", healthy or (mae(over=days(7)) <= 1.1,), model.policy, model)


def findings(perdure: Perdure, asset: Watched, day: float = NOW) -> list[Finding]:
    """What the error objectives say now."""
    found = []
    for objective in asset.healthy:
        readings = ErrorSignal(objective.spec.signal).observe(perdure.place, asset, objective.spec, at(day))
        perdure.place.stores.readings.put(readings)
        found += [objective.judge(reading) for reading in readings]
    return found


def causes(perdure: Perdure, asset: Watched | None = None, more: Sequence[Finding] = ()) -> dict[str, Cause]:
    """The ranked causes by name, heaviest first."""
    asset = asset or watched(perdure)
    kind = Kind("model", {}, model_causes())
    ranked = diagnose(perdure.place, kind, asset, [*findings(perdure, asset), *more], at(NOW))
    assert [cause.weight for cause in ranked] == sorted((cause.weight for cause in ranked), reverse=True)
    assert all(0.0 < cause.weight <= 1.0 for cause in ranked)
    return {cause.name: cause for cause in ranked}
