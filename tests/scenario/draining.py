"""Drains that are killed at their k-th step, for every k. Run by tests: `draining.py FOLDER`.

Every store is wrapped so that each call that changes something has a step before it, and a
transaction one more before it commits; at the chosen step the process kills itself. Each drain is a
fork of this process, which never starts a thread of polars or delta-rs itself: an interpreter a step
would take a minute.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perdure.core.settings import CaptureSettings
from perdure.loop.drain import Drain
from perdure.stores.capture.events import Feedback, LabelRow, Labels, Lost, Rejected
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.capture import call, prediction

NOW = datetime(2013, 3, 1, tzinfo=UTC)


class Steps:
    """Counts steps down; the process dies at the last one."""

    def __init__(self, left: int) -> None:
        self._left = left

    def step(self) -> None:
        """One step more."""
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class Stepped:
    """A store whose calls that change something have a step before them."""

    def __init__(self, store: Any, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        if name in {"append", "remove"}:
            self._steps.step()
        return getattr(self._store, name)


class SteppedLedger(Stepped):
    """A ledger that also has a step inside its transactions."""

    @contextmanager
    def transaction(self, **kwargs: Any) -> Any:
        """Steps before it begins and before it commits."""
        self._steps.step()
        with self._store.transaction(**kwargs) as session:
            yield session
            self._steps.step()


def drain(root: Path, owner: str, steps: int) -> None:
    """One run of a new worker, killed after so many steps. The lease lasts no longer than it takes to get the next."""
    ledger = SqliteLedger(root / "ledger.db", project="test")
    lease = ledger.leases.acquire("drain", owner, 1e-6)
    assert lease is not None
    count = Steps(steps)
    log = Stepped(SegmentLog(root / "capture"), count)
    stores = log, Stepped(DeltaLake(root / "lake"), count), SteppedLedger(ledger, count)
    Drain(*stores, batch_bytes=1_000).run(now=NOW, actor=owner, lease=lease)


def survives(root: Path, owner: str, steps: int) -> bool:
    """True when a drain in a process of its own came to its end before the step it would have died at."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            drain(root, owner, steps)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.waitstatus_to_exitcode(status) == 0, f"the drain of {root} failed by itself"
    return not killed


def append(writer: SegmentWriter, first: int) -> None:
    """Events of every kind: ids from `first` on."""
    for number in range(first, first + 4):
        writer.append(prediction(number, n_rows=2))
        writer.append(Labels("air_time", f"l_{number}", 5, 6, [LabelRow(f"p_{number}_0", "", 1.0, 4)]))
    writer.append(prediction(first, model="fare"))
    writer.append(Rejected("air_time", f"x_{first}", 7, 8, [b'{"a":"%d"}' % first], b'[{"row":0}]'))
    writer.append(Lost(first, 0, first, first, "host:1"))
    if first == 300:  # in one batch only: each table more is a step more to die at
        writer.append(call(first, attempts=2))
        writer.append(Feedback(f"c_{first}", 5, 6, "k1", "helpful", 1.0))


def one(root: Path, ledger: Path, steps: int) -> bool:
    """Drain with a kill, with more events and another kill, and to the end; True when nobody died any more."""
    root.mkdir()
    for file in ledger.parent.iterdir():
        shutil.copy(file, root / file.name)
    settings = CaptureSettings(min_free_bytes=0, segment_bytes=1_500)
    first, second = SegmentWriter(root / "capture", settings), SegmentWriter(root / "capture", settings)
    append(first, 100)
    first.close()
    for number in range(200, 205):
        second.append(prediction(number))
    survived = survives(root, "first", steps)
    append(second, 300)
    survives(root, "second", steps // 2)
    second.close()
    assert survives(root, "third", 10_000)
    return survived


def main(root: Path) -> None:
    """Every step; prints how many folders it left, named 0, 1, 2 …"""
    template = root / "template" / "ledger.db"
    if os.fork() == 0:
        SqliteLedger(template, project="test").close()
        os._exit(0)
    os.wait()
    steps = 0
    while not one(root / str(steps), template, steps):
        steps += 1
    print(steps + 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
