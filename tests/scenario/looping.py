"""Control planes over gauges that are killed while they repair. Run by tests: `looping.py MODE FOLDER [SEED]`.

Each plane is a fork of this process, which itself opens no store and never starts a thread of polars or
delta-rs: an interpreter a plane would take minutes. Prints what each run came to, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gauges import AT_ONCE, T0, Plant, Says, boiler, kind_with, watched, wild

from perdure.core.canonical import plain
from perdure.core.clock import monotonic_s, parse_at, sleep_s
from perdure.core.errors import LeaseHeld, LostLease
from perdure.core.units import Rate, days, hours
from perdure.durable.lease import hold
from perdure.loop.protocols import LEASE
from perdure.loop.round import Loop
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.online.sqlite import SqliteOnline
from perdure.stores.telemetry.sqlite import SqliteReadings
from perdure.testing.toy import TOY

LOADED = (DeltaLake, SqliteOnline, SqliteReadings)
"""What each plane would else have to load."""
LAST_DAY = 6.5
TTL_S = 0.5
PATIENCE_S = 60.0
STEPS = (0, 1, 2, 1, 3)
"""Points at which a plane is killed, one after the other. Work that is done again writes nothing: a plane that were
always killed at its first commit would not come further."""


class Points:
    """Counts instants down at which a process may be killed; it kills itself at the last one. Below 0: never."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(self, log: Path, told: str) -> None:
        if self._left == 0:
            with log.open("a") as file:
                file.write(told + "\n")
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class KilledLedger:
    """A ledger that may be killed before a transaction's commit, and after it; it says in which it was."""

    def __init__(self, ledger: Any, point: Points, log: Path) -> None:
        self._ledger = ledger
        self._point = point
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    @contextmanager
    def transaction(self, **options: Any) -> Any:
        with self._ledger.transaction(**options) as session:
            yield session
            self._point(self._log, options["reason"])
        self._point(self._log, options["reason"])


def assets() -> list[Any]:
    """One that is repaired for good, one whose repairs are rolled back, and one that rests on the first."""
    often = {"cool_down": hours(36), "retrains": Rate(9, days(30)), "breaker": 2}
    return [
        watched(boiler(3)),
        watched(wild("engine"), ramp=AT_ONCE, watch=hours(12), **often),
        watched(boiler(4, name="train", gains=(1.0, 0.5)), rests_on=["boiler"], cool_down=hours(12)),
    ]


class WorseInTheEnd(Says):
    """What replaces a champion of the engine is worse, as its watch finds."""

    def judge(self, place: Any, asset: Any, trial: Any, now: Any) -> Any:
        """Worse for the engine only."""
        return Says(*self.stages, passes=asset.name != "engine").judge(place, asset, trial, now)


def open_plant(folder: Path, point: Points) -> Plant:
    """The plant with a ledger that kills."""
    kind = kind_with(gates=[WorseInTheEnd("watch")])
    plant = Plant(folder, assets(), kind)
    stores = replace(plant.place.stores, ledger=KilledLedger(plant.place.stores.ledger, point, folder / "killed"))
    plant.place = replace(plant.place, stores=stores)
    plant.loop = Loop(plant.place, {TOY: kind}, [], assets(), list)
    return plant


def next_day(plant: Plant) -> float:
    """The newest round's day, so that a round that was killed is done again."""
    with plant.place.stores.ledger.read() as session:
        newest = session.cursors.get("round")
    return 0.0 if newest is None else (parse_at(newest) - T0) / days(1)


def go_on(folder: Path, point: Points) -> None:
    """Rounds from the newest one to the last."""
    plant = open_plant(folder, point)
    plant.run(next_day(plant), LAST_DAY)


def go_on_under_lease(folder: Path, name: str, stops_on: float) -> None:
    """As a rival of others: waits for the lease, works, and stands still on a day until it is killed."""
    plant = open_plant(folder, Points(-1))
    done = False
    while not done:
        with (
            contextlib.suppress(LeaseHeld, LostLease),
            hold(plant.place.stores.leases, LEASE, name, TTL_S, wait_s=PATIENCE_S) as held,
        ):
            day = next_day(plant)
            while day <= LAST_DAY:
                held.check()
                plant.loop.tick(T0 + day * days(1), held.lease)
                (folder / name).write_text(str(day))
                while day == stops_on:
                    sleep_s(0.05)
                day += 0.5
            done = True


