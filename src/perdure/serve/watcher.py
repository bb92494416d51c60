"""Follows the ledger's pointers: reads, loads everything, swaps the whole routing table at once.

One thread, started with the server. It polls the ledger's sequence number, which is cheap, and reads
the pointers only when that number changed. Whatever goes wrong (ledger locked, gone or corrupt, a
blob that does not match, a version that cannot be loaded) leaves the table in force as it is, is
logged once, shown in `/readyz` and `/metrics`, and tried again. A server that starts without a
ledger takes the table that was kept on disk, without the models that only a pickle can answer; once
the ledger is read, nothing of the table on disk is in force any more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perdure.core.clock import monotonic_s
from perdure.core.errors import PerdureError
from perdure.serve.boundary import contained
from perdure.serve.live import Live
from perdure.serve.routing import RoutingTable, build_routes, version_ids
from perdure.serve.servable import Loader, ServingTable
from perdure.serve.table_file import read_table, write_table
from perdure.stores.ledger.protocols import Ledger, LedgerSession

log = logging.getLogger("perdure.serve")

_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class WatcherParts:
    """What the watcher works with. `open_ledger` opens read-only, and is called on the watcher's thread."""

    open_ledger: Callable[[], Ledger]
    loader: Loader
    live: Live
    models: Collection[str]
    table_path: Path
    poll_s: float


class Watcher:
    """Keeps `live` as new as the ledger."""

    def __init__(self, parts: WatcherParts) -> None:
        self._parts = parts
        self._ledger: Ledger | None = None
        self._seen: int | None = None
        self._kept: RoutingTable | None = None
        self._retry_at_s = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch, and return when the first look is over, whatever it found."""
        self._thread.start()
        self._looked.wait()

    def stop(self) -> None:
        """Stop watching; returns when the thread has ended."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._looked.set()
            self._stopped.wait(self._parts.poll_s)
        self._close_ledger()

    def look(self) -> None:
        """One look at the ledger; never raises. Cost: one read of the sequence number when nothing moved."""
        contained(self._look, self._failed)

    def _look(self) -> None:
        if self._ledger is None:
            self._ledger = self._parts.open_ledger()
        sequence = self._ledger.sequence()
        self._report(ledger_reachable=True)
        if sequence == self._seen and monotonic_s() < self._retry_at_s:
            return
        self._seen, self._retry_at_s = sequence, float("inf")
        self._follow(self._ledger)
        self._retry_s = _FIRST_RETRY_S
        self._report(last_error=None)

    def _follow(self, ledger: Ledger) -> None:
        """Put the pointers in force, and keep the table on disk; each is done only while it is not done."""
        serving = self._parts.live.serving
        known: frozenset[str] = frozenset()
        with ledger.read() as session:
            generation = session.pointers.generation()
            routes = build_routes(session.pointers.list(), self._parts.models)
            # A table from disk is never taken for the ledger's: its versions may be anything.
            in_force = serving.table if serving is not None and self._parts.live.status.source == "ledger" else None
            # Routes are compared too: the ledger may have been replaced by another one.
            if in_force is not None and (generation, routes) == (in_force.generation, in_force.routes):
                table = in_force
            else:
                versions = {name: session.registry.get_version(name) for name in sorted(version_ids(routes))}
                table = RoutingTable(generation, routes, versions)
                known = _known_artifacts(session, table)
        if table is not in_force:
            serving = self._parts.loader.load(table, known=known)
            self._put_in_force(serving, last_error=None, source="ledger", left_out={})
        if table is not self._kept:
            write_table(self._parts.table_path, table)
            self._kept = table
        self._report(source="ledger")

    def _put_in_force(self, serving: ServingTable, **changes: Any) -> None:
        live = self._parts.live
        self._report(n_swaps=live.status.n_swaps + 1, **changes)
        live.serving = serving
        log.info("The routing table of generation %d is in force.", serving.table.generation)

    def _failed(self, error: Exception) -> None:
        live = self._parts.live
        if self._parts.live.status.last_error is None:
            log.warning("The routing table stays as it is: %s", error, exc_info=not isinstance(error, PerdureError))
        reachable = self._still_reachable()
        if reachable:  # then loading failed, which is costly to try
            self._retry_at_s, self._retry_s = monotonic_s() + self._retry_s, min(self._retry_s * 2, _LAST_RETRY_S)
        else:
            self._seen = None
        self._report(ledger_reachable=reachable, last_error=_as_dict(error), n_errors=live.status.n_errors + 1)
        if live.serving is None or (reachable and live.status.left_out):
            contained(self._take_kept_table, lambda kept: log.warning("No table to serve from yet: %s", kept))

    def _still_reachable(self) -> bool:
        """Whether the ledger answers after a failure; if not it is closed, to be opened anew."""
        ledger = self._ledger
        reachable = ledger is not None and contained(lambda: ledger.sequence() >= 0, lambda _: False)
        if not reachable:
            self._close_ledger()
        return reachable

    def _take_kept_table(self) -> None:
        table = read_table(self._parts.table_path, self._parts.models)
        known: frozenset[str] = frozenset()
        ledger = self._ledger
        if ledger is not None:  # it can be read, but what it names now cannot be loaded
            with ledger.read() as session:
                known = _known_artifacts(session, table)
        serving, left_out = self._parts.loader.load_allowed(table, known=known)
        for error in left_out.values():
            log.warning("Not served from the table on disk: %s", error)
        reasons = {model: error.as_dict() for model, error in left_out.items()}
        self._put_in_force(serving, source="disk", left_out=reasons)

    def _close_ledger(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            contained(ledger.close, lambda error: log.warning("The ledger could not be closed: %s", error))

    def _report(self, **changes: Any) -> None:
        live = self._parts.live
        live.status = replace(live.status, **changes)


def _known_artifacts(session: LedgerSession, table: RoutingTable) -> frozenset[str]:
    """The digests among those of the table's versions that the ledger holds."""
    named = {digest for version in table.versions.values() for digest in version.artifacts.values()}
    return frozenset(digest for digest in named if session.registry.find_artifact(digest) is not None)


def _as_dict(error: Exception) -> dict[str, Any]:
    if isinstance(error, PerdureError):
        return error.as_dict()
    return {
        "code": "internal",
        "message": f"{type(error).__name__}: {error}",
        "hint": "See the server's log.",
        "facts": {},
    }
