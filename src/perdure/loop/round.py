"""One round of the loop: what is due is driven one step nearer to its declared health.

    intake → look → observe → (diagnose → decide) → (repair → verify → release) → recovered?

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
from perdure.assets.version import Version
from perdure.core.clock import iso, parse_at
from perdure.core.errors import NotReady, not_found
from perdure.core.units import days
from perdure.durable.engine import Durable
from perdure.durable.schedules import fire
from perdure.loop.cases import Cases, Planned, Trigger
from perdure.loop.damage import report_blobs
from perdure.loop.diagnose import broken
from perdure.loop.drain import Drain, DrainReport
from perdure.loop.failures import Failures
from perdure.loop.incidents import LOOP, recovered
from perdure.loop.intake import Ingested, Intake, LostView, Materialiser, OnlineView, kept_rows
from perdure.loop.observe import Observer, broken_since, newest_findings
from perdure.loop.protocols import Kind, Teller, Watched, Workplace
from perdure.loop.quarantine import quarantined, review
from perdure.loop.release import abandoned_trials, champion_since, end_trial
from perdure.loop.repair import CODE, Repairs
from perdure.loop.upkeep import Upkeep
from perdure.loop.upstream import upstream_first
from perdure.loop.work.feed import Feeds
from perdure.stores.ledger.protocols import Incident, Job, Lease

KEPT_JOBS = days(400)
"""Jobs that ended are kept so long: longer than any budget of repairs looks back."""
_PRUNED_EVERY = days(30)
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
    """Incidents that were opened in this round."""
    closed: Sequence[Incident] = field(default_factory=tuple)
    decided: Sequence[Planned] = field(default_factory=tuple)
    """Cases that were considered, with what was decided."""
    jobs: Sequence[Job] = field(default_factory=tuple)
    """Durable work that went on, as it stands now."""

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
        tellers: Sequence[Teller] = (),
    ) -> None:
        self._place = place
        self._kinds = kinds
        self._sources = sources
        self._watched = upstream_first(watched)
        self._views = views
        self._tellers = tellers
        feeds = Feeds(partial(kept_rows, place.stores.lake))
        self.intake = Intake(place, feeds)
        self._materialiser = Materialiser(place, feeds, self.intake)
        self._observer = Observer(place, kinds)
        self._pointed: dict[str, Version] = {}
        self._upkeep = Upkeep(place)
        self._drain = Drain(place.stores.capture, place.stores.lake, place.stores.ledger)
        repairs = Repairs(place, kinds, self._watched)
        self.durable = Durable(place.stores.ledger, [repairs.workflow], actor=place.actor)

    def materialise(self, now: datetime) -> int:
        """Bring the online rows up to `now`; returns how many were written. Safe without the lease: newest wins."""
        return self._materialiser.run(self._views(), now)

    def tick(self, now: datetime, lease: Lease) -> RoundReport:
        """One round at `now` (domain time) under a lease; doing it again at the same instant changes nothing.

        Raises:
            NotReady: a round at a later instant has been; nothing was changed.
            LostLease: another worker took over; what it had not yet written stays unwritten.
            Exception: the first failure of a source, view, objective or case, when all others are done.
        """
        self._begin(now, lease)
        failures, place = Failures(), self._place.under(lease)
        views = self._views()
        ingested = self._ingest(views, now, lease, failures)
        drained = self._drain.run(now=now, actor=place.actor, lease=lease)
        self._upkeep.run(now, lease, failures)
        self._prune(now, lease)
        with failures.kept():
            review(place, self._sources, now)
        self._materialiser.take_late(views)
        n_materialised = self._materialiser.run(views, now, failures=failures, lease=lease)
        self._look(place, now, failures)
        observed = self._observer.run(self._watched, now, lease, failures=failures)
        opened = [*drained.opened, *report_blobs(place, now, lease, self._pointed)]
        known = self._open_incidents()
        # What is on its way goes on first: an asset whose repair ends now may be considered at once.
        jobs = self._drive(place, now, lease)
        closed = self._close(place, now, known, failures)
        decided = self._take_up(place, now, observed.broken, failures)
        jobs = {**jobs, **self._drive(place, now, lease)}
        # A release may need other views online, and a quarantine the last good rows.
        n_materialised += self._materialiser.run(self._views(), now, failures=failures, lease=lease)
        opened += [each for each in self._open_incidents() if each.id not in {one.id for one in (*known, *opened)}]
        for teller in self._tellers:
            with failures.kept():
                teller.run(place, now)
        failures.raise_first()
        return RoundReport(
            now, ingested, drained, n_materialised, observed.findings, opened, closed, decided, list(jobs.values())
        )

    def plan(self, now: datetime) -> list[Planned]:
        """What the next round would do about every asset that is broken or due, and why; nothing is written."""
        cases = Cases(self._place, self._kinds)
        return [cases.consider(asset, now, trigger) for asset, trigger in self._due(cases, now, self._all_broken(now))]

    def repair(self, name: str, now: datetime, lease: Lease, *, reason: str = "") -> tuple[Planned, Sequence[Job]]:
        """Repair one asset because a person asks: no cool-down, budget or breaker holds it back; gates judge as ever.

        Who asks is the actor of this loop's place; with four eyes somebody else must say yes to what comes of it.

        Args:
            name: of the asset.
            now: domain time.
            lease: held by who asks.
            reason: why, in the words of who asks; written beside the decision and on the job.

        Raises:
            NotFound: no such asset.
            NotReady: a repair of it is on its way, or a round at a later instant has been.
        """
        self._newest_round(now)
        asset = next((each for each in self._watched if each.name == name), None)
        if asset is None:
            raise not_found("asset", name, [each.name for each in self._watched])
        if self._busy() & {name}:
            raise NotReady(f"A repair of {name} is on its way.", hint="See perdure jobs; cancel it there, or wait.")
        place = self._place.under(lease)
        cases = Cases(place, self._kinds)
        planned = cases.consider(asset, now, "manual")
        cases.take_up(asset, planned, now, code=CODE, reason=reason)
        return planned, self.durable.drive(now, lease, subject=name)

    def next_due(self) -> datetime | None:
        """Domain time from which a job goes on that waits for it, such as a stage of a release; None without one."""
        with self._place.stores.ledger.read() as session:
            parked = session.jobs.list(open_only=True, limit=100_000)
        return min((job.due_at for job in parked if job.due_at is not None), default=None)

    def _all_broken(self, now: datetime) -> set[str]:
        return {asset.name for asset in self._watched if broken(newest_findings(self._place, asset, now))}

    def _due(self, cases: Cases, now: datetime, sick: set[str]) -> list[tuple[Watched, Trigger]]:
        """Assets whose case is to be considered, what others rest on first, with why."""
        marks, busy = cases.marks(), self._busy()
        due: list[tuple[Watched, Trigger]] = []
        for asset in self._watched:
            if asset.name in busy:
                continue
            if cases.schedule_due(asset, now, marks):
                due.append((asset, "schedule"))
            elif asset.name in sick and not cases.settled(asset, now, marks):
                due.append((asset, "evidence"))
        return due

    def _busy(self) -> set[str]:
        with self._place.stores.ledger.read() as session:
            return {job.subject for job in session.jobs.list(open_only=True, limit=100_000)}

    def _open_incidents(self) -> list[Incident]:
        with self._place.stores.ledger.read() as session:
            return session.incidents.list(open_only=True)

    def _take_up(self, place: Workplace, now: datetime, sick: set[str], failures: Failures) -> list[Planned]:
        cases, decided = Cases(place, self._kinds), []
        cases.start_schedules(self._watched, cases.marks(), now)
        for asset, trigger in self._due(cases, now, sick):
            with failures.kept():
                planned = cases.consider(asset, now, trigger)
                if planned.decision.choice != "nothing":
                    cases.take_up(asset, planned, now, code=CODE)
                decided.append(planned)
        return decided

    def _prune(self, now: datetime, lease: Lease) -> None:
        """Forget jobs that ended long ago; what they did stays in the audit."""
        if fire(self._place.stores.ledger, "prune jobs", _PRUNED_EVERY, now, actor=self._place.actor, lease=lease):
            self.durable.prune(now - KEPT_JOBS, lease)

    def _look(self, place: Workplace, now: datetime, failures: Failures) -> None:
        for looker in (each for kind in self._kinds.values() for each in kind.lookers):
            with failures.kept():
                looker.run(place, now)

    def _drive(self, place: Workplace, now: datetime, lease: Lease) -> dict[str, Job]:
        """Every due job by id. One that ended before it could clear up, here or in a killed process, leaves no trial."""
        jobs = self.durable.drive(now, lease)
        with place.stores.ledger.read() as session:
            left = abandoned_trials(session, self._busy())
        for asset, job in left.items():
            with place.transaction(now, "end of trial") as session:
                end_trial(session, asset, {"job": job, "stage": "end of trial"})
        return {job.id: job for job in jobs}

    def _close(self, place: Workplace, now: datetime, known: Sequence[Incident], failures: Failures) -> list[Incident]:
        """Close the incidents of assets that are healthy again, unless a repair of theirs is still on its way."""
        closed, busy = [], self._busy()
        assets = {asset.name: asset for asset in self._watched}
        for incident in known:
            if incident.asset in busy or not incident.facts.get(LOOP):
                continue
            with failures.kept():
                how = self._ended(place, assets.get(incident.asset), incident, now)
                if how is not None:
                    with place.transaction(now, "recovered") as session:
                        closed.append(session.incidents.close(incident.id, how))
        return closed

    def _ended(self, place: Workplace, asset: Watched | None, incident: Incident, now: datetime) -> str | None:
        """How an incident ended, in words; None while it lasts."""
        if asset is None:
            return f"{incident.asset} is not declared any more."
        if not asset.healthy:
            return f"No objective of {incident.asset} is declared any more."
        if any(each.end is None for each in quarantined(place.stores.ledger, asset.name)):
            return None  # what it brought is still set aside
        findings = newest_findings(place, asset, now, outlived=True)
        with place.stores.ledger.read() as session:
            moved_at = champion_since(session, asset.name)
        if moved_at is not None and any(finding.reading.at <= moved_at for finding in findings):
            return None  # it speaks of the version that answered before
        return recovered(asset, incident, findings, now, lately=lambda since: broken_since(place, asset, since, now))

    def _begin(self, now: datetime, lease: Lease) -> None:
        """Record the round's instant, unless a later one was recorded before."""
        newest, ledger = self._newest_round(now), self._place.stores.ledger
        if newest is None or now > parse_at(newest):
            with ledger.transaction(actor=self._place.actor, at=now, reason="begin round", lease=lease) as session:
                session.cursors.put(_ROUND, iso(now))

    def _newest_round(self, now: datetime) -> str | None:
        with self._place.stores.ledger.read() as session:
            newest: str | None = session.cursors.get(_ROUND)
        if newest is not None and now < parse_at(newest):
            ahead_s = (parse_at(newest) - now).total_seconds()
            raise NotReady(
                f"A round at {iso(now)} is {ahead_s:g} s behind the newest one, at {newest}: domain time never goes back.",
                hint="Give a later instant, or mend the clock; a replay of the past needs stores of its own.",
                delay_s=ahead_s,
            )
        return newest

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
