"""Makes versions ready to answer, each by the loader of its kind.

The watcher loads every version that a new routing table names before that table is put in force, so
a request never waits for a file and never meets a version that cannot answer. An asset with a version
that cannot be loaded is held back alone: it keeps the arms of an older table, if those can be loaded.

An artifact may run whatever code it holds, so a kind's loader is told whether the ledger vouches for the
version's artifacts. The table on disk has a checksum but no seal, and may name any blob.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from perdure.assets.version import Version
from perdure.core.errors import BadProject, not_found
from perdure.serve.boundary import contained
from perdure.serve.routing import RoutingTable, ServingTable, join_tables


class KindLoader(Protocol):
    """Makes a version of one kind of asset ready to answer."""

    def load(self, version: Version, *, trusted: bool) -> Any:
        """What answers, tried once where it can be.

        Args:
            version: whatever a pointer names: its asset may be none of the kind.
            trusted: the ledger holds the digest of every artifact of the version. If not, the version may have been
                named by a table that somebody edited: nothing that can run code is to be opened.

        Raises:
            Exception: it cannot answer; its asset is held back.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What came of loading a table."""

    serving: ServingTable
    """Of each asset the newest arms that could be loaded; an asset of which none could is not in it."""
    failures: Mapping[str, Exception]
    """Why the newest arms of an asset are not the ones in `serving`, by asset."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    version: Version
    servable: Any
    trusted: bool


class Loader:
    """Loads versions, and keeps those of the table in force so that a move loads only what is new.

    Args:
        kinds: kind of a version → what loads it.
        declared: asset → its kind, where that is known: no version of another kind is served under its name.
    """

    def __init__(self, kinds: Mapping[str, KindLoader], declared: Mapping[str, str] | None = None) -> None:
        self._kinds = kinds
        self._declared = declared or {}
        self._kept: dict[str, _Kept] = {}

    def load(self, table: RoutingTable, older: Sequence[RoutingTable] = (), *, known: Collection[str]) -> Loaded:
        """Every asset of `table`, ready, at the generation of `table`.

        What was loaded beside a failure is kept for the next try. Never raises: whatever loading one
        asset meets is its failure, which stops no other.

        Args:
            table: what is to be served.
            older: where the arms of an asset are taken from when its versions in `table` cannot be
                loaded; the first in which all of them can.
            known: digests of artifacts that the ledger holds now.
        """
        failures: dict[str, Exception] = {}
        chosen: dict[str, RoutingTable] = {}
        for asset in table.routes:
            for candidate in (each for each in (table, *older) if asset in each.routes):
                failure = contained(partial(self._keep_all, candidate, asset, known), _as_it_is)
                if failure is None:
                    chosen[asset] = candidate
                    break
                failures.setdefault(asset, failure)
        served = join_tables(chosen, table.generation)
        named = served.versions.keys() | table.versions.keys()
        self._kept = {name: kept for name, kept in self._kept.items() if name in named}
        servables = {name: self._kept[name].servable for name in served.versions}
        return Loaded(ServingTable(served, servables), failures)

    def _keep_all(self, table: RoutingTable, asset: str, known: Collection[str]) -> None:
        """Load every version of one asset.

        Raises:
            Exception: one of them cannot be loaded, or does not answer.
        """
        for arm in table.routes[asset].every_arm():
            self._keep(table.versions[arm.version], known)

    def _keep(self, version: Version, known: Collection[str]) -> None:
        """Load a version, unless it is here already and the ledger vouched for it then or cannot now either."""
        trusted = all(digest in known for digest in version.artifacts.values())
        kept = self._kept.get(version.id)
        if kept is None or kept.version != version or (trusted and not kept.trusted):
            self._check_kind(version)
            servable = self._kinds[version.kind].load(version, trusted=trusted)
            self._kept[version.id] = _Kept(version, servable, trusted)

    def _check_kind(self, version: Version) -> None:
        if version.kind not in self._kinds:
            raise not_found("kind of asset that is served", version.kind, self._kinds)
        declared = self._declared.get(version.asset, version.kind)
        if declared != version.kind:
            raise BadProject(
                f"Version {version.id} is of a {version.kind}, but {version.asset!r} is declared as a {declared}.",
                hint="Release a version of what is declared: perdure apply.",
                version=version.id,
            )


def _as_it_is(error: Exception) -> Exception:
    return error
