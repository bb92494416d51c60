"""One round of the loop: what is due is driven one step nearer to its declared health.

`tick(now)` is the whole control plane: it is called by `perdure up` on the machine's clock and by a
replay with the replay's. A round runs under one lease, so of two control planes one works and the
other waits; the lease's epoch fences every ledger write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from perdure.assets.health import Finding, State
from perdure.assets.source import Source
from perdure.loop.drain import Drain, DrainReport
from perdure.loop.intake import Ingested, Intake, Materialiser, OnlineView
from perdure.loop.observe import Observer
from perdure.loop.protocols import Kind, Watched, Workplace
from perdure.loop.work.feed import Feeds
from perdure.stores.ledger.protocols import Lease

LEASE = "loop"


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What one round did."""

    now: datetime
    ingested: Sequence[Ingested]
    drained: DrainReport
    n_materialised: int
    findings: Sequence[Finding] = field(default_factory=tuple)

    @property
    def broken(self) -> list[Finding]:
        """Findings whose objective is broken for sure."""
        return [finding for finding in self.findings if finding.state is State.BROKEN]


class Loop:
    """The control plane of one project. `views` is asked each round: releases change what is kept online."""

    def __init__(
        self,
        place: Workplace,
        kinds: Mapping[str, Kind],
        sources: Sequence[Source],
        watched: Sequence[Watched],
        views: Callable[[], Sequence[OnlineView]],
    ) -> None:
        self._place = place
        self._sources = sources
        self._watched = watched
        self._views = views
        feeds = Feeds()
        self.intake = Intake(place, feeds)
        self._materialiser = Materialiser(place, feeds)
        self._observer = Observer(place, kinds)
        self._drain = Drain(place.stores.capture, place.stores.lake, place.stores.ledger)

    def materialise(self, now: datetime) -> int:
        """Bring the online rows up to `now`; returns how many were written. Safe without the lease: newest wins."""
        return self._materialiser.run(self._views(), now)

    def tick(self, now: datetime, lease: Lease) -> RoundReport:
        """One round at `now` (domain time) under a lease.

        Raises:
            LostLease: another worker took over; what it had not yet written stays unwritten.
        """
        ingested = [self.intake.ingest(source, now, lease) for source in self._sources if self.intake.due(source, now)]
        drained = self._drain.run(now=now, actor=self._place.actor, lease=lease)
        n_materialised = self.materialise(now)
        findings = self._observer.run(self._watched, now, lease)
        return RoundReport(now, ingested, drained, n_materialised, findings)
