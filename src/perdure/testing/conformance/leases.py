"""What every `Leases` guarantees, and how they fence a ledger. Subclass it and give the two fixtures:

    class TestMyLeases(LeasesConformance):
        @pytest.fixture
        def ledger(self, tmp_path):
            return MyLedger(tmp_path / "ledger", project="conformance")

        @pytest.fixture
        def leases(self, ledger):
            return ledger.leases

Leases run on the machine's clock, so a few tests wait for some hundredths of a second. Needs pytest only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from perdure.core.clock import sleep_s
from perdure.core.errors import LostLease
from perdure.stores.ledger.protocols import Lease, Leases, Ledger
from perdure.testing.conformance.ledger_records import AT, LedgerFixture, a_version

LONG_S = 600.0
"""A time to live that no test outlives."""
SHORT_S = 0.02
"""A time to live that `_let_expire` outlives."""


class LeasesConformance(LedgerFixture):
    """All that leases guarantee, and the fence of the ledger that they belong to."""

    @pytest.fixture
    def leases(self) -> Leases:
        """The leases that fence `ledger`, all free."""
        pytest.fail("Override the fixture `leases` with one that returns the leases of the fixture `ledger`.")

    def test_a_free_lease_is_given(self, leases: Leases) -> None:
        """With the name, the owner, and an epoch above zero."""
        lease = _acquired(leases, "ana")
        assert (lease.name, lease.owner) == ("loop", "ana")
        assert lease.epoch > 0
        assert leases.holder("loop") == "ana"

    def test_a_held_lease_is_not_given_to_another(self, leases: Leases) -> None:
        """It stays with its holder; another name is another lease."""
        _acquired(leases, "ana")
        assert leases.acquire("loop", "bo", LONG_S) is None
        assert leases.holder("loop") == "ana"
        assert leases.acquire("drain", "bo", LONG_S) is not None

    def test_acquiring_again_keeps_the_epoch(self, leases: Leases) -> None:
        """The holder does not fence itself off."""
        assert _acquired(leases, "ana") == _acquired(leases, "ana")

    def test_an_expired_lease_goes_to_the_next_with_a_greater_epoch(self, leases: Leases) -> None:
        """And the old holder can neither renew nor give back what is not its own any more."""
        old = _acquired(leases, "ana", SHORT_S)
        _let_expire()
        assert leases.holder("loop") is None
        new = _acquired(leases, "bo")
        assert new.epoch > old.epoch
        assert not leases.renew(old, LONG_S)
        leases.release(old)
        assert leases.holder("loop") == "bo"

    def test_renewing_pushes_the_expiry(self, leases: Leases) -> None:
        """A short lease lives on."""
        lease = _acquired(leases, "ana", SHORT_S)
        assert leases.renew(lease, LONG_S)
        _let_expire()
        assert leases.acquire("loop", "bo", LONG_S) is None

    def test_an_expired_lease_that_nobody_took_can_be_renewed(self, leases: Leases) -> None:
        """Nobody else can have worked under it."""
        lease = _acquired(leases, "ana", SHORT_S)
        _let_expire()
        assert leases.renew(lease, LONG_S)
        assert leases.holder("loop") == "ana"

    def test_a_released_lease_is_free_and_its_epoch_never_comes_back(self, leases: Leases) -> None:
        """Also for the same owner: what was given back is over."""
        first = _acquired(leases, "ana")
        leases.release(first)
        assert leases.holder("loop") is None
        assert not leases.renew(first, LONG_S)
        second = _acquired(leases, "ana")
        assert second.epoch > first.epoch

    def test_nobody_holds_an_unknown_lease(self, leases: Leases) -> None:
        """Asking does not make it."""
        assert leases.holder("never") is None
        assert not leases.renew(Lease("never", "ana", 1), LONG_S)

    def test_only_one_of_many_gets_it(self, leases: Leases) -> None:
        """However many ask at once."""
        with ThreadPoolExecutor(6) as threads:
            given = list(threads.map(lambda number: leases.acquire("loop", f"worker {number}", LONG_S), range(12)))
        assert len([lease for lease in given if lease is not None]) == 1

    def test_the_holder_writes(self, ledger: Ledger, leases: Leases) -> None:
        """A current lease opens the transaction."""
        lease = _acquired(leases, "ana")
        with ledger.transaction(actor="ana", at=AT, lease=lease) as session:
            session.registry.put_version(a_version(1))
        assert ledger.sequence() == 1

    def test_an_expired_lease_that_nobody_took_still_writes(self, ledger: Ledger, leases: Leases) -> None:
        """A slow worker alone harms nobody."""
        lease = _acquired(leases, "ana", SHORT_S)
        _let_expire()
        with ledger.transaction(actor="ana", at=AT, lease=lease) as session:
            session.registry.put_version(a_version(1))
        assert ledger.sequence() == 1

    def test_a_taken_lease_writes_nothing(self, ledger: Ledger, leases: Leases) -> None:
        """The old holder's block is not even entered."""
        old = _acquired(leases, "ana", SHORT_S)
        _let_expire()
        new = _acquired(leases, "bo")
        with pytest.raises(LostLease, match="bo"), ledger.transaction(actor="ana", at=AT, lease=old):
            pytest.fail("The block of a lost lease was entered.")
        with ledger.transaction(actor="bo", at=AT, lease=new) as session:
            session.registry.put_version(a_version(2))
        assert ledger.sequence() == 1

    def test_neither_a_released_nor_an_invented_lease_writes(self, ledger: Ledger, leases: Leases) -> None:
        """Name, owner and epoch must all be the present ones."""
        released = _acquired(leases, "ana")
        leases.release(released)
        held = _acquired(leases, "ana")
        invented = [
            released,
            replace(held, name="drain"),
            replace(held, owner="bo"),
            replace(held, epoch=held.epoch + 1),
        ]
        for lease in invented:
            with pytest.raises(LostLease), ledger.transaction(actor="ana", at=AT, lease=lease) as session:
                session.registry.put_version(a_version(1))
        assert ledger.sequence() == 0


def _acquired(leases: Leases, owner: str, ttl_s: float = LONG_S) -> Lease:
    lease = leases.acquire("loop", owner, ttl_s)
    assert lease is not None
    return lease


def _let_expire() -> None:
    sleep_s(SHORT_S * 2)
