"""Reads stored features for the scoring path, and goes on without them when the store fails.

A row whose features cannot be read is answered as if they were missing, with that status in the
answer and the capture; the failure is counted. A store that failed is opened anew at most once a second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from perdure.core.clock import monotonic_s
from perdure.core.errors import StoreError
from perdure.serve.metrics import Counters
from perdure.stores.online.protocols import Online, OnlineRow

log = logging.getLogger("perdure.serve")

Lookups = Mapping[str, Sequence[str | None]]
Found = Mapping[str, Mapping[str, OnlineRow]]
_RETRY_S = 1.0


class OnlineReader:
    """Opens the online store on the serving thread, when first needed."""

    def __init__(self, open_online: Callable[[], Online], counters: Counters) -> None:
        self._open = open_online
        self._counters = counters
        self._online: Online | None = None
        self._retry_at_s = 0.0

    def read(self, lookups: Lookups) -> Found:
        """The rows by view version and key; none when the store fails. A key of None has no row."""
        if self._online is None:
            if monotonic_s() < self._retry_at_s:
                self._counters.online_errors += 1
                return {}
            try:
                self._online = self._open()
            except StoreError as error:
                return self._failed(error)
        online = self._online
        try:
            return {view: online.get(view, _distinct(keys)) for view, keys in lookups.items()}
        except StoreError as error:
            self.close()
            return self._failed(error)

    def _failed(self, error: StoreError) -> Found:
        log.warning("The online store cannot be read, so stored features are missing: %s", error)
        self._counters.online_errors += 1
        self._retry_at_s = monotonic_s() + _RETRY_S
        return {}

    def close(self) -> None:
        """Close the store; the next read opens it again."""
        if self._online is not None:
            self._online.close()
            self._online = None


def _distinct(keys: Sequence[str | None]) -> Sequence[str]:
    """Each key once: the rows of a large request share most of theirs."""
    return [key for key in dict.fromkeys(keys) if key is not None]
