"""The smallest asset that can decay: a gauge whose values are written down. For tests of the loop without a model.

A gauge shows a value that ought to stay near its target. It moves away, which is found by the signal
`level`; the cause `moved` says by how much; the remedy `recalibrate` makes a version with an offset;
the gate `closer` compares two versions; a release of the candidate heals the gauge, because `level`
adds the champion's offset. Everything follows from the gauge, the ledger and the instant.

    gauge = Gauge("boiler", {day_1: 20.0, day_2: 27.0}, target=20.0, margin=1.0)
    asset = watch(gauge, level(over=days(1)) <= 23.0)
    loop = Loop(place, {TOY: toy_kind()}, [], [asset], list)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Comparison, Finding, Reading, State, Verdict
from perdure.assets.objective import Objective, SignalSpec
from perdure.assets.policy import Policy
from perdure.assets.version import CHAMPION, Version
from perdure.core.canonical import content_hash
from perdure.core.errors import NotReady
from perdure.core.ids import version_id
from perdure.loop.protocols import Cause, Gate, Kind, Remedy, Signal, Watched, Workplace

TOY = "toy"


@dataclass(frozen=True, slots=True, eq=False)
class Gauge:
    """The declaration of a toy asset.

    Args:
        name: lower case with underscores.
        points: the value shown from each instant on, as a mapping or as pairs.
        target: what the gauge ought to show.
        margin: how far from the truth a shown value may be; half the width of its interval.
    """

    name: str
    points: Mapping[datetime, float] | Iterable[tuple[datetime, float]]
    target: float = 0.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", dict(self.points))

    def shown(self, start: datetime, end: datetime) -> list[float]:
        """Values shown at instants in `(start, end]`, in order of time."""
        points = dict(self.points)
        return [points[at] for at in sorted(points) if start < at <= end]


def level(*, over: timedelta) -> SignalSpec:
    """The newest value that a gauge shows in the window, with its champion's offset."""
    return SignalSpec("level", over)


def watch(gauge: Gauge, *healthy: Objective) -> Watched:
    """The gauge as the loop sees it."""
    return Watched(gauge.name, TOY, healthy, Policy.act(), gauge)


def toy_kind() -> Kind:
    """The kind with all four recipes."""
    signal: Signal = Level()
    cause: Cause = Moved()
    remedy: Remedy = Recalibrate()
    gate: Gate = Closer()
    return Kind(TOY, {signal.name: signal}, (cause,), (remedy,), (gate,))


class Level:
    """Reads the gauge: `value ± margin`, `n` the points in the window; nothing where there is no point."""

    name = "level"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or none."""
        gauge: Gauge = asset.declaration
        shown = gauge.shown(now - spec.over, now)
        if not shown:
            return []
        champion = _find_champion(place, asset.name)
        value = shown[-1] + _offset(champion)
        return [
            Reading(
                asset=asset.name,
                signal=spec.series,
                at=now,
                window_start=now - spec.over,
                window_end=now,
                value=value,
                low=value - gauge.margin,
                high=value + gauge.margin,
                n=len(shown),
                unit="",
                version="" if champion is None else champion.id,
                facts={"first_shown": shown[0]},
            )
        ]


class Moved:
    """The gauge shows something else than at the beginning of the window in which it broke."""

    name = "moved"

    def weigh(
        self,
        place: Workplace,  # noqa: ARG002 - the Protocol's
        asset: Watched,
        findings: Sequence[Finding],
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> RankedCause | None:
        """The largest move of a broken finding, against the margin; None when nothing moved further than that."""
        gauge: Gauge = asset.declaration
        moves = [_moved_by(gauge, finding.reading) for finding in findings if finding.state is State.BROKEN]
        moved_by = max(moves, key=abs, default=0.0)
        if abs(moved_by) <= gauge.margin:
            return None
        weight = 1.0 - gauge.margin / abs(moved_by)
        text = f"The gauge moved by {moved_by:g} within the window; its margin is {gauge.margin:g}."
        return RankedCause(self.name, weight, {"moved_by": moved_by, "margin": gauge.margin}, text)


def _moved_by(gauge: Gauge, reading: Reading) -> float:
    shown = gauge.shown(reading.window_start, reading.window_end)
    return shown[-1] - shown[0] if shown else 0.0


class Recalibrate:
    """Makes a version whose offset brings the newest value back to the target; the same again when done again."""

    name = "recalibrate"
    answers: Sequence[str] = ("moved",)

    def repair(self, place: Workplace, asset: Watched, step: str, now: datetime) -> Sequence[str]:
        """Id of the candidate, registered; none when the gauge never showed anything."""
        gauge: Gauge = asset.declaration
        shown = _shown_until(gauge, now)
        if shown is None:
            return []
        definition, lineage = {"offset": gauge.target - shown}, {"remedy": self.name, "step": step}
        candidate = Version(
            id=version_id(gauge.name, content_hash({"definition": definition, "lineage": lineage})),
            asset=gauge.name,
            kind=TOY,
            definition=definition,
            artifacts={},
            lineage=lineage,
            metrics={},
            created_at=now,
            actor=place.actor,
        )
        with place.stores.ledger.transaction(actor=place.actor, at=now, reason=self.name) as session:
            session.registry.put_version(candidate)
        return [candidate.id]


class Closer:
    """Passes a candidate that shows the target more nearly than the incumbent, by more than the margin."""

    name = "closer"

    def judge(self, place: Workplace, asset: Watched, candidate: str, incumbent: str | None, now: datetime) -> Verdict:
        """The verdict on the newest value that the gauge shows.

        Raises:
            NotFound: the ledger does not know the candidate or the incumbent.
            NotReady: the gauge never showed anything.
        """
        gauge: Gauge = asset.declaration
        shown = _shown_until(gauge, now)
        if shown is None:
            raise NotReady(
                f"The gauge {gauge.name!r} has shown nothing by {now.isoformat()}.", hint="Wait for a point."
            )
        with place.stores.ledger.read() as session:
            new = session.registry.get_version(candidate)
            old = None if incumbent is None else session.registry.get_version(incumbent)
        off_new, off_old = (abs(shown + _offset(version) - gauge.target) for version in (new, old))
        comparison = Comparison.NOT_ENOUGH_EVIDENCE
        if abs(off_new - off_old) > gauge.margin:
            comparison = Comparison.BETTER if off_new < off_old else Comparison.WORSE
        text = f"{comparison.value}: off by {off_new:g}, the incumbent by {off_old:g}, margin {gauge.margin:g}"
        evidence = {"off_candidate": off_new, "off_incumbent": off_old, "margin": gauge.margin}
        return Verdict(self.name, comparison, comparison is Comparison.BETTER, text, evidence)


def _shown_until(gauge: Gauge, now: datetime) -> float | None:
    points = dict(gauge.points)
    known = [at for at in points if at <= now]
    return points[max(known)] if known else None


def _find_champion(place: Workplace, asset: str) -> Version | None:
    with place.stores.ledger.read() as session:
        for pointer in session.pointers.list(asset):
            if pointer.name == CHAMPION:
                return session.registry.get_version(pointer.version)
    return None


def _offset(version: Version | None) -> float:
    return 0.0 if version is None else float(version.definition["offset"])
