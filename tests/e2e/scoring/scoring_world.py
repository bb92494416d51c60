"""A small world to serve: one model with three versions, real stores, a real server.

Also a program: `python scoring_world.py ROOT` serves the world in ROOT in a process of its own, and
prints its URL.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import numpy as np
import polars as pl
from pydantic import Field

from perdure import Contract, FeatureView, Label, Model, Source, feature_view, hours
from perdure.assets.fields import contract_definition
from perdure.assets.version import Pointer, Version
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import from_us, iso, machine_us, monotonic_s, sleep_s, to_us
from perdure.core.ids import version_id
from perdure.core.settings import CaptureSettings, ServeSettings
from perdure.engines.features import FeaturePlan
from perdure.engines.training.predictor import Predictor, load_predictor
from perdure.serve.server import ScoringParts, Server
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.capture.events import Event
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.online.protocols import OnlineRow
from perdure.stores.online.sqlite import SqliteOnline

SERVED_AT = datetime(2013, 3, 1, 12, tzinfo=UTC)


class Trip(Contract):
    trip_id: str
    origin: Literal["JFK", "LGA"]
    distance_mi: Annotated[float, Field(gt=0)]
    scheduled_at: datetime
    seats: int | None = None


class Weather(Contract):
    origin: str
    observed_at: datetime
    wind_mph: float | None
    visibility_mi: float


class Landing(Contract):
    trip_id: str
    air_time_min: Annotated[float, Field(gt=0, le=2_000)]
    landed_at: datetime


weather = Source("weather", Weather, pl.DataFrame, event_at="observed_at", available_at=hours(1), key=("origin",))
trips = Source("trips", Trip, pl.DataFrame, event_at="scheduled_at", key=("trip_id",))
landings = Source("landings", Landing, pl.DataFrame, event_at="landed_at", key=("trip_id",))


@feature_view(key="origin", source=weather, ttl=hours(3))
def weather_now(w):
    return {"wind_mph": w.wind_mph, "low_visibility": w.visibility_mi < 3.0}


@feature_view(on=Trip)
def shape(t):
    return {"distance_mi": t.distance_mi, "hour": t.scheduled_at.hour(), "origin": t.origin}


class AirTime(Model):
    contract = Trip
    features = [weather_now, shape]
    rows = trips
    label = Label(landings, "air_time_min", key="trip_id", known_at="landed_at", delay=hours(12))
    purpose = "Crew planning"
    owner = "flight-ops"

    def fit(self, data, warm_start=None):
        raise AssertionError("the tests fit by hand")


class Fares(AirTime):
    name = "fares"


MODELS: Mapping[str, type[Model]] = {"air_time": AirTime}


@dataclass(frozen=True)
class Made:
    """A version with the bytes of its artifacts."""

    version: Version
    artifacts: Mapping[str, bytes]

    def predictor(self) -> Predictor:
        return load_predictor(self.version.definition, self.artifacts, trusted=True)


class Moody:
    """A model of no known library, whose code fails on long trips."""

    def predict(self, x):
        if (x[:, -3] > MOODY_LIMIT_MI).any():
            raise ZeroDivisionError("too far for me")
        return np.nan_to_num(x[:, -3]).astype(np.float64)


MOODY = 99
"""Number of the version that `Moody` answers."""
MOODY_LIMIT_MI = 5_000.0


def _fitted(number: int, x: Any) -> Any:
    if number == MOODY:
        return Moody()
    import lightgbm  # a second to import, which the server's own process need not pay

    y = 100.0 * number + x.sum(axis=1) * 3
    return lightgbm.LGBMRegressor(n_estimators=12, min_child_samples=5, verbose=-1, n_jobs=1).fit(x, y)


@cache
def made_version(number: int, model: type[Model] = AirTime) -> Made:
    """Version `number` of a model: it answers about `100 * number` more minutes than version 0."""
    from perdure.engines.training.compile import compile_model

    plan = FeaturePlan.from_views(model.features).with_categories({"origin": ["JFK", "LGA"]})
    x = np.random.default_rng(number).uniform(0, 10, (300, len(plan.features))).astype(np.float32)
    compiled = compile_model(_fitted(number, x), x.shape[1], x[:50])
    contract = contract_definition(model.contract)
    definition = {
        **plan.definition(),
        **compiled.definition(),
        "task": "regression",
        "contract": {**contract, "hash": content_hash(contract)},
        "label": {"column": "air_time_min", "key": "trip_id", "known_at": "landed_at"},
    }
    hashed = content_hash({"definition": plain(definition), "number": number})
    version = Version(
        id=version_id(model.name, hashed),
        asset=model.name,
        kind="model",
        definition=plain(definition),
        artifacts={},
        lineage={"number": number},
        metrics={},
        created_at=SERVED_AT,
    )
    return Made(version, compiled.artifacts)


@dataclass(frozen=True)
class World:
    """The stores of one project under `root`."""

    root: Path

    @property
    def ledger_path(self) -> Path:
        return self.root / "ledger.db"

    @property
    def table_path(self) -> Path:
        return self.root / "serve" / "routing.json"

    @property
    def capture_path(self) -> Path:
        return self.root / "capture"

    def found(self, *numbers: int, model: type[Model] = AirTime) -> list[Version]:
        """Register versions of a model, none of them released."""
        blobs = FileBlobs(self.root / "blobs")
        versions = []
        for number in numbers:
            made = made_version(number, model)
            artifacts = {role: blobs.put(content) for role, content in made.artifacts.items()}
            versions.append(replace(made.version, artifacts=artifacts))
        ledger = SqliteLedger(self.ledger_path, project="test")
        with ledger.transaction(actor="test", at=SERVED_AT) as session:
            for version in versions:
                session.registry.put_version(version)
        ledger.close()
        return versions

    def point(self, *pointers: Pointer) -> int:
        """Move pointers; returns the new generation."""
        ledger = SqliteLedger(self.ledger_path, project="test")
        with ledger.transaction(actor="test", at=SERVED_AT) as session:
            generation = session.pointers.set(list(pointers))
        ledger.close()
        return generation

    def put_weather(
        self, origin: str, wind_mph: float, *, at_us: int | None = None, view: FeatureView = weather_now
    ) -> None:
        """Make an online row that is an hour old now, or at another instant."""
        at_us = machine_us() if at_us is None else at_us
        row = OnlineRow(origin, (wind_mph, True), at_us - 3_600_000_000, at_us)
        online = SqliteOnline(self.root / "online.db")
        online.put(view.version, [row])
        online.close()

    def parts(self, *, models: Mapping[str, type[Model]] = MODELS, min_free: int = 0, **settings: Any) -> ScoringParts:
        return ScoringParts(
            models=models,
            open_ledger=lambda: SqliteLedger.open_read_only(self.ledger_path, project="test"),
            open_online=lambda: SqliteOnline(self.root / "online.db", read_only=True),
            open_writer=lambda: SegmentWriter(self.capture_path, CaptureSettings(min_free_bytes=min_free)),
            blobs=FileBlobs(self.root / "blobs"),
            table_path=self.table_path,
            settings=ServeSettings(**{"port": 0, "poll_ms": 20, **settings}),
        )

    def captured(self) -> list[Event]:
        """Every event in the capture log."""
        log = SegmentLog(self.capture_path)
        spans = [SegmentRange(each.name, 0, log.complete_end(each.name, 0)) for each in log.segments()]
        return [event for span in spans for event in log.read(span)]

    @contextmanager
    def serving(self, **changes: Any) -> Iterator[Client]:
        """A running server; its client."""
        server = Server(self.parts(**changes))
        client = Client(server.start())
        try:
            yield client
        finally:
            client.close()
            server.stop()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def first(self) -> Any:
        return self.json["predictions"][0]


class Client:
    """A keep-alive client of the standard library."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 0)
        self._connection = http.client.HTTPConnection(*self.address, timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, named)
        response = self._connection.getresponse()
        return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def predict(self, *rows: Mapping[str, Any], model: str = "air_time", query: str = "", **headers: str) -> Answer:
        body = json.dumps({"row": rows[0]} if len(rows) == 1 else {"rows": rows}).encode()
        return self.ask("POST", f"/v1/models/{model}/predict{query}", body, content_type="application/json", **headers)

    def post_labels(self, labels: list[Any], model: str = "air_time", **headers: str) -> Answer:
        body = json.dumps({"model": model, "labels": labels}).encode()
        return self.ask("POST", "/v1/labels", body, content_type="application/json", **headers)

    def metric(self, name: str) -> float:
        """The value of a sample without labels, or with exactly the labels written in `name`."""
        lines = self.get("/metrics").content.decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)

    def wait_until(self, check: Any, timeout_s: float = 60.0) -> Any:
        """The first `/readyz` for which `check` holds."""
        deadline_s = monotonic_s() + timeout_s
        while monotonic_s() < deadline_s:
            ready = self.get("/readyz").json
            if check(ready):
                return ready
            sleep_s(0.01)
        raise AssertionError(f"/readyz stayed {ready}")

    def wait_for_generation(self, generation: int) -> Any:
        return self.wait_until(lambda ready: ready["generation"] == generation)

    def close(self) -> None:
        self._connection.close()


