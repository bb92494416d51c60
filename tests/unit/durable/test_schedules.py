"""Schedules fire once a period, at the instants that the first firing set."""

from __future__ import annotations

from datetime import timedelta

import pytest

from perdure.core.errors import DeclarationError, LostLease
from perdure.durable.schedules import fire
from perdure.stores.ledger.protocols import Lease
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.ledger_records import AT

DAY = timedelta(days=1)


@pytest.fixture
def ledger(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="flights")
    yield ledger
    ledger.close()


def fires(ledger, after, name="retrain"):
    return fire(ledger, name, DAY, AT + after, actor="loop")


def test_the_first_call_fires_and_then_one_a_period(ledger):
    assert [fires(ledger, DAY * part) for part in (0, 0, 0.5, 0.999, 1, 1.2, 1.9, 2, 2)] == [
        True, False, False, False, True, False, False, True, False,
    ]  # fmt: skip


def test_missed_periods_fire_once_and_shift_no_later_one(ledger):
    assert [fires(ledger, DAY * part) for part in (0, 3.5, 3.9, 4, 4.5, 5)] == [True, True, False, True, False, True]


def test_time_that_goes_back_does_not_fire(ledger):
    assert fires(ledger, DAY)
    assert not fires(ledger, timedelta(0))


def test_schedules_are_told_apart_by_name(ledger):
    assert fires(ledger, DAY, "retrain")
    assert fires(ledger, DAY, "resync")


def test_nothing_due_is_one_read(ledger, monkeypatch):
    fires(ledger, DAY)
    monkeypatch.setattr(ledger, "transaction", lambda **_: pytest.fail("It wrote."))
    assert not fires(ledger, DAY)


def test_a_lost_lease_fires_nothing(ledger):
    with pytest.raises(LostLease):
        fire(ledger, "retrain", DAY, AT, actor="loop", lease=Lease("loop", "ana", 7))
    assert fires(ledger, timedelta(0))


def test_a_period_of_nothing_is_refused(ledger):
    with pytest.raises(DeclarationError):
        fire(ledger, "retrain", timedelta(0), AT, actor="loop")
