"""A place with real stores and a loop over gauges, driven day by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from perdure.assets.policy import Policy, Ramp
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash
from perdure.core.ids import version_id
from perdure.core.settings import Settings
from perdure.core.units import days, hours
from perdure.durable.lease import hold
from perdure.loop.protocols import LEASE, Kind, Watched
from perdure.loop.round import Loop, RoundReport
from perdure.surface.compose import open_ledger, open_place
from perdure.testing.toy import TOY, Gauge, level, toy_kind, watch

T0 = datetime(2025, 1, 1, tzinfo=UTC)
FAST = Ramp(shadow=hours(12), canary=hours(12), share=0.2)


def boiler(decays_on: float = 3, *, to: float = 27.0, n_days: int = 40, **settings: Any) -> Gauge:
    """A gauge that shows 20 each half day, and `to` from a day on."""
    points = {
        T0 + hours(12 * half): (20.0 if half / 2 < decays_on else to) for half in range(2 * n_days)
    }
    return Gauge("boiler", points, target=20.0, margin=1.0, **settings)


def watched(gauge: Gauge, *, rests_on: Sequence[str] = (), **settings: Any) -> Watched:
    """The gauge with an objective of a day's window, and a policy that acts."""
    policy = Policy.act(**{"ramp": FAST, "watch": days(2), "cool_down": days(3), **settings})
    return watch(gauge, level(over=days(1)) <= 23.0, policy=policy, rests_on=rests_on)


class Plant:
    """The stores in a folder, and a loop over what is watched."""

    def __init__(self, folder: Path, assets: Sequence[Watched], kind: Kind | None = None, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.place = open_place(folder, self.settings, "ann", open_ledger(folder, self.settings))
        self.loop = Loop(self.place, {TOY: kind or toy_kind()}, [], assets, list)

    def release(self, asset: str, offset: float = 0.0, at: datetime = T0) -> str:
        """A first champion."""
        definition = {"offset": offset}
        version = Version(
            version_id(asset, content_hash(definition)), asset, TOY, definition, {}, {}, {}, at, "ann"
        )
        with self.place.stores.ledger.transaction(actor="ann", at=at, reason="first") as session:
            session.registry.put_version(version)
            session.pointers.set([Pointer(asset, CHAMPION, version.id)])
        return version.id

    def tick(self, day: float) -> RoundReport:
        """A round at a day from the start."""
        with hold(self.place.stores.leases, LEASE, "worker", 30.0) as held:
            return self.loop.tick(T0 + timedelta(days=day), held.lease)

    def run(self, start: float, end: float, step: float = 0.5) -> list[RoundReport]:
        """Rounds from one day to another, both included."""
        n = round((end - start) / step)
        return [self.tick(start + step * at) for at in range(n + 1)]

    def champion(self, asset: str = "boiler") -> str | None:
        """The version that answers."""
        with self.place.stores.ledger.read() as session:
            return next((p.version for p in session.pointers.list(asset) if p.name == CHAMPION), None)

    def entries(self, action: str) -> list[Any]:
        """Facts of audit entries of an action."""
        with self.place.stores.ledger.read() as session:
            return [entry.facts for entry in session.audit.list(limit=100_000) if entry.action == action]

    def incidents(self) -> list[Any]:
        """All incidents."""
        with self.place.stores.ledger.read() as session:
            return session.incidents.list()

    def jobs(self) -> list[Any]:
        """All jobs, oldest first."""
        with self.place.stores.ledger.read() as session:
            return list(reversed(session.jobs.list(limit=1000)))

    def stages(self, asset: str = "boiler") -> list[tuple[str, float]]:
        """Stage of each pointer move by a job, with its day."""
        with self.place.stores.ledger.read() as session:
            moves = session.pointers.history(asset)
        found: dict[int, tuple[str, float]] = {}
        for move in moves:
            if "stage" in move.facts:
                found[move.sequence] = (move.facts["stage"], (move.at - T0) / days(1))
        return list(found.values())
