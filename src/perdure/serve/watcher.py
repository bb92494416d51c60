"""Follows the ledger's pointers and keys: reads, loads everything, swaps the whole routing table at once.

One thread, started with the server. It polls the ledger's sequence number, which is cheap, and reads
the pointers only when that number changed. A ledger that is locked, gone or corrupt leaves the table
in force as it is, and the keys too. A version that cannot be loaded (a blob that does not match, another
contract) holds back its asset alone, which keeps the arms it had; the others move on. Either is logged
once, shown in `/readyz` and `/metrics`, and tried again. A server that starts without a ledger takes the
table that was kept on disk, without the models that only a pickle can answer; once the ledger is read,
nothing of that table is in force but arms of assets that are held back, by versions that the ledger knows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perdure.assets.version import Version
from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import NotFound, PerdureError
from perdure.serve.boundary import contained
from perdure.serve.gateway.keys import is_good
from perdure.serve.live import Live
from perdure.serve.loader import Loaded, Loader
from perdure.serve.routing import Route, RoutingTable, build_routes, join_tables, version_ids
from perdure.serve.table_file import read_kept, read_table, write_table
from perdure.stores.ledger.protocols import Key, Ledger, LedgerSession

log = logging.getLogger("perdure.serve")

_CHANGED = "changed/"
"""Cursors of retrieval sources, which the loop moves when one has changed."""
_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class WatcherParts:
    """What the watcher works with. `open_ledger` opens read-only, and is called on the watcher's thread."""

    open_ledger: Callable[[], Ledger]
    loader: Loader
    live: Live
    assets: Collection[str]
    """Names of what is served, of any kind."""
    table_path: Path
    poll_s: float
    outdated: Callable[[str], None] | None = None
    """Told the name of a source that changed, so that answers that rest on it are given no more."""


