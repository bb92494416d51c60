"""Limits of searches where no gateway is: this process leases of the shared counters itself, and tells them twice a second what it used.

Where a route is declared the gateway's own allowance counts searches and calls alike, and nothing of this is made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from perdure.core.clock import machine_us
from perdure.core.errors import StoreError
from perdure.core.settings import LimitSettings
from perdure.serve.boundary import contained
from perdure.serve.gateway.allowance import Allowance
from perdure.stores.counters.protocols import Counters

log = logging.getLogger("perdure.serve")

_SYNC_S = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class LimitsCounted:
    """Where limits are counted, as compose says.

    Args:
        open_counters: opens the store that every worker shares.
        settings: the section `[limits]`.
        owner: names this process in what it keeps aside.
    """

    open_counters: Callable[[], Counters]
    settings: LimitSettings
    owner: str


class Lending:
    """The allowance of a process without a gateway, and the thread that shares it.

    Args:
        counted: where limits are counted.
        replay: time goes by the requests, so quota ends with their newest and not with the machine's clock.

    Raises:
        StoreError: the counters cannot be opened.
    """

    def __init__(self, counted: LimitsCounted, *, replay: bool) -> None:
        self.allowance = Allowance(counted.open_counters(), counted.owner, counted.settings)
        self._replay = replay
        self._newest_us = 0
        self._stopped = threading.Event()
        self._syncing: threading.Thread | None = None

    def note(self, now_us: int) -> None:
        """A request came at this domain time."""
        self._newest_us = max(self._newest_us, now_us)

    def start(self) -> None:
        """Begin to share what was used."""
        self._syncing = threading.Thread(target=self._sync, name="perdure-limits", daemon=True)
        self._syncing.start()

    def stop(self) -> None:
        """After the last answer: tell the rest, and give back what is left."""
        self._stopped.set()
        if self._syncing is not None:
            self._syncing.join()
        self.allowance.close(self._now_us())

    def _sync(self) -> None:
        while not self._stopped.wait(_SYNC_S):
            contained(lambda: self.allowance.sync(self._now_us()), _not_synced)

    def _now_us(self) -> int:
        return self._newest_us if self._replay else machine_us()


def _not_synced(error: Exception) -> None:
    """The next time comes; that the store is away the allowance knows, and says so to callers."""
    if not isinstance(error, StoreError):
        log.error("Limits of searches could not be shared (%s).", type(error).__name__, exc_info=error)
