"""Health over real stores: labels by id and by key, classes, odd values, silence, lineage."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from perdure.assets.health import State
from perdure.assets.objective import accuracy, freshness_h, mae, rmse, volume
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours
from perdure.loop.protocols import Watched
from perdure.loop.work.drifting import _harm_low
from perdure.loop.work.operations import FreshnessSignal, VolumeSignal
from perdure.loop.work.performance import ErrorSignal
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

SETTINGS = Settings(project=ProjectSettings(name="world"))
INSTANT = pl.Datetime("us", "UTC")


def _at(days_: float) -> datetime:
    return START + timedelta(days=days_)


def _open(tmp_path: Path, world: World | None = None) -> Perdure:
    return Perdure(tmp_path, SETTINGS, project=(world or World(n_days=6)).project())


def _watched(perdure: Perdure, **changed: object) -> Watched:
    model = type("Changed", (perdure.project.model("minutes"),), {"name": "minutes", **changed})
    return Watched("minutes", "model", tuple(model.healthy), model.policy, model)


def _serve(perdure: Perdure, ids: list[str], keys: list[str], predictions: list[float], at: datetime) -> None:
    n = len(ids)
    row = '{"order_id":"%s","shop":"north","distance_km":1.0,"ordered_at":"2025-01-05T00:00:00Z"}'
    frame = pl.DataFrame(
        {
            "prediction_id": ids,
            "request_id": ids,
            "key": keys,
            "version": ["v"] * n,
            "arm": ["champion"] * n,
            "served_at": [at] * n,
            "recorded_at": [at] * n,
            "latency_us": [1000] * n,
            "generation": [1] * n,
            "row": [row % key for key in keys],
            "features": [[1.0]] * n,
            "status": [b"\0"] * n,
            "prediction": predictions,
            "batch": [1] * n,
        },
        schema_overrides={"served_at": INSTANT, "recorded_at": INSTANT, "features": pl.List(pl.Float32)},
    )
    perdure.place.stores.lake.append("captures/minutes", frame)


def _label(perdure: Perdure, ids: list[str | None], keys: list[str | None], values: list[float], at: datetime) -> None:
    frame = pl.DataFrame(
        {
            "prediction_id": ids,
            "key": keys,
            "value": values,
            "known_at": [at] * len(ids),
            "received_at": [at] * len(ids),
            "recorded_at": [at] * len(ids),
            "request_id": ["r"] * len(ids),
            "batch": [1] * len(ids),
        },
        schema={
            "prediction_id": pl.String,
            "key": pl.String,
            "value": pl.Float64,
            "known_at": INSTANT,
            "received_at": INSTANT,
            "recorded_at": INSTANT,
            "request_id": pl.String,
            "batch": pl.Int64,
        },
    )
    perdure.place.stores.lake.append("labels/minutes", frame)


def test_a_label_of_either_prediction_of_a_key_trains_its_row(tmp_path: Path) -> None:
    """A client that retried was answered twice; the label came for the first answer."""
    perdure = _open(tmp_path)
    perdure.tick(at=_at(5))
    _serve(perdure, ["p1", "p2"], ["again", "again"], [10.0, 10.0], _at(4.5))
    _label(perdure, ["p1"], [None], [17.25], _at(4.9))
    trained = perdure.train("minutes", at=_at(5))
    rows = perdure.place.stores.lake.read(f"datasets/minutes_rows/{trained.dataset.version.id.partition('@')[2]}")
    assert rows.filter(pl.col("_key") == "again")["_label"].to_list() == [17.25]


def test_the_lineage_of_a_dataset_names_every_table_it_was_read_from(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    perdure.tick(at=_at(5))
    _serve(perdure, ["p1"], ["new"], [10.0], _at(4.5))
    _label(perdure, ["p1"], [None], [17.25], _at(4.9))
    trained = perdure.train("minutes", at=_at(5))
    tables = trained.dataset.version.lineage["tables"]
    assert set(tables) == {"sources/orders", "sources/arrivals", "sources/sky", "captures/minutes", "labels/minutes"}


def test_training_takes_in_what_became_known_since_the_last_round(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    perdure.tick(at=_at(5))
    trained = perdure.train("minutes", at=_at(5) + timedelta(minutes=59))
    newest = perdure.place.stores.lake.read("sources/arrivals")["arrived_at"].max()
    assert isinstance(newest, datetime)
    assert _at(5) < newest <= _at(5) + timedelta(minutes=59)
    assert trained.dataset.card["counts"]["n_labelled"] > 0


def test_a_probability_counts_as_its_class_for_accuracy(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200).astype(float)
    ids = [f"p{n}" for n in range(200)]
    _serve(perdure, ids, ids, [0.97 if one else 0.02 for one in truth], _at(3))
    _label(perdure, ids, [None] * 200, truth.tolist(), _at(3.1))
    watched = _watched(perdure, task="classification", label=_unbounded(perdure))
    [reading] = ErrorSignal("accuracy").observe(perdure.place, watched, accuracy(over=days(1)), _at(3.5))
    assert (reading.value, reading.n) == (1.0, 200)


def _unbounded(perdure: Perdure) -> object:
    return perdure.project.model("minutes").label


def test_one_absurd_label_does_not_hide_the_others(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    ids = [f"p{n}" for n in range(100)]
    _serve(perdure, ids, ids, [10.0] * 100, _at(3))
    _label(perdure, ids, [None] * 100, [1e308, *[12.0] * 99], _at(3.1))
    for metric in ("mae", "rmse"):
        [reading] = ErrorSignal(metric).observe(perdure.place, _watched(perdure), mae(over=days(1)), _at(3.5))
        assert (reading.value, reading.n) == (pytest.approx(2.0), 99)


def test_a_silent_feed_grows_old_past_its_window(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    perdure.tick(at=_at(6))
    sky = Watched("sky", "source", (), perdure.project.model("minutes").policy, perdure.project.source("sky"))
    spec = freshness_h(over=hours(6))
    [reading] = FreshnessSignal().observe(perdure.place, sky, spec, _at(16))
    assert reading.value == pytest.approx(241.0)
    assert (spec <= 12).judge(reading).state is State.BROKEN


def test_a_feed_that_never_delivered_has_no_volume(tmp_path: Path) -> None:
    world = World(n_days=6)
    world.sky = world.sky.clear()
    perdure = _open(tmp_path, world)
    perdure.tick(at=_at(3))
    sky = Watched("sky", "source", (), perdure.project.model("minutes").policy, perdure.project.source("sky"))
    [reading] = VolumeSignal().observe(perdure.place, sky, volume(over=days(1)), _at(3))
    assert (reading.value, reading.n) == (0.0, 0)
    [age] = FreshnessSignal().observe(perdure.place, sky, freshness_h(over=days(1)), _at(3))
    assert age.value is None


def test_harm_is_that_of_the_worst_error_objective_and_only_while_it_is_new(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    healthy = (mae(over=days(7)) <= 12, mae(over=days(28)) <= 6, rmse(over=days(7)) <= 12)
    watched = _watched(perdure, healthy=healthy)
    place = perdure.place
    ids = [f"p{n}" for n in range(60)]
    _serve(perdure, ids, ids, [10.0] * 60, _at(3))
    _label(perdure, ids, [None] * 60, [19.0] * 60, _at(3.1))
    for objective in healthy:
        readings = ErrorSignal(objective.spec.signal).observe(place, watched, objective.spec, _at(4))
        place.stores.readings.put(readings)
    assert _harm_low(place, watched, _at(4)) == pytest.approx(3.0)
    assert _harm_low(place, watched, _at(4) + days(29)) is None


def test_status_calls_old_readings_stale_and_forgets_slices_that_went(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    ids = [f"p{n}" for n in range(60)]
    _serve(perdure, ids, ids, [10.0] * 60, _at(3))
    _label(perdure, ids, [None] * 60, [10.5] * 60, _at(3.1))
    spec = mae(over=days(7))
    perdure.place.stores.readings.put(ErrorSignal("mae").observe(perdure.place, _watched(perdure), spec, _at(4)))
    model = next(asset for asset in perdure.status(at=_at(4)).assets if asset.name == "minutes")
    states = {row.objective: row.state for row in model.health}
    assert states["mae over 7d <= 3"] == "healthy"
    later = next(asset for asset in perdure.status(at=_at(200)).assets if asset.name == "minutes")
    assert {row.objective: row.state for row in later.health}["mae over 7d <= 3"] == "stale"


def test_two_windows_of_one_signal_are_both_shown(tmp_path: Path) -> None:
    perdure = _open(tmp_path)
    ids = [f"p{n}" for n in range(60)]
    _serve(perdure, ids, ids, [10.0] * 60, _at(3))
    _label(perdure, ids, [None] * 60, [10.5] * 60, _at(3.1))
    watched, place = _watched(perdure), perdure.place
    for spec, at in ((mae(over=days(28)), _at(4)), (mae(over=days(7)), _at(5))):
        place.stores.readings.put(ErrorSignal("mae").observe(place, watched, spec, at))
    latest = place.stores.readings.latest("minutes")
    assert {reading.window_end - reading.window_start for reading in latest} == {days(7), days(28)}
