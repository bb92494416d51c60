"""A synthetic project on real stores: trips with weather and vehicles, 20 features of four views.

Also a program: `python project.py FOLDER` serves it and prints its URL.
"""

from __future__ import annotations

import pickle
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from perdure import Contract, Label, Model, Source, feature_view, hours
from perdure.assets.fields import contract_definition
from perdure.assets.version import Pointer, Version
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import iso, machine_now, machine_us
from perdure.core.ids import version_id
from perdure.core.settings import CaptureSettings, ServeSettings
from perdure.engines.features import FeaturePlan
from perdure.serve.server import ScoringParts, Server
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.online.protocols import OnlineRow
from perdure.stores.online.sqlite import SqliteOnline

ORIGINS = ("EWR", "JFK", "LGA")
CARRIERS = ("AA", "B6", "DL", "UA", "WN")
N_VEHICLES = 200
Origin = Literal["EWR", "JFK", "LGA"]


class Trip(Contract):
    trip_id: str
    origin: Origin
    dest: str
    carrier: str
    vehicle: str
    distance_mi: Annotated[float, Field(gt=0)]
    planned_min: Annotated[int, Field(ge=0, le=2_000)]
    scheduled_at: datetime


class Weather(Contract):
    origin: str
    observed_at: datetime
    temperature_f: float | None
    humidity: float | None
    wind_mph: float | None
    gust_mph: float | None
    rain_in: float
    pressure_mb: float | None
    visibility_mi: float
    wind_direction: float | None


class Vehicle(Contract):
    vehicle: str
    seen_at: datetime
    built: int
    engines: int
    seats: int


class Arrival(Contract):
    trip_id: str
    minutes: float
    arrived_at: datetime


weather = Source("weather", Weather, pl.DataFrame, event_at="observed_at", key=("origin",))
vehicles = Source("vehicles", Vehicle, pl.DataFrame, event_at="seen_at", key=("vehicle",))
trips = Source("trips", Trip, pl.DataFrame, event_at="scheduled_at", key=("trip_id",))
arrivals = Source("arrivals", Arrival, pl.DataFrame, event_at="arrived_at", key=("trip_id",))


@feature_view(key="origin", source=weather, ttl=hours(3))
def weather_now(w):
    return {
        "temperature_f": w.temperature_f,
        "humidity": w.humidity,
        "wind_mph": w.wind_mph,
        "gust_mph": w.gust_mph.fill_null(0.0),
        "rain_in": w.rain_in,
        "pressure_mb": w.pressure_mb,
        "low_visibility": w.visibility_mi < 3.0,
        "wind_direction": w.wind_direction,
    }


@feature_view(key="vehicle", source=vehicles)
def machine(v):
    return {"built": v.built, "engines": v.engines, "seats": v.seats}


@feature_view(on=Trip)
def calendar(t):
    return {"hour": t.scheduled_at.hour(), "weekday": t.scheduled_at.weekday(), "month": t.scheduled_at.month()}


@feature_view(on=Trip)
def route(t):
    return {
        "distance_mi": t.distance_mi,
        "planned_min": t.planned_min,
        "planned_mph": t.distance_mi / (t.planned_min / 60.0),
        "origin": t.origin,
        "dest": t.dest,
        "carrier": t.carrier,
    }


class Minutes(Model):
    contract = Trip
    features = [weather_now, machine, calendar, route]
    rows = trips
    label = Label(arrivals, "minutes", key="trip_id", known_at="arrived_at", delay=hours(12))

    def fit(self, data, warm_start=None):
        from lightgbm import LGBMRegressor

        return LGBMRegressor(n_estimators=100, random_state=0, n_jobs=1, verbose=-1).fit(data.x, data.y)


