"""Makes versions of indexes ready to be searched, and keeps each as new as its store: a thread a version, which ends with it.

A large index is read in that thread too, so whoever loads a table is not held up for the other assets in it: he is told that this one is
not ready, asks again, and is called as soon as it is.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from perdure.assets.index import Index
from perdure.assets.version import Version
from perdure.core.clock import monotonic_s
from perdure.core.errors import MissingExtra, NotReady, PerdureError, not_found
from perdure.engines.retrieval.protocols import Embedder
from perdure.serve.boundary import contained
from perdure.serve.retrieval.comparing import Round
from perdure.serve.retrieval.held import HeldParts, ServedIndex
from perdure.stores.vectors.protocols import IndexStore

log = logging.getLogger("perdure.serve")

PATIENCE_S = 1.0
"""So long a load waits for a version that it has just begun; a few thousand chunks are there within it."""
_FORGOTTEN_S = 600.0
LONGEST_POLL_S = 0.2
"""A generation is found within a second of its being written, whatever else is polled how often."""


class OpensServed(Protocol):
    """Opens what a served version needs; compose says how."""

    def index(self, name: str, version: str) -> Index:
        """The index as one of its versions has it.

        Raises:
            NotFound, BadIndex: there is no such version, or it is of a function that is not declared any more.
        """
        ...

    def store(self, name: str, version: str) -> IndexStore:
        """The version's store, to be read only.

        Raises:
            StoreError, NotReady: it is not there, or cannot be read.
        """
        ...

    def path(self, name: str, version: str) -> Path | None:
        """File of the version's record; None: there is none."""
        ...

    def embedder(self, index: Index) -> Embedder:
        """What embeds questions.

        Raises:
            MissingExtra, NotReady: there is none here.
        """
        ...


@dataclass(slots=True, eq=False)
class IndexLoader:
    """Loads versions of the declared indexes.

    Args:
        indexes: as they are declared, by name.
        opens: opens what a version needs.
        poll_s: how often a store is asked for its generation.
        moved: told the name of an index of which another generation is in force.
        compared: told index, version and what a round found that held memory against the store.
        ready: called when a version was read whole that somebody was told to wait for, or failed.
    """

    indexes: Mapping[str, Index]
    opens: OpensServed
    poll_s: float
    moved: Callable[[str], None] | None = None
    compared: Callable[[str, str, Round], None] | None = None
    ready: Callable[[], None] | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _under_way: dict[str, _Load] = field(default_factory=dict)

    def load(self, version: Version, *, trusted: bool) -> ServedIndex:  # noqa: ARG002 - nothing in a store is run
        """The version with its newest generation in memory, which follows its store from now on.

        Raises:
            NotFound: its asset is no declared index.
            StoreError, NotReady: its store is not there, or cannot be read; or it is being read, and takes longer than a second.
            BadIndex: it is of a function that is not declared any more.
        """
        if version.asset not in self.indexes:
            raise not_found("index", version.asset, self.indexes)
        self._forget()
        load = self._under_way.get(version.id)
        if load is None:
            load = self._under_way[version.id] = _Load(partial(self._read, version))
            threading.Thread(target=load.run, name=f"perdure-index-{version.asset}", daemon=True).start()
            load.done.wait(PATIENCE_S)
        load.told = self.ready
        if not load.done.is_set():
            raise NotReady(
                f"Version {version.id} is being read into memory.",
                hint="Ask again in a while; other assets are served.",
            )
        del self._under_way[version.id]
        served = load.result()
        follower = threading.Thread(
            target=_follow,
            args=(weakref.ref(served), min(self.poll_s, LONGEST_POLL_S), self._stopped),
            name=f"perdure-index-{version.asset}",
            daemon=True,
        )
        follower.start()
        return served

    def _read(self, version: Version) -> ServedIndex:
        index = self.opens.index(version.asset, version.id)
        parts = HeldParts(
            index,
            version.id,
            partial(self.opens.store, version.asset, version.id),
            self._embedder(index),
            path=self.opens.path(version.asset, version.id),
            moved=self.moved,
            compared=self.compared,
        )
        return ServedIndex(parts)

    def _forget(self) -> None:
        """Let go of what was read and never asked for again, since another version was released meanwhile."""
        before_s = monotonic_s() - _FORGOTTEN_S
        self._under_way = {name: load for name, load in self._under_way.items() if not load.is_over_since(before_s)}

    def stop(self) -> None:
        """Follow no more."""
        self._stopped.set()

    def _embedder(self, index: Index) -> Embedder | PerdureError:
        try:
            return self.opens.embedder(index)
        except (MissingExtra, NotReady) as error:
            log.warning("Index %r is searched by words alone: %s", index.name, error)
            return error


class _Load:
    """A version that is being read in a thread of its own.

    Args:
        read: reads it.
    """

    def __init__(self, read: Callable[[], ServedIndex]) -> None:
        self._read = read
        self._found: ServedIndex | Exception | None = None
        self._over_s = 0.0
        self.done = threading.Event()
        self.told: Callable[[], None] | None = None
        """Called when it is over."""

    def run(self) -> None:
        """Read, whatever comes of it."""
        self._found = contained(self._read, _as_it_is)
        self._over_s = monotonic_s()
        self.done.set()
        if self.told is not None:
            self.told()

    def is_over_since(self, before_s: float) -> bool:
        """Whether it was over before an instant of the monotonic clock."""
        return self.done.is_set() and self._over_s < before_s

    def result(self) -> ServedIndex:
        """What was read.

        Raises:
            Exception: what reading it met.
        """
        assert self._found is not None
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def _as_it_is(error: Exception) -> Exception:
    return error


def _follow(of: weakref.ref[ServedIndex], poll_s: float, stopped: threading.Event) -> None:
    """Look after a version until nobody holds it any more."""
    while not stopped.wait(poll_s):
        served = of()
        if served is None:
            return
        contained(served.follow, served.failed)
        contained(served.lighten, served.failed)
        contained(served.compare, served.failed)
        del served
