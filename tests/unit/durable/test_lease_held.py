"""Holding a lease: renewed while the work lasts, lost when somebody takes it, given back at the end."""

from __future__ import annotations

import threading

import pytest

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import Conflict, LeaseHeld, LostLease
from perdure.durable.lease import hold
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.ledger_records import AT, a_version

TTL_S = 0.15
LONG_S = 600.0


@pytest.fixture
def ledger(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="flights")
    yield ledger
    ledger.close()


@pytest.fixture
def leases(ledger):
    return ledger.leases


def test_a_lease_is_held_for_the_length_of_the_block(leases):
    with hold(leases, "loop", "ana", LONG_S) as held:
        assert leases.holder("loop") == "ana"
        assert held.lease.owner == "ana"
        assert not held.lost
        held.check()
    assert leases.holder("loop") is None


def test_it_is_given_back_when_the_work_fails(leases):
    with pytest.raises(RuntimeError, match="work"), hold(leases, "loop", "ana", LONG_S):
        raise RuntimeError("work")
    assert leases.holder("loop") is None


def test_it_is_renewed_while_the_work_lasts(ledger, leases):
    with hold(leases, "loop", "ana", TTL_S) as held:
        sleep_s(TTL_S * 2)
        assert leases.acquire("loop", "bo", TTL_S) is None
        held.check()
        with ledger.transaction(actor="ana", at=AT, lease=held.lease) as session:
            session.registry.put_version(a_version(1))
    assert ledger.sequence() == 1


def test_a_held_lease_is_refused_with_its_holder_and_when_to_try_again(leases):
    with hold(leases, "loop", "ana", LONG_S), pytest.raises(LeaseHeld, match="ana") as caught, work_of(leases, 0.0):
        pytest.fail("Two workers at once.")
    assert caught.value.facts["holder"] == "ana"
    assert caught.value.delay_s > 0


def work_of(leases, wait_s):
    return hold(leases, "loop", "bo", LONG_S, wait_s=wait_s)


def test_waiting_ends_with_the_holders_work(leases):
    done = threading.Event()

    def work():
        with hold(leases, "loop", "ana", LONG_S):
            begun.set()
            done.wait(10.0)

    begun = threading.Event()
    worker = threading.Thread(target=work)
    worker.start()
    begun.wait(10.0)
    threading.Timer(0.05, done.set).start()
    with work_of(leases, 10.0) as held:
        assert held.lease.owner == "bo"
    worker.join()


def test_waiting_ends_in_time(leases):
    with hold(leases, "loop", "ana", LONG_S):
        began_s = monotonic_s()
        with pytest.raises(LeaseHeld), work_of(leases, 0.05):
            pytest.fail("Two workers at once.")
        assert 0.05 <= monotonic_s() - began_s < 5.0


class Interrupted:
    """Leases whose renewals fail for a while, as with a locked ledger."""

    def __init__(self, leases):
        self._leases = leases
        self.broken = False
        self.n_renewals = 0

    def __getattr__(self, name):
        return getattr(self._leases, name)

    def renew(self, lease, ttl_s):
        self.n_renewals += 1
        if self.broken:
            raise Conflict("locked")
        return self._leases.renew(lease, ttl_s)


def wait_until(condition):
    deadline_s = monotonic_s() + 60.0
    while not condition():
        assert monotonic_s() < deadline_s
        sleep_s(0.005)


def test_a_lease_that_cannot_be_renewed_in_time_counts_as_lost_until_it_can(leases):
    interrupted = Interrupted(leases)
    with hold(interrupted, "loop", "ana", TTL_S) as held:
        interrupted.broken = True
        wait_until(lambda: held.lost)
        with pytest.raises(LostLease):
            held.check()
        interrupted.broken = False
        wait_until(lambda: not held.lost)
        held.check()
    assert interrupted.n_renewals >= 2


def test_a_lease_that_somebody_took_is_lost_for_good_and_not_given_back(ledger, leases):
    interrupted = Interrupted(leases)
    with hold(interrupted, "loop", "ana", TTL_S) as held:
        interrupted.broken = True
        wait_until(lambda: leases.acquire("loop", "bo", LONG_S) is not None)
        interrupted.broken = False
        wait_until(lambda: held.lost)
        assert not held.renew()
        with pytest.raises(LostLease):
            held.check()
        with pytest.raises(LostLease), ledger.transaction(actor="ana", at=AT, lease=held.lease):
            pytest.fail("A lost lease wrote.")
    assert leases.holder("loop") == "bo"


def test_a_lease_that_cannot_be_given_back_fails_no_work(leases):
    class Stuck(Interrupted):
        def release(self, lease):
            raise Conflict("locked")

    with hold(Stuck(leases), "loop", "ana", LONG_S):
        pass
    assert leases.holder("loop") == "ana"


def test_the_renewing_thread_ends_with_the_block(leases):
    with hold(leases, "loop", "ana", LONG_S):
        assert any(thread.name == "lease loop" and thread.daemon for thread in threading.enumerate())
    assert not any(thread.name == "lease loop" for thread in threading.enumerate())
