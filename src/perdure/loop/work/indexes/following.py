"""Follows the sources of indexes: what changed there is found within a second of being seen.

`perdure up` runs a `Follower` an index beside the loop, which takes a lease of the index for each change that it makes.
It looks at source and record alone; what really stands in the index is the census's to say. Ordinary changes are made at once.
Where more documents are gone than may go at once nothing is deleted, and an incident asks a person.

What surprised us: a source that cannot be watched over a network share says nothing when it changes, so it is listed now and then
whatever it says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from perdure.assets.index import Index
from perdure.core.clock import from_us, machine_us, monotonic_s, sleep_s
from perdure.core.errors import LeaseHeld, LostLease, PerdureError, StoreError
from perdure.durable.lease import hold
from perdure.engines.retrieval.skew import Census, ResyncPlan
from perdure.loop.protocols import Workplace
from perdure.loop.work.indexes.kept import Resynced
from perdure.loop.work.indexes.opening import OpenIndex, OpensIndexes
from perdure.loop.work.indexes.resyncing import NO_ANSWER, Told, resync
from perdure.loop.work.indexes.sentinels import has_moved, look_at_sentinels
from perdure.loop.work.indexes.watched import SOURCE_DOWN

LEASE = "index:"
"""What the names of the leases begin with under which an index is written; a change at a time, so that a person can come between."""
SOURCE_SHRANK = "source_shrank"
"""Kind of the incident of a source that lost more than may be deleted at once."""
_WAIT_S = 0.5
_LIST_EVERY_S = 60.0
_AGAIN_S = 5.0
_TOLD_EVERY_S = 60.0
"""What fails in the same way again is told so often."""
_SHOWN = 20


def follow_once(
    place: Workplace, opened: OpenIndex, at_us: int, *, allow_deletion: bool = False, told: Told | None = None
) -> Resynced:
    """Make the index what its source says now, within the bound on deletions; an incident asks where it is met.

    Args:
        place: where it is told.
        opened: a version.
        at_us: domain time.
        allow_deletion: a person said yes to what is gone.
        told: hears how far it is.

    Raises:
        StoreError: source or index do not answer.
        UpstreamError, NotReady: the embedder does not answer.
    """
    census, plan, report = resync(place, opened, at_us, allow_deletion=allow_deletion, told=told)
    if not census.whole:
        raise StoreError(
            f"The source of {opened.index.name!r} does not answer ({SOURCE_DOWN}): {census.why_not}", hint=NO_ANSWER
        )
    tell_shrunk(place, opened.index.name, census, plan)
    if not report.before and report.generation:
        look_at_sentinels(place, opened, at_us)
    return report


def followed(place: Workplace, index: str, versions: Sequence[str]) -> list[str]:
    """Of versions that are kept filled, what answers first, those that follow the source now.

    What answers always does. Another one whose embedder changed since stays as it is: what embeds now would mix with what it was built by.
    """
    return [each for place_of, each in enumerate(versions) if not place_of or not has_moved(place, index, each)]


def tell_shrunk(place: Workplace, index: str, census: Census, plan: ResyncPlan) -> None:
    """Open or close the incident of a source that lost too much at once. Cost: a look at the ledger where nothing is to be told."""
    with place.stores.ledger.read() as session:
        found = [
            each
            for each in session.incidents.list(open_only=True)
            if each.asset == index and each.kind == SOURCE_SHRANK
        ]
    if bool(found) == bool(plan.held_back):
        return
    with place.transaction(from_us(census.at_us), "source shrank" if plan.held_back else "source whole") as session:
        if plan.held_back:
            session.incidents.open(index, SOURCE_SHRANK, _asked(index, plan), _facts(census, plan))
        for each in found:
            session.incidents.close(each.id, "Nothing is held back any more: the documents are back, or were let go.")


def _asked(index: str, plan: ResyncPlan) -> str:
    yes = f"perdure index sync {index} --allow-deletion"
    return f"{plan.held_back_why} Nothing was deleted. If they are gone for good: {yes}"


def _facts(census: Census, plan: ResyncPlan) -> dict[str, Any]:
    return {
        "asset_kind": "index",
        "version": plan.version,
        "n_gone": len(plan.held_back),
        "n_documents": census.n_documents,
        "n_source": census.n_source,
        "documents": list(plan.held_back[:_SHOWN]),
    }


class Follower:
    """Follows the source of one index, with every version of it that is kept filled.

    Args:
        place: where it is told.
        opens: opens its versions.
        index: as it is declared.
        owner: this worker, a name that no other living one has.
    """

    def __init__(self, place: Workplace, opens: OpensIndexes, index: Index, owner: str) -> None:
        self._place = place
        self._opens = opens
        self._index = index
        self._owner = owner
        self._told = ("", 0.0)
        """What failed the last time, until all went well again, and when that was told."""

    def run(
        self,
        stop: Callable[[], bool],
        failed: Callable[[PerdureError], None],
        done: Callable[[Resynced], None] | None = None,
    ) -> None:
        """Follow until `stop()`; what fails is told and tried again.

        Args:
            stop: asked twice a second.
            failed: hears of what failed, such as of a source that is down: at once, and while it stays so once a minute.
            done: hears of each change that was made.
        """
        while not stop():
            try:
                self._follow(stop, done or _nobody)
            except (LeaseHeld, LostLease) as elsewhere:
                _wait(elsewhere.delay_s, stop)
            except PerdureError as error:
                self._tell(error, failed)
                _wait(_AGAIN_S, stop)

    def _tell(self, error: PerdureError, failed: Callable[[PerdureError], None]) -> None:
        said, (before, told_s) = str(error), self._told
        if said != before or monotonic_s() - told_s >= _TOLD_EVERY_S:
            self._told = said, monotonic_s()
            failed(error)

    def _follow(self, stop: Callable[[], bool], done: Callable[[Resynced], None]) -> None:
        """Until the versions that are to be followed are others."""
        name = self._index.name
        versions = list(self._opens.versions(name))
        with ExitStack() as stack:
            opened = [stack.enter_context(self._opens.open(name, version)) for version in versions]
            listed_s = -_LIST_EVERY_S
            while not stop() and list(self._opens.versions(name)) == versions:
                if monotonic_s() - listed_s >= _LIST_EVERY_S:
                    listed_s = monotonic_s()
                    self._sync(opened, done)
                elif not opened:
                    _wait(_WAIT_S, stop)
                elif opened[0].documents.wait(_WAIT_S):
                    self._sync(opened, done)

    def _sync(self, opened: Sequence[OpenIndex], done: Callable[[Resynced], None]) -> None:
        """Every version, while nobody else writes the index."""
        ttl_s = self._place.settings.loop.lease_ttl_s
        with hold(self._place.stores.leases, LEASE + self._index.name, self._owner, ttl_s, wait_s=ttl_s) as held:
            place = self._place.under(held.lease)
            wanted = followed(place, self._index.name, [each.version for each in opened])
            for each in opened:
                if each.version not in wanted:
                    continue
                report = follow_once(place, each, machine_us(), told=lambda _: held.check())
                if report.done:
                    done(report)
        self._told = "", 0.0


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    until = monotonic_s() + seconds
    while monotonic_s() < until and not stop():
        sleep_s(min(0.1, seconds))


def _nobody(_: Resynced) -> None:
    """Nobody wants to hear of changes."""
