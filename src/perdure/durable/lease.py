"""Holding a lease while work is done: taken, renewed by a thread of its own, given back.

Used by every worker that must be alone: the control plane's rounds, the drain. Two guards, one
cheap and one final: `check()` between steps stops a worker that lost its lease, and the fence of
`Ledger.transaction(lease=...)` refuses what such a worker would still write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import LeaseHeld, LostLease, StoreError
from perdure.stores.ledger.protocols import Lease, Leases

_RENEWALS_A_TTL = 3
"""Two renewals may fail before the lease runs out."""
_LONGEST_POLL_S = 0.25


class HeldLease:
    """A lease in our hands. Made by `hold`."""

    def __init__(self, leases: Leases, lease: Lease, ttl_s: float, taken_s: float) -> None:
        self.lease = lease
        """What `Ledger.transaction` takes."""
        self._leases = leases
        self._ttl_s = ttl_s
        self._sure_until_s = taken_s + ttl_s
        self._taken_away = False

    @property
    def lost(self) -> bool:
        """True when it went to somebody else, or when it is not sure to be ours: it could not be renewed in time."""
        return self._taken_away or monotonic_s() >= self._sure_until_s

    def check(self) -> None:
        """Go on only while the lease is ours. Costs less than a microsecond.

        Raises:
            LostLease: it is lost.
        """
        if self.lost:
            raise LostLease(
                f"The lease {self.lease.name!r} of {self.lease.owner!r} at epoch {self.lease.epoch} is lost.",
                hint="Stop this work: whoever holds the lease goes on with it.",
                lease=self.lease.name,
                epoch=self.lease.epoch,
            )

    def renew(self) -> bool:
        """Push the expiry now; False when the lease is somebody else's. The thread of `hold` does so by itself."""
        asked_s = monotonic_s()
        if self._leases.renew(self.lease, self._ttl_s):
            self._sure_until_s = asked_s + self._ttl_s
        else:
            self._taken_away = True
        return not self._taken_away


@contextmanager
def hold(leases: Leases, name: str, owner: str, ttl_s: float, *, wait_s: float = 0.0) -> Iterator[HeldLease]:
    """Hold a lease for the length of a block.

    Args:
        leases: where it is kept.
        name: what is to be done alone.
        owner: this worker, a name that no other living worker has.
        ttl_s: a worker that is silent so long loses it; renewed every third of it.
        wait_s: how long to wait for its present holder.

    Raises:
        LeaseHeld: another worker still held it after `wait_s`.
    """
    held = _acquire(leases, name, owner, ttl_s, wait_s)
    done = Event()
    renewing = Thread(target=_renew_until, args=(done, held, ttl_s), name=f"lease {name}", daemon=True)
    renewing.start()
    try:
        yield held
    finally:
        done.set()
        renewing.join()
        # The work is done; a lease that cannot be given back runs out by itself.
        with suppress(StoreError):
            leases.release(held.lease)


def _renew_until(done: Event, held: HeldLease, ttl_s: float) -> None:
    while not done.wait(ttl_s / _RENEWALS_A_TTL):
        # A locked ledger is tried again at the next turn; until then `lost` goes by the time.
        with suppress(StoreError):
            if not held.renew():
                return


def _acquire(leases: Leases, name: str, owner: str, ttl_s: float, wait_s: float) -> HeldLease:
    deadline_s = monotonic_s() + wait_s
    while True:
        asked_s = monotonic_s()
        lease = leases.acquire(name, owner, ttl_s)
        if lease is not None:
            return HeldLease(leases, lease, ttl_s, asked_s)
        left_s = deadline_s - monotonic_s()
        if left_s <= 0.0:
            holder = leases.holder(name)
            raise LeaseHeld(
                f"The lease {name!r} is held by {holder!r}: another worker is at work.",
                hint="Leave the work to it, or wait until it is done.",
                delay_s=ttl_s / _RENEWALS_A_TTL,
                lease=name,
                holder=holder,
            )
        sleep_s(min(left_s, ttl_s / 10, _LONGEST_POLL_S))
