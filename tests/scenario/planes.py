"""Two control planes over the same stores, one of which is killed at random instants. Run by tests: `planes.py FOLDER SEED`.

Each plane is a fork of this process, which itself never starts a thread of polars or delta-rs: an
interpreter a plane would take a minute. This process also serves: it captures predictions meanwhile.
Prints how often it killed, and how many events it captured.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from perdure.assets.project import Project
from perdure.core.clock import monotonic_s, parse_at, sleep_s
from perdure.core.errors import LeaseHeld, LostLease
from perdure.core.settings import CaptureSettings, LoopSettings, ProjectSettings, Settings
from perdure.durable.lease import HeldLease
from perdure.loop.round import Loop
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.online.sqlite import SqliteOnline
from perdure.stores.telemetry.sqlite import SqliteReadings
from perdure.surface.compose import kinds, make_loop
from perdure.surface.sdk import Perdure
from perdure.testing.conformance.capture import prediction
from perdure.testing.world import START, World

LOADED = (DeltaLake, SqliteOnline, SqliteReadings)
"""What each plane would else have to load; `kinds()` does the same for the recipes."""
SETTINGS = Settings(project=ProjectSettings(name="world"), loop=LoopSettings(lease_ttl_s=0.5))
N_DAYS = 4
END = START + timedelta(days=N_DAYS)
LAST = END + timedelta(days=2)
"""When everything is known and every source due."""
STEP = timedelta(hours=1)
N_KILLS = 12
PATIENCE_S = 120.0


def world() -> World:
    """What the planes take in."""
    return World(n_days=N_DAYS, per_day=20)


def open_project(folder: Path) -> Perdure:
    """The world's sources and views, without its model."""
    declared = world().project()
    project = Project(declared.name, declared.contracts, declared.sources, declared.views)
    return Perdure(folder, SETTINGS, project=project)


def next_instant(perdure: Perdure) -> datetime:
    """One step after the newest round."""
    with perdure.place.stores.ledger.read() as session:
        newest = session.cursors.get("round")
    return START if newest is None else parse_at(newest) + STEP


def work(perdure: Perdure, loop: Loop, held: HeldLease, told: Path) -> bool:
    """Rounds to the end, as long as the lease is ours; tells who works. True when all is done."""
    while (at := next_instant(perdure)) <= END:
        held.check()
        told.write_text(str(os.getpid()))
        loop.tick(at, held.lease)
    loop.tick(LAST, held.lease)
    return True


def plane(folder: Path) -> None:
    """One control plane: waits for the lease, works, and ends when all is done."""
    perdure = open_project(folder)
    loop = make_loop(perdure.folder, perdure.place, perdure.project)
    done = False
    while not done:
        with contextlib.suppress(LeaseHeld, LostLease), perdure.hold_lease(wait_s=PATIENCE_S) as held:
            done = work(perdure, loop, held, folder / "worker")


def start(folder: Path) -> int:
    """A plane in a process of its own; its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            plane(folder)
            code = 0
        finally:
            os._exit(code)
    return child


def worker(folder: Path) -> int:
    """Process id of the plane that worked last; 0 at first."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((folder / "worker").read_text())
    return 0


def is_at_work(folder: Path, planes: list[int]) -> bool:
    """True when one of the living planes has the lease."""
    return worker(folder) in planes


def ended(child: int) -> bool:
    """True when a plane came to its end by itself; fails when it failed."""
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid == 0:
        return False
    assert os.waitstatus_to_exitcode(status) == 0, "a plane failed by itself"
    return True


class Serving:
    """Captures an event at each turn of waiting."""

    def __init__(self, folder: Path) -> None:
        self._writer = SegmentWriter(folder / ".perdure" / "capture", CaptureSettings(4_000, 0))
        self.n_events = 0

    def wait(self, until: Callable[[], bool]) -> None:
        """Capture until something is so."""
        deadline_s = monotonic_s() + PATIENCE_S
        while not until():
            assert monotonic_s() < deadline_s, "nobody took over"
            assert self._writer.append(prediction(self.n_events, n_rows=2, model="minutes"))
            self.n_events += 1
            sleep_s(0.01)

    def wait_s(self, seconds: float) -> None:
        """Capture for so long."""
        until_s = monotonic_s() + seconds
        self.wait(lambda: monotonic_s() >= until_s)

    def close(self) -> None:
        """No more events."""
        self._writer.close()


def main(folder: Path, seed: int) -> None:
    """Kill whoever works, a dozen times; let the last two come to their end."""
    kinds()
    rng, serving, n_kills = random.Random(seed), Serving(folder), 0
    planes = [start(folder), start(folder)]
    while n_kills < N_KILLS:
        serving.wait(partial(is_at_work, folder, planes))
        serving.wait_s(rng.uniform(0.0, 0.15))
        killed = worker(folder)
        os.kill(killed, signal.SIGKILL)
        _, status = os.waitpid(killed, 0)
        assert os.WIFSIGNALED(status), "the work was done before the last kill"
        n_kills += 1
        planes = [*(each for each in planes if each != killed), start(folder)]
    serving.close()
    for each in planes:
        serving_until_s = monotonic_s() + PATIENCE_S
        while not ended(each):
            assert monotonic_s() < serving_until_s, "a plane does not come to its end"
            sleep_s(0.02)
    print(n_kills, serving.n_events)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
