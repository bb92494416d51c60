"""Verbs of indexes: build, sync, census, plan, repair, and what is in them.

A version is named by its id or the beginning of it, by `champion`, or as `declared`: what the code says now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.core.clock import from_us, to_us
from perdure.core.errors import BadRequest, NotFound, NotReady, StoreError
from perdure.surface.governance.entries import by_beginning
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    from perdure.engines.retrieval.skew import Census, ResyncPlan
    from perdure.loop.protocols import Workplace
    from perdure.loop.work.indexes.kept import Resynced
    from perdure.loop.work.indexes.resyncing import Progress
    from perdure.stores.vectors.protocols import Generation, IndexStore
    from perdure.surface.compose_indexes import ProjectIndexes
    from perdure.surface.index_found import FoundChunk

DECLARED = "declared"
_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One index, as `index list` tells it."""

    name: str
    source: str
    """Kind of its source of documents."""
    embedder: str
    declared: str
    """The version that it is declared to be."""
    champion: str
    """The version that answers; empty before the first release."""
    generation: int
    n_documents: int
    n_chunks: int
    seen_at: datetime | None
    """When its source was listed for what is in it; None: nothing is in it."""
    census: Census | None
    """The newest of the version that answers."""
    damage: str = ""
    """Why its store cannot be read; empty: it can."""
    built: bool = False
    """Whether it has a store; one without a generation is empty."""


@dataclass(frozen=True, slots=True)
class IndexShown:
    """One version of an index with what is in it."""

    name: str
    version: str
    generation: Generation
    census: Census | None
    resync: Resynced | None
    troubles: dict[str, str]
    """Document → code of what keeps it from being indexed."""
    file: str
    """Where its record lies."""
    built: bool = False
    """Whether it lies there; without a generation it is empty."""


