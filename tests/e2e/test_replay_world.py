"""A made-up world replayed through the real server: nothing lost, nothing different, decay seen, twice the same."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from perdure.assets.health import State
from perdure.core.settings import LoopSettings, ProjectSettings, ServeSettings, Settings
from perdure.surface.deployments import Deployment, close_stores, copy_stores
from perdure.surface.replay import Progress, Replay, Traffic
from perdure.surface.sdk import Perdure
from perdure.surface.summary import outcome
from perdure.testing.world import START, World

TRAINED_DAY = 20.0
SETTINGS = Settings(
    project=ProjectSettings(name="world"),
    serve=ServeSettings(port=0, replay=True, poll_ms=20),
    loop=LoopSettings(skew_sample=1000),
)


def _replayed(world: World, folder: Path, end_day: float) -> tuple[Perdure, Progress, list[Any]]:
    perdure, trained_at = Perdure(folder, SETTINGS, project=world.project()), START + timedelta(days=TRAINED_DAY)
    perdure.train("minutes", at=trained_at)
    perdure.apply(at=trained_at)
    end = START + timedelta(days=end_day)
    requests = world.requests(TRAINED_DAY, end_day - 1)
    labels = world.labels().join(requests.select(key="order_id"), on="key", how="semi")
    server, findings = perdure.server(), []

    def listen(progress: Progress) -> None:
        assert progress.last_round is not None
        findings.extend(progress.last_round.findings)

    url = server.start()
    try:
        progress = Replay(perdure, Traffic("minutes", requests, labels, trained_at, end), url).run(listen)
    finally:
        server.stop()
    return perdure, progress, findings


def test_every_row_is_captured_labelled_and_recomputed_without_a_difference(tmp_path: Path) -> None:
    world = World(seed=1, n_days=34)
    perdure, progress, findings = _replayed(world, tmp_path, 32)
    end = START + timedelta(days=32)
    found = outcome(perdure.place.stores, perdure.project.model("minutes"), START, end + timedelta(seconds=1))
    n_orders = world.requests(TRAINED_DAY, 31).height
    assert (progress.n_rows, found.rows_captured) == (n_orders, n_orders)
    assert (found.labels, found.labels_joined, found.labels_orphaned) == (progress.n_labels, n_orders, 0)
    assert (found.skew_checked, found.skew_mismatches) == (n_orders, 0)
    assert [month.month for month in found.months] == ["2025-01"]
    assert not [finding for finding in findings if finding.state is State.BROKEN]
    assert perdure.verify_ledger().intact


def test_a_change_of_the_relation_breaks_the_error_objective_and_not_the_drift_one_before(tmp_path: Path) -> None:
    """Rain costs four times as much from day 25 on: error rises though the inputs did not move."""
    _, _, findings = _replayed(World(seed=2, n_days=38, change_at=25.0), tmp_path, 36)
    broken = [finding for finding in findings if finding.state is State.BROKEN]
    assert {finding.reading.signal for finding in broken} >= {"mae"}
    assert min(finding.reading.at for finding in broken) > START + timedelta(days=25)
    drift = [finding.reading for finding in findings if finding.reading.signal == "drift"]
    assert max(reading.value or 0.0 for reading in drift) < 0.25
    assert not any("harm_low" in reading.facts for reading in drift), "nothing moved: the harm is not drift's"
    assert "drift" not in {finding.reading.signal for finding in broken}


def test_two_replays_give_the_same_readings(tmp_path: Path) -> None:
    def readings(folder: Path) -> str:
        perdure, _, _ = _replayed(World(seed=3, n_days=26), folder, 25)
        rows = perdure.place.stores.readings.list()
        return json.dumps(
            [
                (row.signal, row.slice, row.at.isoformat(), row.value, row.low, row.high, row.n)
                for row in rows
                if not row.signal.startswith("latency_ms")
            ]
        )

    first, second = readings(tmp_path / "a"), readings(tmp_path / "b")
    assert first == second
    assert len(json.loads(first)) > 20


def test_a_row_that_breaks_its_contract_is_refused_kept_and_the_rest_is_served(tmp_path: Path) -> None:
    world = World(seed=4, n_days=24)
    bad = pl.col("order_id") == world.requests(TRAINED_DAY, 22)["order_id"][10]
    world.orders = world.orders.with_columns(distance_km=pl.when(bad).then(-1.0).otherwise("distance_km"))
    perdure, progress, _ = _replayed(world, tmp_path, 23)
    assert progress.n_rows_refused == 1
    assert progress.refused[0]["field"] == "distance_km"
    kept = perdure.place.stores.lake.read("quarantine")
    assert sorted(kept["origin"]) == ["request:minutes", "source:orders"]
    captured = perdure.place.stores.lake.read("captures/minutes")
    assert captured.height == world.requests(TRAINED_DAY, 22).height - 1


def test_training_again_joins_what_was_served_and_never_a_later_label(tmp_path: Path) -> None:
    world = World(seed=5, n_days=30)
    perdure, _, _ = _replayed(world, tmp_path, 28)
    now = START + timedelta(days=26)
    trained = perdure.train("minutes", at=now)
    rows = perdure.place.stores.lake.read(f"datasets/minutes_rows/{trained.dataset.version.id.partition('@')[2]}")
    known = world.arrivals.filter(pl.col("arrived_at") <= now)
    assert trained.dataset.card["counts"]["n_live"] > 0
    assert set(rows["_key"]) <= set(known["order_id"])
    assert rows["_key"].is_duplicated().sum() == 0


@pytest.mark.parametrize("again", [True, False])
def test_training_twice_makes_the_same_version_only_on_the_same_inputs(tmp_path: Path, again: bool) -> None:
    world = World(seed=6, n_days=22)
    perdure = Perdure(tmp_path, SETTINGS, project=world.project())
    at = START + timedelta(days=20)
    first = perdure.train("minutes", at=at)
    second = perdure.train("minutes", at=at if again else at + timedelta(days=1))
    assert (first.version.id == second.version.id) is again
    assert [row.status for row in perdure.runs("minutes")] == ["done", "done"]


def test_a_replay_cut_in_two_goes_on_in_a_copy_as_the_whole_would(tmp_path: Path) -> None:
    """The stores are copied at a barrier, other processes' objects go on, and every reading comes out the same."""
    world, whole = World(seed=7, n_days=28), Deployment("whole", tmp_path, tmp_path / "whole" / ".perdure")
    first, second = (Deployment(name, tmp_path, tmp_path / name / ".perdure") for name in ("first", "second"))
    start, cut, end = (START + timedelta(days=day) for day in (TRAINED_DAY, 24, 27))
    requests = world.requests(TRAINED_DAY, 26)
    labels = world.labels().join(requests.select(key="order_id"), on="key", how="semi")
    traffic = Traffic("minutes", requests, labels, start, end, barrier=timedelta(hours=12))

    def part(deployment: Deployment, traffic: Traffic) -> Progress:
        perdure = Perdure(deployment.root.parent, SETTINGS, project=world.project())
        if perdure.versions("minutes") == []:
            perdure.train("minutes", at=start)
            perdure.apply(at=start)
        server = perdure.server()
        url = server.start()
        try:
            return Replay(perdure, traffic, url).run(lambda _progress: None)
        finally:
            server.stop()
            close_stores(perdure)

    def readings(deployment: Deployment) -> list[Any]:
        perdure = Perdure(deployment.root.parent, SETTINGS, project=world.project())
        rows = [row for row in perdure.place.stores.readings.list() if not row.signal.startswith("latency_ms")]
        return [(row.asset, row.signal, row.slice, row.at, row.value, row.low, row.high, row.n) for row in rows]

    total = part(whole, traffic)
    parts = [part(first, traffic.part(start, cut))]
    copy_stores(first, second)
    parts.append(part(second, traffic.part(cut, end)))
    assert sum(each.n_rows for each in parts) == total.n_rows
    assert sum(each.n_labels for each in parts) == total.n_labels
    assert readings(second) == readings(whole)
    assert len(readings(second)) > len(readings(first)) > 10
