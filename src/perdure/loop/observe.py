"""Observe, the second step of a round: due objectives are measured and judged.

An objective is due when a seventh of its window has passed since the last time (at least an hour,
at most the window): often enough to see a change inside the window, seldom enough to stay cheap.
What each objective last said is kept beside when: so an asset that broke stays in sight after a
crash, and one that is healthy costs a round nothing more.

What was measured of a version says nothing of another one. So from a release on, readings of what no longer
answers are no findings, and what they measured is due at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from perdure.assets.health import Finding, State
from perdure.assets.objective import Objective, SignalSpec
from perdure.core.clock import iso, parse_at
from perdure.core.errors import BadObjective, nearest, not_found
from perdure.core.units import hours
from perdure.loop.failures import Failures
from perdure.loop.protocols import Kind, Signal, Watched, Workplace
from perdure.loop.release import answering
from perdure.stores.ledger.protocols import Lease, LedgerSession

_PREFIX = "observed/"
_STALE = 2
"""A reading that is older than so many cadences says nothing of today."""


def cadence(spec: SignalSpec) -> timedelta:
    """How often a signal is measured.

    >>> from perdure.core.units import days, minutes
    >>> cadence(SignalSpec("mae", days(7))), cadence(SignalSpec("latency_ms", minutes(10)))
    (datetime.timedelta(days=1), datetime.timedelta(seconds=600))
    """
    return min(spec.over, max(spec.over / 7, hours(1)))


@dataclass(slots=True)
class Observed:
    """What a round's observing gave."""

    findings: list[Finding] = field(default_factory=list)
    """Of the objectives that were due, in the order of declaration."""
    broken: set[str] = field(default_factory=set)
    """Assets with an objective that was broken when it was last measured, in this round or before."""


class Observer:
    """Measures what is due and keeps the readings."""

    def __init__(self, place: Workplace, kinds: Mapping[str, Kind]) -> None:
        self._place = place
        self._kinds = kinds

    def run(
        self, assets: Sequence[Watched], now: datetime, lease: Lease | None = None, *, failures: Failures | None = None
    ) -> Observed:
        """Measure every due objective at `now` (domain time).

        An objective that cannot be measured stays due, and stops no other. Cost: one read and, where
        anything was due, one transaction a round, beside the signals' own work.

        Raises:
            Exception: the first failure, once everything else was measured; kept instead where
                `failures` are given.
        """
        kept, observed = Failures() if failures is None else failures, Observed()
        with self._place.stores.ledger.read() as session:
            known: dict[str, dict[str, Any]] = session.cursors.list(_PREFIX)
            answers = answering(session)
            outlived = {
                each.name: _outlived(session, each, known.get(_cursor(each), {}), answers, now) for each in assets
            }
        changed: dict[str, Any] = {}
        for asset in assets:
            last = known.get(_cursor(asset), {})
            due = [each for each in asset.healthy if _due(each, last, now) or each.text() in outlived[asset.name]]
            if due:
                last = changed[_cursor(asset)] = {**last}
                observed.findings += self._observe(asset, due, last, now, kept)
            if any(_says(last.get(objective.text())) is State.BROKEN for objective in asset.healthy):
                observed.broken.add(asset.name)
        if changed:
            with self._place.stores.ledger.transaction(
                actor=self._place.actor, at=now, reason="observe", lease=lease
            ) as writing:
                writing.cursors.put_all(changed)
        if failures is None:
            kept.raise_first()
        return observed

    def _observe(
        self, asset: Watched, due: Sequence[Objective], last: dict[str, Any], now: datetime, failures: Failures
    ) -> list[Finding]:
        findings: list[Finding] = []
        for objective in due:
            with failures.kept():
                measured = self._measure(asset, objective, now)
                findings += measured
                of = sorted({each.reading.version for each in measured if each.reading.version})
                last[objective.text()] = {"at": iso(now), "state": _worst(measured).value, "of": of}
        return findings

    def _measure(self, asset: Watched, objective: Objective, now: datetime) -> list[Finding]:
        readings = self._signal(asset, objective.spec).observe(self._place, asset, objective.spec, now)
        # Kept at once: a later signal of the round may rest on an earlier one's reading.
        if readings:
            self._place.stores.readings.put(readings)
        return [objective.judge(reading) for reading in readings]

    def _signal(self, asset: Watched, spec: SignalSpec) -> Signal:
        if asset.kind not in self._kinds:
            raise not_found("kind", asset.kind, self._kinds)
        signals = self._kinds[asset.kind].signals
        if spec.signal not in signals:
            near = nearest(spec.signal, signals)
            raise BadObjective(
                f"{asset.kind} {asset.name!r} has an objective on {spec.signal!r}, which no signal of its kind measures.",
                hint=f"Did you mean {near!r}?" if near else f"Known: {', '.join(sorted(signals))}.",
            )
        return signals[spec.signal]


