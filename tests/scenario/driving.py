"""Workers that drive durable jobs until they are killed. Run by tests: `driving.py`.

Each worker is a fork of this process, which opens no store itself: an interpreter a worker would take a
minute. A line on stdin starts one (`[folder, "name", argument …]`) or waits for one (`[folder, "wait", pid]`);
the answer is its process id, or its exit code. What a worker says is a line of `<pid>.said` in its folder.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perdure.assets.version import CHALLENGER, CHAMPION, Pointer
from perdure.core.clock import sleep_s
from perdure.core.errors import LostLease
from perdure.durable.engine import Durable
from perdure.durable.lease import hold
from perdure.durable.schedules import fire
from perdure.durable.workflow import Workflow
from perdure.stores.ledger.protocols import Approval
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.online.protocols import OnlineRow
from perdure.stores.online.sqlite import SqliteOnline
from perdure.testing.conformance.ledger_records import a_version

AT = datetime(2013, 3, 1, tzinfo=UTC)
LATER = AT + timedelta(days=2)
VIEW = "weather@1"


class Points:
    """Counts instants down at which a process may be killed; it kills itself at the last one."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class KilledLedger:
    """A ledger that may be killed before a transaction, before its commit, and after it."""

    def __init__(self, ledger: SqliteLedger, point: Points) -> None:
        self._ledger = ledger
        self._point = point

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    @contextmanager
    def transaction(self, **options):
        self._point()
        with self._ledger.transaction(**options) as session:
            yield session
            self._point()
        self._point()


def open_ledger() -> SqliteLedger:
    return SqliteLedger(Path("ledger.db"), project="test")


def said(word: str) -> None:
    with Path(f"{os.getpid()}.said").open("a") as file:
        file.write(word + "\n")


def repair(point: Points) -> Workflow:
    """Steps of every kind. Effects: a line a try of `fit` in a file, an entry and a move of the pointers."""

    def run(steps, given):
        asset, job = steps.job.subject, steps.job.id

        def fit(key):
            point()
            with Path("fits").open("a") as file:
                file.write(key + "\n")
            point()
            return a_version(2, asset).id

        def register(session):
            for number in (1, 2):
                session.registry.put_version(a_version(number, asset))
            session.pointers.set([Pointer(asset, CHAMPION, a_version(1, asset).id), Pointer(asset, CHALLENGER, made)])
            point()
            return session.audit.append("effect", asset, {"job": job}).sequence

        def promote(session):
            return session.pointers.set([Pointer(asset, CHAMPION, made)], remove=[(asset, CHALLENGER)])

        made = steps.do("fit", fit)
        steps.commit("canary", "release", register)
        steps.wait_until("watched", steps.job.started_at + timedelta(days=1))
        steps.commit("all", "release", promote)
        return {"made": made}

    return Workflow("repair", run, "1")


def drive_until_killed(key: str, n_points: int) -> None:
    """One job from its beginning to its end; killed at the n-th point."""
    point = Points(n_points)
    durable = Durable(KilledLedger(open_ledger(), point), [repair(point)], actor="worker")
    durable.begin("repair", key, key, {}, AT)
    durable.drive(AT)
    point()
    durable.drive(LATER)


def drive_for_ever(first: int) -> None:
    """One job after the other; says so when it begins."""
    durable = Durable(open_ledger(), [repair(Points(-1))], actor="worker")
    said("begun")
    for number in range(first, first + 10_000):
        durable.drive(LATER)
        durable.begin("repair", f"asset_{number}", f"asset_{number}", {}, AT)


def drive_under_lease(name: str, ttl_s: float, stalls: bool) -> None:
    """All jobs under the lease; one that stalls waits in its first step until somebody ends it."""
    ledger = open_ledger()
    online = SqliteOnline(Path("online.db"))

    def run(steps, given):
        def work(key):
            said("at work")
            while stalls and not Path("go on").exists():
                sleep_s(0.01)
            for write in (write_pointers, write_online):
                try:
                    write(steps.lease)
                except LostLease:
                    said(f"{write.__name__} refused")
            return name

        return {"by": [steps.do("first", work), steps.do("second", work)]}

    def write_pointers(lease):
        with ledger.transaction(actor=name, at=AT, lease=lease) as session:
            session.registry.put_version(a_version(1, "fares", actor=name))
            session.pointers.set([Pointer("fares", name, a_version(1, "fares").id)])

    def write_online(lease):
        online.put(VIEW, [OnlineRow(name, (1.0,), 1, 1)], epoch=lease.epoch)
        online.replace(f"{VIEW}/{name}", [OnlineRow(name, (1.0,), 1, 1)], epoch=lease.epoch)

    durable = Durable(ledger, [Workflow("work", run, "1")], actor=name)
    with hold(ledger.leases, "loop", name, ttl_s, wait_s=60.0) as held:
        try:
            durable.drive(AT, held.lease)
        except LostLease:
            said("lost")


def drive_approvals() -> None:
    """One drive of the jobs that ask people; the process ends after it."""

    def run(steps, given):
        question = Approval("", "fares", "", "Release?", "reviewer", 2, "worker", steps.now, "open")
        return {"said": steps.ask("ok", question).status}

    durable = Durable(open_ledger(), [Workflow("ask", run, "1")], actor="worker")
    durable.begin("ask", "release", "fares", {}, AT)
    durable.drive(LATER)


def fire_schedule(n_periods: int) -> None:
    ledger = open_ledger()
    for period in range(n_periods):
        for part in (0.0, 0.5):
            now = AT + timedelta(days=period + part)
            if fire(ledger, "retrain", timedelta(days=1), now, actor=str(os.getpid())):
                said(str(period))


WORKERS = {
    work.__name__: work
    for work in (drive_until_killed, drive_for_ever, drive_under_lease, drive_approvals, fire_schedule)
}


def started(folder: str, name: str, *given) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.chdir(folder)
        WORKERS[name](*given)
        code = 0
    finally:
        if code:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    for line in sys.stdin:
        folder, name, *given = json.loads(line)
        ended = name == "wait"
        answer = os.waitstatus_to_exitcode(os.waitpid(given[0], 0)[1]) if ended else started(folder, name, *given)
        print(answer, flush=True)


if __name__ == "__main__":
    main()
