"""A world whose weather feed changes its unit, and a hand that drives its rounds. Run as a program, it is killed.

`feeding.py FOLDER STEP` does one round over the stores in FOLDER in which the fault is found, and kills itself
before the STEP-th write to ledger or online store from the quarantine on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from perdure.assets.health import Cause, Finding
from perdure.assets.objective import Objective, freshness_h, off_profile, violations_ratio, volume
from perdure.assets.project import Project
from perdure.assets.repair import Action
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days
from perdure.loop.protocols import Signal, Watched, Workplace
from perdure.loop.quarantine import QuarantinedRange, review
from perdure.loop.work.batches import OffProfileSignal
from perdure.loop.work.feed_causes import source_causes
from perdure.loop.work.feed_remedies import source_remedies
from perdure.loop.work.operations import FreshnessSignal, ViolationsSignal, VolumeSignal
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

SETTINGS = Settings(project=ProjectSettings(name="world"))
HEALTHY: tuple[Objective, ...] = (
    off_profile(over=days(1), reference=days(60)) <= 0.05,
    freshness_h(over=days(1)) <= 6,
    volume(over=days(1)) >= 40,
    violations_ratio(over=days(1)) <= 0.1,
)
SIGNALS: dict[str, Signal] = {
    signal.name: signal for signal in (OffProfileSignal(), FreshnessSignal(), VolumeSignal(), ViolationsSignal())
}
BAD, GOOD = 32.0, 35.0
"""Days from the start between which rain comes in inches."""


def at(days_: float) -> datetime:
    """An instant of the world."""
    return START + timedelta(days=days_)


def rainy_world() -> World:
    """Rain in half millimetres, as a gauge that tips shows it."""
    world = World(n_days=40, per_day=10)
    world.sky = world.sky.with_columns(rain_mm=(pl.col("rain_mm") * 2).round() / 2)
    return world


def inches(world: World, start: float = BAD, end: float = GOOD) -> World:
    """The world with rain in inches for a while."""
    inside = pl.col("seen_at").is_between(at(start), at(end), closed="left")
    world.sky = world.sky.with_columns(
        rain_mm=pl.when(inside).then(pl.col("rain_mm") / 25.4).otherwise(pl.col("rain_mm"))
    )
    return world


def project_of(world: World) -> Project:
    """Its declarations."""
    return world.project()


class Rounds:
    """Rounds by hand: intake, review, online rows, observe, diagnose, the remedies that answer, online rows again."""

    def __init__(self, folder: Path, world: World) -> None:
        self.perdure = Perdure(folder, SETTINGS, project=project_of(world))
        self.place: Workplace = self.perdure.place
        self.source = self.perdure.project.sources["sky"]
        self.asset = Watched("sky", "source", HEALTHY, self.source.policy, self.source)
        self.view = next(view.version for view in self.perdure.project.views.values() if view.source is not None)

    def close(self) -> None:
        """Close its stores."""
        for store in (self.place.stores.ledger, self.place.stores.online):
            store.close()

    def take_in(self, now: datetime) -> None:
        """Intake alone."""
        self.perdure.loop.intake.ingest(self.source, now)

    def findings(self, now: datetime) -> list[Finding]:
        """Every objective, judged."""
        return [
            objective.judge(reading)
            for objective in HEALTHY
            for reading in SIGNALS[objective.spec.signal].observe(self.place, self.asset, objective.spec, now)
        ]

    def causes(self, now: datetime) -> list[Cause]:
        """Ranked."""
        found = self.findings(now)
        weighed = [cause.weigh(self.place, self.asset, found, now) for cause in source_causes()]
        return sorted((each for each in weighed if each is not None), key=lambda each: -each.weight)

    def actions(self, causes: Sequence[Cause], now: datetime) -> list[Action]:
        """What the remedies propose."""
        proposed = (remedy.propose(self.place, self.asset, causes, now) for remedy in source_remedies())
        return [action for actions in proposed for action in actions]

    def act(self, actions: Sequence[Action], now: datetime) -> None:
        """Do them."""
        for action in actions:
            [remedy] = [each for each in source_remedies() if each.name == action.remedy]
            assert not remedy.repair(self.place, self.asset, action, "run/step", now)

    def round(self, now: datetime) -> tuple[list[Cause], list[QuarantinedRange]]:
        """One whole round."""
        self.take_in(now)
        closed = review(self.place, [self.source], now)
        self.perdure.loop.materialise(now)
        causes = self.causes(now)
        self.act(self.actions(causes, now), now)
        self.perdure.loop.materialise(now)
        return causes, closed

    def online(self) -> dict[str, tuple[Any, int]]:
        """Rain that is served by shop, and the microsecond it is about."""
        rows = self.place.stores.online.get(self.view, ["north", "south"])
        return {key: (row.values[0], row.event_us) for key, row in rows.items()}


class _Killing:
    """A store that counts down to the end of the process before each write."""

    left = -1

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name in {"put", "replace"}:
            _step()
        return getattr(self._store, name)

    @contextmanager
    def transaction(self, **kwargs: Any) -> Any:
        """A step before it begins, and one before it commits."""
        _step()
        with self._store.transaction(**kwargs) as session:
            yield session
            _step()


def _step() -> None:
    if _Killing.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    _Killing.left -= 1


def killed_round(folder: Path, step: int) -> None:
    """The round that finds the fault, killed before its `step`-th write; prints `done` when there are fewer."""
    rounds = Rounds(folder, inches(rainy_world()))
    now = at(BAD + 1)
    rounds.take_in(now)
    rounds.perdure.loop.materialise(now)
    actions = rounds.actions(rounds.causes(now), now)
    stores = rounds.place.stores
    killing = replace(stores, ledger=_Killing(stores.ledger), online=_Killing(stores.online))  # type: ignore[arg-type]
    rounds.place = replace(rounds.place, stores=killing)
    rounds.perdure.loop._materialiser._place = rounds.place
    _Killing.left = step
    rounds.act(actions, now)
    rounds.perdure.loop.materialise(now)
    print("done")


if __name__ == "__main__":
    killed_round(Path(sys.argv[1]), int(sys.argv[2]))