def newest_findings(place: Workplace, asset: Watched, now: datetime, *, outlived: bool = False) -> list[Finding]:
    """The newest finding of every objective and slice, in the order of declaration; stale ones are left out.

    Args:
        place: where readings and pointers are.
        asset: whose.
        now: domain time.
        outlived: those of versions that no longer answer count too: they tell what was not measured since.
    """
    longest = max((cadence(objective.spec) for objective in asset.healthy), default=timedelta(0))
    latest = place.stores.readings.list(asset.name, since=now - _STALE * longest)
    if not outlived:
        with place.stores.ledger.read() as session:
            present = answering(session, asset.name).get(asset.name, frozenset())
        latest = [reading for reading in latest if not reading.version or reading.version in present]
    found: list[Finding] = []
    for objective in asset.healthy:
        readings = [reading for reading in latest if objective.measured_by(reading) and reading.at <= now]
        newest = max((reading.at for reading in readings), default=None)
        if newest is None or now - newest > _STALE * cadence(objective.spec):
            continue
        # A slice that is not among the newest readings has gone.
        found += [objective.judge(reading) for reading in readings if reading.at == newest]
    return found


def measure_again(session: LedgerSession, asset: Watched) -> None:
    """Everything of an asset is due in the next round: what was measured before it was mended says nothing of it now."""
    session.cursors.put(_cursor(asset), {})


def broken_since(place: Workplace, asset: Watched, since: datetime, now: datetime) -> bool:
    """Whether a reading after an instant broke an objective for sure."""
    return any(
        objective.measured_by(reading) and objective.judge(reading).state is State.BROKEN
        for reading in place.stores.readings.list(asset.name, since=since)
        if since < reading.at <= now
        for objective in asset.healthy
    )


def _due(objective: Objective, last: Mapping[str, Any], now: datetime) -> bool:
    seen = last.get(objective.text())
    return seen is None or now - parse_at(_instant(seen)) >= cadence(objective.spec)


def _cursor(asset: Watched) -> str:
    return f"{_PREFIX}{asset.kind}/{asset.name}"


def _outlived(
    session: LedgerSession,
    asset: Watched,
    last: Mapping[str, Any],
    answers: Mapping[str, Collection[str]],
    now: datetime,
) -> set[str]:
    """The objectives that were measured last of a version that no longer answers."""
    present = answers.get(asset.name, ())
    # Ledgers of before did not keep of what it was.
    found = {
        text
        for text, seen in last.items()
        if isinstance(seen, dict) and any(version not in present for version in seen.get("of", ()))
    }
    # A round that was killed after its release, and is done again, measures what it would have measured.
    return found if found and all(move.at < now for move in session.pointers.history(asset.name)[-1:]) else set()


def _instant(seen: Any) -> str:
    # Ledgers of before kept the instant alone.
    return str(seen["at"] if isinstance(seen, dict) else seen)


def _says(seen: Any) -> State | None:
    return State(seen["state"]) if isinstance(seen, dict) else None


def _worst(findings: Sequence[Finding]) -> State:
    states = {finding.state for finding in findings}
    if State.BROKEN in states:
        return State.BROKEN
    return State.HEALTHY if states == {State.HEALTHY} else State.UNSURE
