"""Observe, the second step of a round: due objectives are measured and judged.

An objective is due when a seventh of its window has passed since the last time (at least an hour,
at most the window): often enough to see a change inside the window, seldom enough to stay cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from perdure.assets.health import Finding
from perdure.assets.objective import Objective, SignalSpec
from perdure.core.clock import parse_at
from perdure.core.errors import BadObjective, nearest
from perdure.core.units import hours
from perdure.loop.failures import Failures
from perdure.loop.protocols import Kind, Signal, Watched, Workplace
from perdure.stores.ledger.protocols import Lease


def cadence(spec: SignalSpec) -> timedelta:
    """How often a signal is measured.

    >>> from perdure.core.units import days, minutes
    >>> cadence(SignalSpec("mae", days(7))), cadence(SignalSpec("latency_ms", minutes(10)))
    (datetime.timedelta(days=1), datetime.timedelta(seconds=600))
    """
    return min(spec.over, max(spec.over / 7, hours(1)))


class Observer:
    """Measures what is due and keeps the readings."""

    def __init__(self, place: Workplace, kinds: Mapping[str, Kind]) -> None:
        self._place = place
        self._kinds = kinds

    def run(
        self, assets: Sequence[Watched], now: datetime, lease: Lease | None = None, *, failures: Failures | None = None
    ) -> list[Finding]:
        """Findings of every due objective at `now` (domain time), in the order of declaration.

        An objective that cannot be measured stays due, and stops no other.

        Raises:
            Exception: the first failure, once everything else was measured; kept instead where
                `failures` are given.
        """
        kept = Failures() if failures is None else failures
        findings: list[Finding] = []
        for asset in assets:
            findings += self._observe(asset, now, lease, kept)
        if failures is None:
            kept.raise_first()
        return findings

    def _observe(self, asset: Watched, now: datetime, lease: Lease | None, failures: Failures) -> list[Finding]:
        cursor = f"observed/{asset.kind}/{asset.name}"
        with self._place.stores.ledger.read() as session:
            last: dict[str, str] = dict(session.cursors.get(cursor) or {})
        due = [objective for objective in asset.healthy if _due(objective, last, now)]
        findings: list[Finding] = []
        for objective in due:
            with failures.kept():
                findings += self._measure(asset, objective, now)
                last[objective.text()] = now.isoformat()
        if due:
            with self._place.stores.ledger.transaction(
                actor=self._place.actor, at=now, reason="observe", lease=lease
            ) as session:
                session.cursors.put(cursor, last)
        return findings

    def _measure(self, asset: Watched, objective: Objective, now: datetime) -> list[Finding]:
        readings = self._signal(asset, objective.spec).observe(self._place, asset, objective.spec, now)
        # Kept at once: a later signal of the round may rest on an earlier one's reading.
        self._place.stores.readings.put(readings)
        return [objective.judge(reading) for reading in readings]

    def _signal(self, asset: Watched, spec: SignalSpec) -> Signal:
        signals = self._kinds[asset.kind].signals
        if spec.signal not in signals:
            near = nearest(spec.signal, signals)
            raise BadObjective(
                f"{asset.kind} {asset.name!r} has an objective on {spec.signal!r}, which no signal of its kind measures.",
                hint=f"Did you mean {near!r}?" if near else f"Known: {', '.join(sorted(signals))}.",
            )
        return signals[spec.signal]


def _due(objective: Objective, last: Mapping[str, str], now: datetime) -> bool:
    seen = last.get(objective.text())
    return seen is None or now - parse_at(seen) >= cadence(objective.spec)
