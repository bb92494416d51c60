"""Made-up worlds go wrong in one way each, and the cause that is ranked first is the right one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import served

from perdure.assets.health import Finding, Reading, State
from perdure.assets.objective import freshness_h, latency_ms, mae
from perdure.core.canonical import plain
from perdure.core.units import days
from perdure.loop.work.causes import (
    BROKEN_FEED,
    CONCEPT_DRIFT,
    DATA_DRIFT,
    LABEL_TROUBLE,
    OPERATIONAL,
    SKEW,
    model_causes,
)
from perdure.stores.lake.delta import DeltaLake
from perdure.surface.sdk import Perdure
from perdure.testing.world import World

INSTANT = pl.Datetime("us", "UTC")


@pytest.mark.parametrize("seed", range(5))
def test_three_worlds_are_told_apart(tmp_path: Path, seed: int) -> None:
    concept = served.causes(served.lived(tmp_path / "concept", served.made(seed, change_at=served.CHANGED)))
    assert next(iter(concept)) == CONCEPT_DRIFT
    assert not {BROKEN_FEED, LABEL_TROUBLE, OPERATIONAL} & set(concept)

    perdure = served.lived(tmp_path / "far", served.far_deliveries(served.made(seed)))
    moved = served.causes(perdure, served.watched(perdure, mae(over=days(7)) <= 2.0))
    assert next(iter(moved)) == DATA_DRIFT
    assert moved[DATA_DRIFT].evidence["features"][0]["feature"] == "distance_km"
    assert not {BROKEN_FEED, LABEL_TROUBLE, OPERATIONAL} & set(moved)

    feed = served.causes(served.lived(tmp_path / "feed", served.inches_for_millimetres(served.made(seed))))
    assert next(iter(feed)) == BROKEN_FEED
    assert feed[BROKEN_FEED].evidence["features"][0]["what"] == "was converted (inches to millimetres)"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Perdure, pl.DataFrame]:
    """A world in which nothing goes wrong, trained and not yet served, with what its server would capture."""
    world = served.made(7)
    perdure = served.trained(tmp_path_factory.mktemp("healthy"), world)
    return perdure, served.serve(perdure, world)


def _with(
    healthy: tuple[Perdure, pl.DataFrame], folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> Perdure:
    """The healthy world with other captures, in a lake of its own that has all other tables."""
    perdure, captures = healthy
    lake = DeltaLake(folder / "lake")
    own = perdure.place.stores.lake
    for table in own.tables():
        lake.append(table, own.read(table))
    lake.append("captures/minutes", change(captures))
    copy = Perdure(perdure.folder, served.SETTINGS, project=perdure.project)
    copy.place = replace(perdure.place, stores=replace(perdure.place.stores, lake=lake))
    return copy


def test_nothing_speaks_for_any_cause_in_a_healthy_world(healthy: tuple[Perdure, pl.DataFrame], tmp_path: Path) -> None:
    assert served.causes(_with(healthy, tmp_path, lambda captures: captures)) == {}


def test_the_same_is_weighed_whatever_the_order_of_the_rows(
    healthy: tuple[Perdure, pl.DataFrame], tmp_path: Path
) -> None:
    """Every figure of the evidence is the same to the last digit, and plain JSON."""

    def worse(captures: pl.DataFrame) -> pl.DataFrame:
        late = served.later("served_at")
        return captures.with_columns(prediction=pl.when(late).then(pl.col("prediction") + 3.0).otherwise("prediction"))

    found = served.causes(_with(healthy, tmp_path / "a", worse))
    shuffled = served.causes(
        _with(healthy, tmp_path / "b", lambda each: worse(each).sample(fraction=1.0, shuffle=True))
    )
    assert found == shuffled
    assert plain(found) == plain(shuffled)
    assert next(iter(found)) == CONCEPT_DRIFT
    assert found[CONCEPT_DRIFT].evidence["bias"]["mean_now"] == pytest.approx(3.0, abs=0.5)


def test_a_feature_that_went_missing_is_a_broken_feed(healthy: tuple[Perdure, pl.DataFrame], tmp_path: Path) -> None:
    """The stored view is not there from the change on: its features are NaN, its status byte says so."""

    def gone(captures: pl.DataFrame) -> pl.DataFrame:
        x = np.array(captures["features"].to_list(), dtype=np.float32)
        late = captures.select(served.later("served_at").alias("late"))["late"].to_numpy()
        x[late, :2] = np.nan
        status = [b"\2" if is_late else old for is_late, old in zip(late, captures["status"], strict=True)]
        worse = pl.when(served.later("served_at")).then(pl.col("prediction") - 4.0).otherwise("prediction")
        features = pl.Series("features", x).cast(pl.List(pl.Float32))
        return captures.with_columns(features, status=pl.Series(status, dtype=pl.Binary), prediction=worse)

    found = served.causes(_with(healthy, tmp_path, gone))
    assert next(iter(found)) == BROKEN_FEED
    [fault] = found[BROKEN_FEED].evidence["features"]
    assert (fault["source"], fault["what"]) == ("sky", "was missing or too old")
    assert fault["first_at"] >= "2025-01-19"


def test_an_open_incident_of_a_source_and_a_broken_objective_outweigh_everything(tmp_path: Path) -> None:
    perdure = served.lived(tmp_path, served.made(8, change_at=served.CHANGED))
    sky, now = perdure.project.source("sky"), served.at(served.NOW)
    reading = Reading("sky", "freshness_h", now, now - days(1), now, 30.0, None, None, 9, "h")
    assert (freshness_h(over=days(1)) <= 6).judge(reading).state is State.BROKEN
    perdure.place.stores.readings.put([reading])
    stale = served.causes(perdure)
    assert next(iter(stale)) == BROKEN_FEED
    assert stale[BROKEN_FEED].weight == 0.95
    assert "freshness_h over 1d <= 6 is broken at 30 h" in stale[BROKEN_FEED].text
    with perdure.place.transaction(now, "test") as session:
        session.incidents.open(sky.name, "broken", "The sky is dark.", {})
    assert served.causes(perdure)[BROKEN_FEED].weight == 1.0


def test_labels_in_seconds_are_told_from_a_relation_that_moved(tmp_path: Path) -> None:
    world = served.made(9)
    late = pl.col("arrived_at") >= served.at(served.CHANGED)
    world.arrivals = world.arrivals.with_columns(
        minutes=pl.when(late).then(pl.col("minutes") * 60.0).otherwise("minutes")
    )
    found = served.causes(served.lived(tmp_path, world))
    assert next(iter(found)) == LABEL_TROUBLE
    assert found[LABEL_TROUBLE].evidence["converted"]["conversion"] == "minutes to seconds"
    assert found[CONCEPT_DRIFT].weight > 0.5, "seen alone it looks like drift"


def test_labels_that_stopped_and_labels_that_are_all_alike_are_found(tmp_path: Path) -> None:
    stopped = served.made(10)
    stopped.arrivals = stopped.arrivals.filter(pl.col("arrived_at") < served.at(21.0))
    found = served.causes(served.lived(tmp_path / "stopped", stopped))
    assert found[LABEL_TROUBLE].weight == 0.92
    facts = found[LABEL_TROUBLE].evidence["missing"]
    assert facts["n_unlabelled"] > 0.4 * facts["n"]
    alike = served.made(10)
    late = pl.col("arrived_at") >= served.at(22.0)
    alike.arrivals = alike.arrivals.with_columns(minutes=pl.when(late).then(30.0).otherwise("minutes"))
    found = served.causes(served.lived(tmp_path / "alike", alike))
    assert next(iter(found)) == LABEL_TROUBLE
    assert found[LABEL_TROUBLE].evidence["constant"]["value"] == 30.0


def test_posted_labels_of_nothing_that_was_served_are_orphans(
    healthy: tuple[Perdure, pl.DataFrame], tmp_path: Path
) -> None:
    perdure = _with(healthy, tmp_path, lambda captures: captures)
    known = served.at(served.NOW) - timedelta(hours=1)
    posted = pl.DataFrame(
        {
            "prediction_id": ["x"] * 80,
            "key": [f"z{at}" for at in range(80)],
            "value": [9.0] * 80,
            "known_at": [known] * 80,
        },
        schema_overrides={"known_at": INSTANT},
    )
    perdure.place.stores.lake.append("labels/minutes", posted)
    assert served.causes(perdure)[LABEL_TROUBLE].evidence["orphaned"]["n_orphaned"] == 80


def test_answers_without_a_value_all_alike_or_of_a_strange_version_are_operational(
    healthy: tuple[Perdure, pl.DataFrame], tmp_path: Path
) -> None:
    late = served.later("served_at", 24.0)
    for name, column in (
        ("no_value", pl.when(late).then(None).otherwise("prediction").alias("prediction")),
        ("all_alike", pl.when(late).then(12.0).otherwise("prediction").alias("prediction")),
        (
            "unexpected_version",
            pl.when(late).then(pl.lit("minutes@0123456789ab")).otherwise("version").alias("version"),
        ),
    ):

        def changed(captures: pl.DataFrame, column: pl.Expr = column) -> pl.DataFrame:
            return captures.with_columns(column)

        found = served.causes(_with(healthy, tmp_path / name, changed))
        assert next(iter(found)) == OPERATIONAL
        assert list(found[OPERATIONAL].evidence) == [name]


def _finding(signal: str, value: float, **facts: object) -> Finding:
    now = served.at(served.NOW)
    reading = Reading("minutes", signal, now, now - days(1), now, value, value, value, 500, "", facts=facts)
    return Finding("minutes", f"{signal} over 1d", State.BROKEN, reading)


def test_a_slow_server_is_the_cause_alone_and_only_noted_beside_an_error(
    healthy: tuple[Perdure, pl.DataFrame], tmp_path: Path
) -> None:
    perdure = _with(healthy, tmp_path, lambda captures: captures)
    slow = _finding(latency_ms(over=days(1)).series, 900.0)
    assert served.causes(perdure, more=[slow])[OPERATIONAL].weight == 0.86
    assert served.causes(perdure, more=[slow, _finding("mae", 9.0)])[OPERATIONAL].weight == 0.2


def test_skew_names_the_features_that_differ_and_outweighs_drift(tmp_path: Path) -> None:
    perdure = served.lived(tmp_path, served.made(11, change_at=served.CHANGED))
    skewed = _finding("skew", 0.5, n_mismatched=250, by_feature={"wet": 10, "rain_mm": 250})
    found = served.causes(perdure, more=[skewed])
    assert list(found)[:2] == [SKEW, CONCEPT_DRIFT]
    assert list(found[SKEW].evidence["by_feature"]) == ["rain_mm", "wet"]


def test_a_slice_that_broke_alone_is_studied_alone(tmp_path: Path) -> None:
    world = served.made(12)
    south = (pl.col("shop") == "south") & served.later("ordered_at")
    moved = world.orders.filter(south)["order_id"].implode()
    worse = pl.when(pl.col("order_id").is_in(moved)).then(pl.col("minutes") + 4.0).otherwise("minutes")
    world.arrivals = world.arrivals.with_columns(minutes=worse)
    perdure = served.lived(tmp_path, world)
    found = served.causes(perdure, served.watched(perdure, mae(over=days(7), by="shop") <= 2.0))
    assert next(iter(found)) == CONCEPT_DRIFT
    assert found[CONCEPT_DRIFT].evidence["slice"] == "shop=south"
    assert [each["slice"] for each in found[CONCEPT_DRIFT].evidence["slices"]] == ["shop=south"]


def test_a_model_without_a_champion_has_no_cause(tmp_path: Path) -> None:
    perdure = Perdure(tmp_path, served.SETTINGS, project=World(n_days=3).project())
    asset, now = served.watched(perdure), served.at(2.0)
    assert [cause.weigh(perdure.place, asset, [], now) for cause in model_causes()] == [None] * 6
