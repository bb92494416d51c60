"""What is in force: written by the watcher's thread, read by every request.

All fields are replaced whole, never changed in place, so a reader needs no lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perdure.serve.routing import ServingTable
from perdure.stores.ledger.protocols import Key


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """How the watching goes."""

    ledger_reachable: bool = False
    source: str = ""
    """Where the table in force came from: `ledger` or `disk`; empty before the first."""
    last_error: Mapping[str, Any] | None = None
    """The newest error while it lasts, as it goes over HTTP."""
    held_back: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Assets that older arms answer, because the newest cannot be loaded, with the error that tells why."""
    left_out: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Assets that are released but not served, because none of their arms can be loaded, with the error."""
    n_swaps: int = 0
    n_errors: int = 0


@dataclass(slots=True)
class Live:
    """The table in force, the callers' keys, and the state of the watch."""

    serving: ServingTable | None = None
    status: WatchStatus = field(default_factory=WatchStatus)
    keys: Mapping[str, Key] = field(default_factory=dict)
    """Digest of the secret → key, of those that may be used; whether one has expired is seen at use."""

    @property
    def generation(self) -> int:
        """Generation of the table in force; 0 before the first."""
        return self.serving.table.generation if self.serving else 0
