"""The clock of the tests stands still until it is told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perdure.core.clock import EPOCH
from perdure.core.errors import DeclarationError
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.clock import SettableClock

AT = datetime(2013, 3, 1, tzinfo=UTC)


def test_it_stands_where_it_was_set():
    clock = SettableClock()
    assert clock.now() == EPOCH
    assert clock.set(AT) == clock.now() == AT


def test_it_goes_forward_and_back():
    clock = SettableClock(AT)
    assert clock.advance(timedelta(hours=1)) == clock.now() == AT + timedelta(hours=1)
    clock.advance(timedelta(hours=-2))
    assert clock.now() == AT - timedelta(hours=1)


def test_it_refuses_an_instant_without_a_zone():
    with pytest.raises(DeclarationError):
        SettableClock(AT.replace(tzinfo=None))


def test_a_ledger_and_its_leases_go_by_it(tmp_path):
    clock = SettableClock(AT)
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="flights", clock=clock)
    first = ledger.leases.acquire("loop", "ana", 60.0)
    clock.advance(timedelta(seconds=59.999))
    assert ledger.leases.acquire("loop", "bo", 60.0) is None
    clock.advance(timedelta(seconds=0.001))
    second = ledger.leases.acquire("loop", "bo", 60.0)
    assert second.epoch == first.epoch + 1
    with ledger.transaction(actor="bo", at=AT) as session:
        assert session.audit.append("note", "loop", {}).recorded_at == AT + timedelta(seconds=60)
    ledger.close()


def test_a_clock_set_back_gives_no_lease_twice(tmp_path):
    """A lease may end late then, but its epoch still tells two holders apart."""
    clock = SettableClock(AT)
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="flights", clock=clock)
    ledger.leases.acquire("loop", "ana", 60.0)
    clock.set(AT - timedelta(days=1))
    assert ledger.leases.acquire("loop", "bo", 60.0) is None
    ledger.close()
