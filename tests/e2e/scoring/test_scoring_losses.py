"""What serving could not keep is seen in the project's status: events lost to a full disk, blobs lost to damage."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from scoring_world import MODELS, SERVED_AT, World, landings, trip, trips, weather

from perdure.assets.project import Project
from perdure.assets.version import Pointer
from perdure.core.settings import ProjectSettings, Settings, StoreSettings
from perdure.core.units import hours
from perdure.surface.sdk import Perdure


@pytest.fixture
def version(world: World) -> str:
    """The id of a released version."""
    (made,) = world.found(0)
    world.point(Pointer("air_time", "champion", made.id))
    return made.id


@pytest.fixture
def perdure(world: World) -> Perdure:
    """The project over the very stores that the server writes to; its sources bring nothing."""

    def silent(source):
        return replace(source, read=lambda: pl.DataFrame(schema=list(source.contract.model_fields)))

    sources = {source.name: silent(source) for source in (weather, trips, landings)}
    settings = Settings(project=ProjectSettings(name="test"), stores=StoreSettings(root=str(world.root)))
    return Perdure(world.root, settings, project=Project("test", sources=sources, models=MODELS))


def test_what_a_full_disk_cost_is_an_open_incident_once_there_is_room(
    world: World, version: str, perdure: Perdure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers go on, labels are refused; with room again the loss is told by the next event and found by the round."""
    free_bytes = os.statvfs

    def nothing_free(path: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=1_000, f_frsize=1)

    with world.serving(min_free=1_000_000) as client:
        monkeypatch.setattr(os, "statvfs", nothing_free)
        assert [client.predict(trip(number)).status for number in range(3)] == [200] * 3
        label = [{"key": "t1", "value": 1.0}]
        assert client.post_labels(label).error["code"] == "store.full"
        assert perdure.tick(at=SERVED_AT).drained.n_lost == 0
        assert perdure.status(at=SERVED_AT).incidents == []
        monkeypatch.setattr(os, "statvfs", free_bytes)
        assert client.post_labels(label).status == 202
        assert client.predict(trip(9)).first["version"] == version
        report = perdure.tick(at=SERVED_AT + hours(1))
        assert (report.drained.n_rows, report.drained.n_labels, report.drained.n_lost) == (1, 1, 4)
        [incident] = perdure.status(at=SERVED_AT + hours(1)).incidents
        assert (incident.asset, incident.kind) == ("capture", "capture_loss")
        assert "4 captured events could not be written" in incident.summary
        assert "1 of them were labels" in incident.summary
        assert report.opened == [incident]
        assert client.get("/readyz").json["captures_lost"] == 4
    assert perdure.tick(at=SERVED_AT + hours(2)).drained.n_lost == 0
    assert perdure.verify_ledger().intact


def test_a_blob_that_serving_found_corrupt_is_an_open_incident_beside_what_readyz_says(
    world: World, version: str, perdure: Perdure
) -> None:
    (other,) = world.found(1)
    [blob] = [path for path in (world.root / "blobs").rglob(other.artifacts["onnx"]) if path.is_file()]
    blob.chmod(0o600)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"\0")
    with world.serving() as client:
        world.point(Pointer("air_time", "champion", other.id))
        ready = client.wait_until(lambda ready: ready["last_error"] is not None)
        assert ready["last_error"]["code"] in ("store.corrupt", "not_found")
        [incident] = perdure.tick(at=SERVED_AT).opened
        assert (incident.asset, incident.kind) == ("air_time", "blob_missing")
        assert f"onnx of {other.id}" in incident.summary
        assert perdure.status(at=SERVED_AT).incidents == [incident]
        assert client.predict(trip()).first["version"] == version
        perdure.place.stores.blobs.put(whole)
        perdure.tick(at=SERVED_AT + hours(1))
        assert perdure.status(at=SERVED_AT + hours(1)).incidents == []