def start(work: Callable[..., None], *given: Any) -> int:
    """A plane in a process of its own; its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(*given)
        code = 0
    finally:
        if code:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> bool:
    """True when it came to its end, False when it was killed; fails when it failed by itself."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), f"a plane failed by itself: {code}"
    return code == 0


def began(folder: Path) -> None:
    """First champions."""
    plant = Plant(folder, assets())
    for name in ("boiler", "engine", "train"):
        plant.release(name)


def new(folder: Path) -> Path:
    """A folder with a plant that has begun."""
    folder.mkdir(parents=True)
    assert ended(start(began, folder))
    return folder


def tell(folder: Path) -> None:
    """Write down what a run came to, without ids."""
    plant = Plant(folder, assets())
    report = plant.place.stores.ledger.verify()
    with plant.place.stores.ledger.read() as session:
        moves = {each.name: session.pointers.history(each.name) for each in assets()}
        steps = {job.id: [step.name for step in session.jobs.list_steps(job.id)] for job in plant.jobs()}
    told = {
        "chain": report.intact,
        "moves": {
            name: [(m.name, m.version, m.share, m.at, m.facts.get("stage")) for m in found]
            for name, found in moves.items()
        },
        "decisions": {each.name: plant.decisions(each.name) for each in assets()},
        "outcomes": [(e["outcome"], e["why"], e["champion"]) for e in plant.entries("loop.outcome")],
        "verified": [(e["stage"], e["trials"], e["winner"]) for e in plant.entries("loop.verify")],
        "incidents": sorted((i.asset, i.kind, i.opened_at, i.closed_at, i.closing) for i in plant.incidents()),
        "jobs": [(j.subject, j.status, j.started_at, j.ended_at, j.output, steps[j.id]) for j in plant.jobs()],
        "readings": plant.place.stores.readings.list(),
    }
    (folder / "told.json").write_text(json.dumps(plain(told), sort_keys=True))


def told(folder: Path) -> dict[str, Any]:
    """What a run came to."""
    assert ended(start(tell, folder))
    found: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return found


def at_each_step(root: Path, _seed: int) -> dict[str, Any]:
    """Killed again and again, before a commit or right after one, at most two transactions from where it began."""
    folder, n_kills = new(root / "killed"), 0
    while not ended(start(go_on, folder, Points(STEPS[n_kills % len(STEPS)]))):
        n_kills += 1
    return {"n_kills": n_kills, "within": (folder / "killed").read_text().splitlines(), "runs": [told(folder)]}


def at_random(root: Path, seed: int) -> dict[str, Any]:
    """Killed at any instant, until there were a hundred; a run that ends is followed by another."""
    chance, n_kills, runs = random.Random(seed), 0, []
    while n_kills < 100:
        folder = new(root / f"killed_{len(runs)}")
        done = False
        while not done:
            child = start(go_on, folder, Points(-1))
            sleep_s(chance.uniform(0.02, 0.2))
            os.kill(child, signal.SIGKILL)
            done = ended(child)
            n_kills += not done
        runs.append(told(folder))
    return {"n_kills": n_kills, "runs": runs}


def two_workers(root: Path, _seed: int) -> dict[str, Any]:
    """One stands still with the lease while a release is on its way, and is killed; the other finishes."""
    folder = new(root / "shared")
    first = start(go_on_under_lease, folder, "first", 3.5)
    wait_for(folder / "first", "3.5")
    second = start(go_on_under_lease, folder, "second", -1.0)
    sleep_s(2 * TTL_S)
    waited = not (folder / "second").exists()
    os.kill(first, signal.SIGKILL)
    assert not ended(first)
    assert ended(second)
    return {"n_kills": 1, "waited": waited, "runs": [told(folder)]}


def wait_for(file: Path, text: str) -> None:
    """Until a file says so."""
    deadline_s = monotonic_s() + PATIENCE_S
    while not (file.exists() and file.read_text() == text):
        assert monotonic_s() < deadline_s, f"{file} never said {text}"
        sleep_s(0.01)


def main(mode: str, root: Path, seed: int) -> None:
    """A mode beside a run that nobody interrupts."""
    # What a store loads when it is opened first, each plane would have to load else.
    Plant(root / "warm", []).place.stores.ledger.close()
    peaceful = new(root / "peaceful")
    assert ended(start(go_on, peaceful, Points(-1)))
    modes = {work.__name__: work for work in (at_each_step, at_random, two_workers)}
    print(json.dumps({"peaceful": told(peaceful), **modes[mode](root, seed)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
