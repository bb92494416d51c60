"""Real processes at one ledger: they write side by side, are killed, and take over from each other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import LostLease
from perdure.durable.lease import hold
from perdure.stores.ledger.protocols import Lease
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.ledger_records import AT

TTL_S = 0.6
PATIENCE_S = 60.0

PRELUDE = """
import sys, time
from pathlib import Path
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.ledger_records import AT, a_run, a_version
path, name, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ledger = SqliteLedger(path, project="flights")
"""

WRITER = (
    PRELUDE
    + """
for number in range(n):
    with ledger.transaction(actor=name, at=AT) as session:
        session.registry.put_version(a_version(number, asset=name))
        session.runs.put(a_run(number, id=f"{name}_{number}"))
"""
)

HOLDER = (
    PRELUDE
    + """
from perdure.durable.lease import hold
with hold(ledger.leases, "loop", name, float(sys.argv[4])) as held:
    with ledger.transaction(actor=name, at=AT, lease=held.lease) as session:
        session.audit.append("work", "loop", {"epoch": held.lease.epoch})
    time.sleep(600)
"""
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = SqliteLedger(path, project="flights")
    yield ledger
    ledger.close()


def started(program, path, name, n, *more):
    return subprocess.Popen([sys.executable, "-c", program, str(path), name, str(n), *more])


def wait_until(condition):
    deadline_s = monotonic_s() + PATIENCE_S
    while not condition():
        assert monotonic_s() < deadline_s
        sleep_s(0.005)


def test_two_processes_write_one_chain(path):
    """They make the file at once, too."""
    writers = [started(WRITER, path, name, 50) for name in ("ana", "bo")]
    assert [writer.wait(PATIENCE_S) for writer in writers] == [0, 0]
    ledger = SqliteLedger(path, project="flights")
    report = ledger.verify()
    assert (report.n_entries, report.intact) == (200, True)
    with ledger.read() as session:
        assert {len(session.registry.list_versions(name)) for name in ("ana", "bo")} == {50}
    ledger.close()


def test_a_killed_writer_leaves_whole_transactions(path, ledger):
    """Each of them has two entries: an odd number would be half a transaction."""
    for round_ in range(2):
        before = ledger.sequence()
        writer = started(WRITER, path, f"writer_{round_}", 1_000_000)
        wait_until(lambda before=before: ledger.sequence() >= before + 20)
        writer.kill()
        writer.wait(PATIENCE_S)
        report = ledger.verify()
        assert report.intact, report.text
        assert report.n_entries % 2 == 0
    with ledger.transaction(actor="ana", at=AT) as session:
        session.audit.append("note", "loop", {})
    assert ledger.verify().intact


def test_the_lease_of_a_killed_holder_goes_to_the_one_that_waits(path, ledger):
    """After its time to live, with a greater epoch; and the dead one's epoch writes nothing any more."""
    holder = started(HOLDER, path, "first", 0, str(TTL_S))
    wait_until(lambda: ledger.sequence() == 1)
    sleep_s(TTL_S)  # it renews: a waiter gets nothing while it lives
    assert ledger.leases.acquire("loop", "second", TTL_S) is None
    holder.kill()
    holder.wait(PATIENCE_S)
    with ledger.read() as session:
        old = Lease("loop", "first", session.audit.list()[0].facts["epoch"])
    with hold(ledger.leases, "loop", "second", TTL_S, wait_s=PATIENCE_S) as held:
        assert held.lease.epoch == old.epoch + 1
        with pytest.raises(LostLease), ledger.transaction(actor="first", at=AT, lease=old) as session:
            session.audit.append("work", "loop", {})
        with ledger.transaction(actor="second", at=AT, lease=held.lease) as session:
            session.audit.append("work", "loop", {"epoch": held.lease.epoch})
    with ledger.read() as session:
        assert [entry.actor for entry in session.audit.list()] == ["first", "second"]
    assert ledger.verify().intact