class Indexing(Opened):
    """Indexes of a project."""

    def list_indexes(self) -> list[IndexRow]:
        """Every declared index, with what is in the version that answers, else in the one that is declared."""
        from perdure.loop.work.indexes.kept import newest_census
        from perdure.stores.vectors.protocols import Generation

        rows = []
        for name, index in self.project.indexes.items():
            declared, champion = self._indexes.declared(name), self._index_champion(name)
            version = champion or declared
            newest, damage = Generation(0, 0), ""
            try:
                newest = self._index_generation(name, version)
            except StoreError as error:
                damage = error.message
            rows.append(
                IndexRow(
                    name=name,
                    source=type(index.documents).__name__,
                    embedder=type(index.embedder).__name__,
                    declared=declared,
                    champion=champion,
                    generation=newest.number,
                    n_documents=newest.n_documents,
                    n_chunks=newest.n_chunks,
                    seen_at=from_us(newest.seen_us) if newest.number else None,
                    census=newest_census(self.place, name, version),
                    damage=damage,
                    built=self._indexes.path(name, version).exists(),
                )
            )
        return rows

    def show_index(self, name: str, version: str = "") -> IndexShown:
        """A version of an index: its generation, its newest census and resync, documents in trouble.

        Args:
            name: of the index.
            version: an id or its beginning, `champion` or `declared`; by default what answers, else what is declared.

        Raises:
            NotFound: no such index or version.
        """
        from perdure.loop.work.indexes.kept import newest_census, newest_resync

        found = self._index_version(name, version)
        with self._index_read(name, found) as store:
            rows = [] if store is None else list(store.documents())
        census = newest_census(self.place, name, found)
        # What could not even be listed whole, such as a link that leads out of a folder, is in no record.
        unlisted = {} if census is None else dict(census.troubles)
        for row in rows:
            unlisted.pop(row.id, None)
        return IndexShown(
            name=name,
            version=found,
            generation=self._index_generation(name, found),
            census=census,
            resync=newest_resync(self.place, name, found),
            troubles={**{row.id: row.trouble for row in rows if row.trouble}, **unlisted},
            file=str(self._indexes.path(name, found)),
            built=self._indexes.path(name, found).exists(),
        )

    def build_index(
        self,
        name: str,
        version: str = DECLARED,
        *,
        anew: bool = False,
        at: When = None,
        progress: Callable[[Progress], None] | None = None,
        processes: int = 1,
    ) -> Resynced:
        """Fill a version, by default the declared one, with what its source has now; one that was begun goes on.

        Args:
            name: of the index.
            version: an id or its beginning, `champion` or `declared`.
            anew: beside what is there, which it replaces when it is whole: for a store that is damaged.
            at: domain time.
            progress: hears how far it is.
            processes: that embed texts beside one another; 1: this one alone.

        Raises:
            NotFound: no such index or version.
            StoreError: its source does not answer.
            LeaseHeld: another process fills it.
            NotReady: a process that embeds ended; vectors that were made are kept.
            BadIndex: other processes are to embed by a function that they cannot find.
        """
        found, opens = self._index_version(name, version), self._indexes_with(processes)
        if not anew:
            return self._synced(opens, name, [found], at, progress, allow_deletion=False)[0]
        from perdure.loop.work.indexes.resyncing import rebuild

        with self._index_place(name) as place:
            return rebuild(place, opens, name, found, to_us(instant_of(at)), progress)

    def sync_index(
        self,
        name: str,
        *,
        allow_deletion: bool = False,
        at: When = None,
        progress: Callable[[Progress], None] | None = None,
        processes: int = 1,
    ) -> list[Resynced]:
        """Make every version that is kept filled what its source says now, by tokens; a census looks at chunks too.

        Args:
            name: of the index.
            allow_deletion: yes, what is gone at the source is gone for good, however much it is.
            at: domain time.
            progress: hears how far it is.
            processes: that embed texts beside one another; 1: this one alone.

        Raises: as `build_index`.
        """
        from perdure.loop.work.indexes.following import followed

        versions = followed(self.place, name, self._index_versions(name))
        opens = self._indexes_with(processes)
        return self._synced(opens, name, versions, at, progress, allow_deletion=allow_deletion)

    def census_index(self, name: str, version: str = "", *, deep: bool = False, at: When = None) -> Census:
        """Hold source, record and index against each other, and keep what was found; nothing is repaired.

        Args:
            name: of the index.
            version: as of `show_index`.
            deep: read every document and embed every chunk anew.
            at: domain time.

        Raises:
            NotFound: no such index or version, or nothing was built of it.
        """
        from perdure.loop.work.indexes.counting import take_census
        from perdure.loop.work.indexes.kept import keep_census

        found = self._index_version(name, version)
        self._refuse_unbuilt(name, found)
        with self._indexes.open(name, found) as opened:
            return keep_census(self.place, take_census(opened, to_us(instant_of(at)), deep))

    def plan_index(self, name: str, version: str = "", *, deep: bool = False, at: When = None) -> ResyncPlan:
        """What a repair would do, by a new census; nothing is done.

        Raises: as `census_index`.
        """
        from perdure.engines.retrieval.planning import make_plan

        census = self.census_index(name, version, deep=deep, at=at)
        return make_plan(census, most_deleted=self.project.index(name).most_deleted)

    def repair_index(
        self,
        name: str,
        version: str = "",
        *,
        deep: bool = False,
        at: When = None,
        progress: Callable[[Progress], None] | None = None,
        processes: int = 1,
    ) -> Resynced:
        """Take a census, do the least that mends what it finds, and look again.

        Raises: as `census_index` and `build_index`.
        """
        from perdure.loop.work.indexes.resyncing import run_plan

        plan, found = self.plan_index(name, version, deep=deep, at=at), self._index_version(name, version)
        now, opens = to_us(instant_of(at)), self._indexes_with(processes)
        with self._index_place(name) as place, opens.open(name, found) as opened:
            return run_plan(place, opened, plan, now, "by hand", progress)

    def index_history(self, name: str, version: str = "") -> list[Generation]:
        """Generations of a version that can still be asked, oldest first: when, why, how much.

        Raises: as `show_index`.
        """
        found = self._index_version(name, version)
        with self._index_read(name, found) as store:
            return [] if store is None else list(store.generations())

    def search_index(
        self, name: str, text: str = "", *, k: int = 10, as_of: When = None, picture: bytes | None = None
    ) -> list[FoundChunk]:
        """What a version finds by its store alone, exactly: vectors and words fused. Servers hold vectors in memory instead.

        Each chunk is checked as servers do: what is not what the record says is left out, or has its `skew` where the index marks it.

        Args:
            name: of the index.
            text: as a person asks.
            k: so many at most.
            as_of: as it stood then; None: now.
            picture: find what is like these bytes, of an embedder of pictures; `text` then finds by words alone.

        Raises:
            NotFound: no such index, nothing was built of it, or it was not there then.
            BadRequest: nothing is asked, or the index's embedder cannot read it.
        """
        from perdure.surface.index_found import found_in

        if not text.strip() and not picture:
            raise BadRequest("Nothing is asked.", hint="Say what to find, or give a picture.")
        version = self._index_version(name, "")
        self._refuse_unbuilt(name, version)
        with self._indexes.open(name, version) as opened:
            generation = self._index_as_of(opened.store.generations(), name, as_of)
            return found_in(opened, (text, picture), k, generation, past=as_of is not None)

    def _index_as_of(self, generations: Sequence[Generation], name: str, as_of: When) -> int:
        at_us = None if as_of is None else to_us(instant_of(as_of))
        found = [each.number for each in generations if at_us is None or each.at_us <= at_us]
        if not generations:
            raise NotFound(f"Nothing is in {name!r} yet.", hint=f"Fill it: perdure index build {name}")
        if not found:
            raise NotFound(f"Nothing of {name!r} is known of then.", hint=f"See: perdure index history {name}")
        return found[-1]

    def _synced(
        self,
        opens: ProjectIndexes,
        name: str,
        versions: Sequence[str],
        at: When,
        progress: Callable[[Progress], None] | None,
        *,
        allow_deletion: bool,
    ) -> list[Resynced]:
        from perdure.loop.work.indexes.following import follow_once

        now, reports = to_us(instant_of(at)), []
        with self._index_place(name) as place:
            for version in versions:
                with opens.open(name, version) as opened:
                    reports.append(follow_once(place, opened, now, allow_deletion=allow_deletion, told=progress))
        return reports

    @contextmanager
    def _index_place(self, name: str) -> Iterator[Workplace]:
        """Where an index is written, while nobody else writes it."""
        from perdure.durable.lease import hold
        from perdure.loop.work.indexes.following import LEASE
        from perdure.surface.compose import worker_name

        ttl_s = self.settings.loop.lease_ttl_s
        with hold(self._ledger.leases, LEASE + name, worker_name(), ttl_s, wait_s=_WAIT_S) as held:
            yield self.place.under(held.lease)

    @cached_property
    def _indexes(self) -> ProjectIndexes:
        return self._indexes_with(1)

    def _indexes_with(self, processes: int) -> ProjectIndexes:
        from perdure.surface.compose import stores_root
        from perdure.surface.compose_indexes import ProjectIndexes

        root = stores_root(self.folder, self.settings)
        return ProjectIndexes(self.folder, root, self.project, self._ledger, processes)

    def _index_champion(self, name: str) -> str:
        with self._ledger.read() as session:
            return next((each.version for each in session.pointers.list(name) if each.name == CHAMPION), "")

    def _index_versions(self, name: str) -> Sequence[str]:
        self.project.index(name)
        return self._indexes.versions(name) or [self._indexes.declared(name)]

    def _index_version(self, name: str, version: str) -> str:
        """The version of a name."""
        declared, champion = self._indexes.declared(name), self._index_champion(name)
        if version in ("", DECLARED):
            return declared if version else champion or declared
        if version == CHAMPION:
            if not champion:
                raise NotFound(f"No version of index {name!r} answers yet.", hint="Release it: perdure apply")
            return champion
        with self._ledger.read() as session:
            known = {each.id: each for each in session.registry.list_versions(name)}
        whole = version if "@" in version else f"{name}@{version}"
        return declared if declared.startswith(whole) else by_beginning("version", whole, known)

    def _index_generation(self, name: str, version: str) -> Generation:
        from perdure.stores.vectors.protocols import Generation

        with self._index_read(name, version) as store:
            return Generation(0, 0) if store is None else store.generation()

    @contextmanager
    def _index_read(self, name: str, version: str) -> Iterator[IndexStore | None]:
        """The store of a version, to be read; None where it is not there yet, or is being made."""
        store = None
        if self._indexes.path(name, version).exists():
            with suppress(NotReady):
                store = self._indexes.open_store(name, version, read_only=True)
        try:
            yield store
        finally:
            if store is not None:
                store.close()

    def _refuse_unbuilt(self, name: str, version: str) -> None:
        if not self._indexes.path(name, version).exists():
            raise NotFound(f"Nothing was built of {version}.", hint=f"Build it: perdure index build {name}")
