"""One round of the loop: what is due is driven one step nearer to its declared health.

`tick(now)` is the whole control plane: it is called by `perdure up` on the machine's clock and by a
replay with the replay's. A round runs under one lease, so of two control planes one works and the
other waits; the lease's epoch fences every ledger write. Domain time never goes back: a round at an
earlier instant than the newest one is refused before it changes anything.

A source that cannot be read, or an objective that cannot be measured, stops no other: the first such
error is raised when everything else of the round is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from perdure.assets.health import Finding, State
from perdure.assets.source import Source
from perdure.core.clock import iso, parse_at
from perdure.core.errors import NotReady
from perdure.loop.damage import report_blobs
from perdure.loop.drain import Drain, DrainReport
from perdure.loop.failures import Failures
from perdure.loop.intake import Ingested, Intake, LostView, Materialiser, OnlineView, kept_rows
from perdure.loop.observe import Observer
from perdure.loop.protocols import Kind, Watched, Workplace
from perdure.loop.upkeep import Upkeep
from perdure.loop.work.feed import Feeds
from perdure.stores.ledger.protocols import Incident, Lease

_ROUND = "round"
"""The ledger's cursor with the newest round's instant."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What one round did."""

    now: datetime
    ingested: Sequence[Ingested]
    drained: DrainReport
    n_materialised: int
    findings: Sequence[Finding] = field(default_factory=tuple)
    opened: Sequence[Incident] = field(default_factory=tuple)
    """Incidents of losses and damage that were opened in this round."""

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
        views: Callable[[], Sequence[OnlineView | LostView]],
    ) -> None:
        self._place = place
        self._sources = sources
        self._watched = watched
        self._views = views
        feeds = Feeds(partial(kept_rows, place.stores.lake))
        self.intake = Intake(place, feeds)
        self._materialiser = Materialiser(place, feeds, self.intake)
        self._observer = Observer(place, kinds)
        self._upkeep = Upkeep(place)
        self._drain = Drain(place.stores.capture, place.stores.lake, place.stores.ledger)

    def materialise(self, now: datetime) -> int:
        """Bring the online rows up to `now`; returns how many were written. Safe without the lease: newest wins."""
        return self._materialiser.run(self._views(), now)

    def tick(self, now: datetime, lease: Lease) -> RoundReport:
        """One round at `now` (domain time) under a lease; doing it again at the same instant changes nothing.

        Raises:
            NotReady: a round at a later instant has been; nothing was changed.
            LostLease: another worker took over; what it had not yet written stays unwritten.
            Exception: the first failure of a source, view or objective, when all others are done.
        """
        self._begin(now, lease)
        failures = Failures()
        views = self._views()
        ingested = self._ingest(views, now, lease, failures)
        drained = self._drain.run(now=now, actor=self._place.actor, lease=lease)
        self._upkeep.run(now, lease, failures)
        self._materialiser.take_late(views)
        n_materialised = self._materialiser.run(views, now, failures=failures)
        findings = self._observer.run(self._watched, now, lease, failures=failures).findings
        opened = [*drained.opened, *report_blobs(self._place, now, lease)]
        failures.raise_first()
        return RoundReport(now, ingested, drained, n_materialised, findings, opened)

    def _begin(self, now: datetime, lease: Lease) -> None:
        """Record the round's instant, unless a later one was recorded before."""
        ledger = self._place.stores.ledger
        with ledger.read() as session:
            newest = session.cursors.get(_ROUND)
        if newest is not None and now < parse_at(newest):
            ahead_s = (parse_at(newest) - now).total_seconds()
            raise NotReady(
                f"A round at {iso(now)} is {ahead_s:g} s behind the newest one, at {newest}: domain time never goes back.",
                hint="Give a later instant, or mend the clock; a replay of the past needs stores of its own.",
                delay_s=ahead_s,
            )
        if newest is None or now > parse_at(newest):
            with ledger.transaction(actor=self._place.actor, at=now, reason="begin round", lease=lease) as session:
                session.cursors.put(_ROUND, iso(now))

    def _ingest(
        self, views: Sequence[OnlineView | LostView], now: datetime, lease: Lease, failures: Failures
    ) -> list[Ingested]:
        online = {view.source.name for view in views if isinstance(view, OnlineView)}
        ingested = []
        for source in self._sources:
            with failures.kept():
                if self.intake.due(source, now, online=source.name in online):
                    ingested.append(self.intake.ingest(source, now, lease))
        return ingested