class Watcher:
    """Keeps `live` as new as the ledger."""

    def __init__(self, parts: WatcherParts) -> None:
        self._parts = parts
        self._ledger: Ledger | None = None
        self._seen: int | None = None
        self._newest: RoutingTable | None = None
        self._kept: tuple[RoutingTable, Mapping[str, Key]] | None = None
        self._keys_at: int | None = None
        self._sources: Mapping[str, Any] | None = None
        self._retry_at_s = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._hastened = False
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch, and return when the first look is over, whatever it found."""
        self._thread.start()
        self._looked.wait()

    def hasten(self) -> None:
        """Try at the next look again what could not be loaded: something that was waited for is there."""
        self._hastened = True

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
            self._ledger, self._keys_at = self._parts.open_ledger(), None
        sequence = self._ledger.sequence()
        self._report(ledger_reachable=True)
        hastened, self._hastened = self._hastened, False
        if sequence == self._seen and not hastened and monotonic_s() < self._retry_at_s:
            return
        self._seen, self._retry_at_s = sequence, float("inf")
        if self._follow(self._ledger):
            self._back_off()
        else:
            self._retry_s = _FIRST_RETRY_S
            self._report(last_error=None)

    def _follow(self, ledger: Ledger) -> bool:
        """Put keys and pointers in force, and keep them on disk; whether an asset could not be loaded.

        Each is done only while it is not done.
        """
        self._follow_keys(ledger)
        self._follow_sources(ledger)
        loaded = self._load_newest(ledger)
        if loaded is not None:
            self._put_in_force(loaded, source="ledger", **self._errors(loaded.failures))
        if self._newest is not None and (self._newest, self._parts.live.keys) != self._kept:
            keys = self._parts.live.keys
            write_table(self._parts.table_path, self._newest, keys.values())
            self._kept = self._newest, keys
        return loaded is not None and bool(loaded.failures)

    def _follow_keys(self, ledger: Ledger) -> None:
        """Read the keys when one of them changed; those that are revoked or over are none."""
        with ledger.read() as session:
            generation = session.keys.generation()
            if generation == self._keys_at:
                return
            keys = session.keys.list()
        now = machine_now()
        self._parts.live.keys = {key.digest: key for key in keys if is_good(key, now)}
        self._keys_at = generation

    def _follow_sources(self, ledger: Ledger) -> None:
        """Tell of sources that changed since the last look; what is cached begins with the first one."""
        if self._parts.outdated is None:
            return
        with ledger.read() as session:
            sources = session.cursors.list(_CHANGED)
        before, self._sources = self._sources, sources
        if before is not None:
            for name in sources:
                if before.get(name) != sources[name]:
                    self._parts.outdated(name.removeprefix(_CHANGED))

    def _load_newest(self, ledger: Ledger) -> Loaded | None:
        """What the ledger's pointers name, loaded; None when all of it answers already."""
        with ledger.read() as session:
            generation = session.pointers.generation()
            routes = build_routes(session.pointers.list(), self._parts.assets)
            if self._is_in_force(generation, routes):
                return None
            versions = {name: session.registry.get_version(name) for name in sorted(version_ids(routes))}
            table, older = RoutingTable(generation, routes, versions), self._older(session, routes)
            known = _known_artifacts(session, (table, *older))
        loaded = self._parts.loader.load(table, older, known=known)
        self._newest = _completed(loaded, older)
        return loaded

    def _is_in_force(self, generation: int, routes: Mapping[str, Route]) -> bool:
        """Whether the ledger's pointers answer already, all of them."""
        serving, status = self._parts.live.serving, self._parts.live.status
        # A table from disk is never taken for the ledger's: its versions may be anything.
        if serving is None or status.source != "ledger" or status.held_back or status.left_out:
            return False
        # Routes are compared too: the ledger may have been replaced by another one.
        return (generation, routes) == (serving.table.generation, serving.table.routes)

    def _older(self, session: LedgerSession, routes: Mapping[str, Route]) -> list[RoutingTable]:
        """Where an asset finds arms when its new ones cannot be loaded: the table in force, then the one on disk."""
        serving, tables = self._parts.live.serving, []
        if serving is not None:
            from_disk = self._parts.live.status.source == "disk"
            tables.append(_vouched(session, serving.table) if from_disk else serving.table)
        if serving is None or not routes.keys() <= serving.table.routes.keys():
            kept = contained(lambda: read_table(self._parts.table_path, self._parts.assets), lambda _: None)
            tables += [_vouched(session, kept)] if kept is not None else []
        return tables

    def _errors(self, failures: Mapping[str, Exception]) -> dict[str, Any]:
        """What the status says of assets that could not be loaded from the ledger's table."""
        first = next(iter(failures.values()), None)
        if first is None:
            return {"last_error": None}
        return {"last_error": _as_dict(first), "n_errors": self._parts.live.status.n_errors + 1}

    def _put_in_force(self, loaded: Loaded, **changes: Any) -> None:
        live, serving = self._parts.live, loaded.serving
        status, before = live.status, live.serving
        told = {**status.held_back, **status.left_out}
        reasons = {asset: _as_dict(error) for asset, error in loaded.failures.items()}
        for asset, error in loaded.failures.items():
            if told.get(asset) != reasons[asset]:
                trace = None if isinstance(error, PerdureError) else error
                log.warning("The newest versions of %s are not served: %s", asset, error, exc_info=trace)
        held_back = {asset: why for asset, why in reasons.items() if asset in serving.table.routes}
        left_out = {asset: why for asset, why in reasons.items() if asset not in held_back}
        self._report(held_back=held_back, left_out=left_out, **changes)
        if before is None or (before.table, before.servables) != (serving.table, serving.servables):
            self._report(n_swaps=status.n_swaps + 1)
            live.serving = serving
            log.info("The routing table of generation %d is in force.", serving.table.generation)

    def _failed(self, error: Exception) -> None:
        live = self._parts.live
        if live.status.last_error is None:
            log.warning("The routing table stays as it is: %s", error, exc_info=not isinstance(error, PerdureError))
        reachable, is_due = self._still_reachable(), monotonic_s() >= self._retry_at_s
        if not reachable:
            self._seen = None
        self._report(ledger_reachable=reachable, last_error=_as_dict(error), n_errors=live.status.n_errors + 1)
        partly = live.status.source == "disk" and bool(live.status.left_out)
        if live.serving is None or (partly and is_due):
            contained(self._take_kept_table, lambda kept: log.warning("No table to serve from yet: %s", kept))
        if reachable or is_due:  # what failed, or loading from disk, is costly to try
            self._back_off()

    def _back_off(self) -> None:
        self._retry_at_s, self._retry_s = monotonic_s() + self._retry_s, min(self._retry_s * 2, _LAST_RETRY_S)

    def _still_reachable(self) -> bool:
        """Whether the ledger answers after a failure; if not it is closed, to be opened anew."""
        ledger = self._ledger
        reachable = ledger is not None and contained(lambda: ledger.sequence() >= 0, lambda _: False)
        if not reachable:
            self._close_ledger()
        return reachable

    def _take_kept_table(self) -> None:
        table, keys = read_kept(self._parts.table_path, self._parts.assets)
        if self._keys_at is None:  # else the ledger told them, and only its pointers cannot be read
            self._parts.live.keys = keys
        self._put_in_force(self._parts.loader.load(table, known=frozenset()), source="disk")

    def _close_ledger(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            contained(ledger.close, lambda error: log.warning("The ledger could not be closed: %s", error))

    def _report(self, **changes: Any) -> None:
        live = self._parts.live
        live.status = replace(live.status, **changes)


def _known_artifacts(session: LedgerSession, tables: Iterable[RoutingTable]) -> frozenset[str]:
    """The digests among those of the tables' versions that the ledger holds."""
    versions = (version for table in tables for version in table.versions.values())
    named = {digest for version in versions for digest in version.artifacts.values()}
    return frozenset(digest for digest in named if session.registry.find_artifact(digest) is not None)


def _vouched(session: LedgerSession, table: RoutingTable) -> RoutingTable:
    """What the ledger knows of a table from disk: its versions as the ledger has them, and routes of such only."""
    versions: dict[str, Version] = {}
    for name in table.versions:
        with suppress(NotFound):
            versions[name] = session.registry.get_version(name)
    routes = {
        asset: route
        for asset, route in table.routes.items()
        if all(arm.version in versions and versions[arm.version].asset == asset for arm in route.every_arm())
    }
    return RoutingTable(table.generation, routes, versions)


def _completed(loaded: Loaded, older: Iterable[RoutingTable]) -> RoutingTable:
    """The table to keep on disk: what is in force, and of assets that cannot be served now the arms they had."""
    table = loaded.serving.table
    chosen = dict.fromkeys(table.routes, table)
    for candidate in older:
        for asset in loaded.failures.keys() & candidate.routes.keys():
            chosen.setdefault(asset, candidate)
    return join_tables(chosen, table.generation)


def _as_dict(error: Exception) -> dict[str, Any]:
    if isinstance(error, PerdureError):
        return error.as_dict()
    return {
        "code": "internal",
        "message": f"{type(error).__name__}: {error}",
        "hint": "See the server's log.",
        "facts": {},
    }