def trip(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "trip_id": f"t{number}",
        "origin": "JFK",
        "distance_mi": 1000.0 + number,
        "scheduled_at": iso(from_us(to_us(SERVED_AT))),
    }
    return {**row, **changes}


@dataclass
class Hammer:
    """What some clients were answered, with the instants at which each asked."""

    stop: threading.Event = field(default_factory=threading.Event)
    answers: list[tuple[float, int, int, str]] = field(default_factory=list)
    """Asked at, status, generation, version."""

    def run(self, url: str) -> None:
        client, number = Client(url), 0
        while not self.stop.is_set():
            number += 1
            asked_s = monotonic_s()
            answer = client.predict(trip(number))
            generation = answer.json.get("generation", 0)
            version = answer.first["version"] if answer.status == 200 else ""
            self.answers.append((asked_s, answer.status, generation, version))
        client.close()


@contextmanager
def hammering(url: str, n_clients: int = 3) -> Iterator[Hammer]:
    hammer = Hammer()
    threads = [threading.Thread(target=hammer.run, args=(url,)) for _ in range(n_clients)]
    for thread in threads:
        thread.start()
    try:
        yield hammer
    finally:
        hammer.stop.set()
        for thread in threads:
            thread.join()


def main() -> None:
    server = Server(World(Path(sys.argv[1])).parts())
    sys.stdout.write(server.bind() + "\n")
    sys.stdout.flush()
    server.run()


if __name__ == "__main__":
    main()