def requests(n: int) -> list[dict[str, Any]]:
    """Rows to ask for, the same in every run."""
    rng = np.random.default_rng(1)
    return [
        {
            "trip_id": f"2026-01-{at % 28 + 1:02d}/{at}",
            "origin": str(rng.choice(ORIGINS)),
            "dest": f"D{rng.integers(60)}",
            "carrier": str(rng.choice(CARRIERS)),
            "vehicle": f"N{rng.integers(N_VEHICLES)}",
            "distance_mi": round(float(rng.uniform(80, 2_500)), 1),
            "planned_min": int(rng.integers(40, 400)),
            "scheduled_at": iso(datetime(2026, 1, at % 28 + 1, int(rng.integers(24)), tzinfo=UTC)),
        }
        for at in range(n)
    ]


def build(folder: Path) -> list[str]:
    """Fit, compile, register and release; fill the online store. Returns the names of the features."""
    from perdure.assets.model import TrainingData
    from perdure.engines.training.compile import compile_model
    from perdure.engines.training.training import train

    plan = FeaturePlan.from_views(Minutes.features)
    plan = plan.with_categories(
        {"origin": list(ORIGINS), "carrier": list(CARRIERS), "dest": [f"D{n}" for n in range(60)]}
    )
    names = [feature.name for feature in plan.features]
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 60, (20_000, len(names))).astype(np.float32)
    y = x @ rng.uniform(-1, 1, len(names)) + rng.normal(0, 5, len(x))
    trained = train(Minutes, TrainingData(x[:16_000], y[:16_000], x[16_000:], y[16_000:], names))
    compiled = compile_model(trained.fitted, len(names), x[:500])
    blobs = FileBlobs(folder / "blobs")
    contract = contract_definition(Trip)
    definition = plain(
        {
            **plan.definition(),
            **compiled.definition(),
            "contract": {**contract, "hash": content_hash(contract)},
            "label": {"column": "minutes", "key": "trip_id", "known_at": "arrived_at"},
        }
    )
    artifacts = {role: blobs.put(content) for role, content in compiled.artifacts.items()}
    version = Version(
        version_id("minutes", content_hash(definition)),
        "minutes",
        "model",
        definition,
        artifacts,
        {},
        {},
        machine_now(),
    )
    ledger = SqliteLedger(folder / "ledger.db", project="bench")
    with ledger.transaction(actor="bench", at=machine_now()) as session:
        session.registry.put_version(version)
        session.pointers.set([Pointer("minutes", "champion", version.id)])
    ledger.close()
    _fill_online(folder, rng)
    (folder / "features.txt").write_text(" ".join(names))
    (folder / "model.onnx").write_bytes(compiled.artifacts["onnx"])
    (folder / "model.pkl").write_bytes(pickle.dumps(trained.fitted))
    return names


def _fill_online(folder: Path, rng: np.random.Generator) -> None:
    now_us = machine_us()
    online = SqliteOnline(folder / "online.db")
    values = [tuple(rng.uniform(0, 60, 6).tolist()) for _ in ORIGINS]
    online.put(
        weather_now.version,
        [
            OnlineRow(o, (*v, False, 40.0), now_us - 60_000_000, now_us - 1)
            for o, v in zip(ORIGINS, values, strict=True)
        ],
    )
    online.put(machine.version, [OnlineRow(f"N{n}", (1980 + n % 40, 2, 50 + n), 0, 0) for n in range(N_VEHICLES)])
    online.close()


def parts(folder: Path) -> ScoringParts:
    """The stores under `folder`, opened for serving."""
    return ScoringParts(
        models={"minutes": Minutes},
        open_ledger=lambda: SqliteLedger.open_read_only(folder / "ledger.db", project="bench"),
        open_online=lambda: SqliteOnline(folder / "online.db", read_only=True),
        open_writer=lambda: SegmentWriter(folder / "capture", CaptureSettings()),
        blobs=FileBlobs(folder / "blobs"),
        table_path=folder / "serve" / "routing.json",
        settings=ServeSettings(port=0),
    )


if __name__ == "__main__":
    server = Server(parts(Path(sys.argv[1])))
    sys.stdout.write(server.bind() + "\n")
    sys.stdout.flush()
    server.run()
