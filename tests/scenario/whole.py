"""Worlds that live: real stores, rounds of the whole loop in domain time, and what would have been served captured.

No HTTP: the champion answers by the offline engine, over the rows that are usable when a stretch of requests
begins. So after a quarantine it answers with the last good row, or without one, as a server does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.policy import Policy, Ramp
from perdure.assets.version import Version, dataset_name
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours, per_month
from perdure.loop.quarantine import outside
from perdure.loop.work.ranges import Ranges, all_ranges
from perdure.loop.work.scoring import load
from perdure.loop.work.skew import histories
from perdure.loop.work.versions import find_champion, plan_of
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

TRAINED = 16.0
"""Days from the start at which the first champion is trained and released."""
SETTINGS = Settings(project=ProjectSettings(name="world"))


def at(day: float) -> datetime:
    """The instant of a day."""
    return START + timedelta(days=day)


def acting(**settings: Any) -> Policy:
    """A policy that acts, step by step."""
    ramp = Ramp(shadow=hours(12), canary=hours(12), share=0.3)
    return Policy.act(**{"ramp": ramp, "watch": days(2), "retrains": per_month(8), **settings})


def world(seed: int, **settings: Any) -> World:
    """A world on which the loop acts."""
    made = {"n_days": 40, "per_day": 100, "policy": acting(), "feed_policy": acting(), "profiled": True}
    return World(seed=seed, recent=(days(14), days(6)), **{**made, **settings})


@dataclass(slots=True)
class Life:
    """A world with its stores, from the first release on."""

    folder: Path
    world: World
    perdure: Perdure = field(init=False)
    day: float = TRAINED

    def __post_init__(self) -> None:
        self.perdure = Perdure(self.folder, SETTINGS, project=self.world.project())
        self.perdure.train("minutes", at=at(TRAINED))
        self.perdure.apply(at=at(TRAINED))

    def live(self, until: float, step: float = 0.5) -> Life:
        """Requests and rounds in turn, a round each `step` days."""
        while self.day < until:
            start, self.day = self.day, self.day + step
            ranges = all_ranges(self.perdure.place.stores.ledger)
            champion = find_champion(self.perdure.place.stores.ledger, "minutes")
            assert champion is not None
            with self.perdure.hold_lease() as held:
                for source in self.perdure.project.sources.values():
                    self.perdure.loop.intake.ingest(source, at(self.day), held.lease)
            served = self._served(champion, ranges, start)
            self.perdure.place.stores.lake.append("captures/minutes", served)
            self.perdure.tick(at=at(self.day))
        return self

    def _served(self, champion: Version, ranges: dict[str, Ranges], start: float) -> pl.DataFrame:
        """What the champion answers to the requests since `start`, with the rows that were usable then."""
        stores, plan = self.perdure.place.stores, plan_of(champion)
        rows = self.world.requests(start, self.day)
        known = histories(stores.lake, plan, until=at(self.day))
        usable = {name: outside(frame, ranges.get(name, Ranges()).ranges) for name, frame in known.items()}
        offline = plan.offline(rows, "_at", usable)
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
                "row": rows.select(
                    pl.struct(
                        "order_id", "shop", "distance_km", pl.col("ordered_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
                    ).struct.json_encode()
                ).to_series(),
                "features": pl.Series(x).cast(pl.List(pl.Float32)),
                "status": [bytes(each) for each in offline.status],
                "prediction": load(self.perdure.place, champion).predict(x),
                "batch": [1] * rows.height,
            },
            schema_overrides={"latency_us": pl.Int64, "generation": pl.Int64, "batch": pl.Int64},
        )

    def incidents(self) -> list[Any]:
        """All, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return session.incidents.list()

    def jobs(self) -> list[Any]:
        """All, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return session.jobs.list(limit=1000)[::-1]

    def live_until_closed(self, until: float) -> Life:
        """On, until no incident is open."""
        while self.day < until and any(each.closed_at is None for each in self.incidents()):
            self.live(self.day + 0.5)
        return self

    def moves(self) -> list[tuple[str, float]]:
        """Stage and day of each pointer move by a job."""
        with self.perdure.place.stores.ledger.read() as session:
            moves = session.pointers.history("minutes")
        mine = [move for move in moves if "job" in move.facts]
        return list({each.sequence: (each.facts["stage"], (each.at - START) / days(1)) for each in mine}.values())

    def datasets(self) -> list[tuple[Version, pl.DataFrame]]:
        """Every dataset that was kept, with its rows."""
        with self.perdure.place.stores.ledger.read() as session:
            kept = session.registry.list_versions(dataset_name("minutes"))
        lake = self.perdure.place.stores.lake
        return [(each, lake.read("datasets/" + each.id.replace("@", "/"))) for each in kept]

    def readings(self, signal: str) -> list[Reading]:
        """Of one signal of the model."""
        return [each for each in self.perdure.place.stores.readings.list("minutes") if each.signal == signal]

    def captures(self, start: float, end: float) -> pl.DataFrame:
        """What was answered between two days."""
        captures = self.perdure.place.stores.lake.read("captures/minutes")
        return captures.filter(pl.col("served_at").is_between(at(start), at(end), closed="left"))

    def error(self, start: float, end: float) -> float:
        """Mean absolute error of what was answered between two days."""
        inside = self.captures(start, end)
        joined = inside.join(self.world.arrivals, left_on="key", right_on="order_id")
        return float((joined["prediction"] - joined["minutes"]).abs().mean())
