"""The smallest asset that can decay: a gauge whose values are written down. For tests of the loop without a model.

A gauge shows a value that ought to stay near its target. It moves away, which is found by the signal
`level`; the cause `moved` says by how much; the remedy `recalibrate` makes a version with an offset;
the gates `closer` and `loads` compare two versions and prove the way back; a release of the candidate heals the gauge, because `level`
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
from perdure.assets.repair import SCHEDULE, Action, Stage, Trial
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
        gains: shares of what it is off that its remedy proposes to correct, a candidate each.
    """

    name: str
    points: Mapping[datetime, float] | Iterable[tuple[datetime, float]]
    target: float = 0.0
    margin: float = 0.0
    gains: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", dict(self.points))

    def shown(self, start: datetime, end: datetime) -> list[float]:
        """Values shown at instants in `(start, end]`, in order of time."""
        points = dict(self.points)
        return [points[at] for at in sorted(points) if start < at <= end]


def level(*, over: timedelta) -> SignalSpec:
    """The newest value that a gauge shows in the window, with its champion's offset."""
    return SignalSpec("level", over)


def watch(gauge: Gauge, *healthy: Objective, policy: Policy | None = None, rests_on: Sequence[str] = ()) -> Watched:
    """The gauge as the loop sees it; by default the loop acts on it."""
    return Watched(gauge.name, TOY, healthy, policy or Policy.act(), gauge, rests_on)


def toy_kind() -> Kind:
    """The kind with all its recipes."""
    signal: Signal = Level()
    cause: Cause = Moved()
    remedy: Remedy = Recalibrate()
    gates: tuple[Gate, ...] = (Closer(), Loads())
    return Kind(TOY, {signal.name: signal}, (cause,), (remedy,), gates)


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
    answers: Sequence[str] = ("moved", SCHEDULE)

    def propose(
        self,
        place: Workplace,  # noqa: ARG002 - the Protocol's
        asset: Watched,
        causes: Sequence[RankedCause],  # noqa: ARG002 - the Protocol's
        now: datetime,
    ) -> Sequence[Action]:
        """One action a gain of the gauge, once it has shown anything: a gain of 1 corrects wholly."""
        gauge: Gauge = asset.declaration
        if _shown_until(gauge, now) is None:
            return []
        return [
            Action(self.name, f"correct {gain:.0%} of what the gauge is off", params={"gain": gain}, cost_s=0.001)
            for gain in gauge.gains
        ]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - the Protocol's
        """Id of the candidate, registered; none when the gauge never showed anything."""
        gauge: Gauge = asset.declaration
        shown = _shown_until(gauge, now)
        if shown is None:
            return []
        offset = float(action.params["gain"]) * (gauge.target - shown)
        definition, lineage = {"offset": offset}, {"remedy": self.name, "params": dict(action.params)}
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
        with place.transaction(now, self.name) as session:
            session.registry.put_version(candidate)
        return [candidate.id]


class Closer:
    """Passes a candidate that shows the target more nearly than the incumbent, by more than the margin.

    After a release it passes what is not worse.
    """

    name = "closer"
    stages: Sequence[Stage] = ("verify", "shadow", "canary", "watch")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
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
            new = session.registry.get_version(trial.candidate)
            old = None if trial.incumbent is None else session.registry.get_version(trial.incumbent)
        off_new, off_old = (abs(shown + _offset(version) - gauge.target) for version in (new, old))
        comparison = Comparison.NOT_ENOUGH_EVIDENCE
        if abs(off_new - off_old) > gauge.margin:
            comparison = Comparison.BETTER if off_new < off_old else Comparison.WORSE
        text = f"{comparison.value}: off by {off_new:g}, the incumbent by {off_old:g}, margin {gauge.margin:g}"
        evidence = {"off_candidate": off_new, "off_incumbent": off_old, "margin": gauge.margin}
        refused = (Comparison.WORSE,) if trial.stage != "verify" else (Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE)
        return Verdict(self.name, comparison, comparison not in refused, text, evidence, gain=off_old - off_new)


class Loads:
    """Passes a version whose offset is a number: the proof that it can be gone back to."""

    name = "loads"
    stages: Sequence[Stage] = ("verify", "rollback")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """In `verify` the incumbent is asked, in `rollback` the version that is gone back to."""
        target = trial.incumbent if trial.stage == "verify" else trial.candidate
        if target is None:
            return Verdict(
                self.name, Comparison.NOT_ENOUGH_EVIDENCE, passed=True, text="There is nothing to go back to."
            )
        with place.stores.ledger.read() as session:
            offset = session.registry.get_version(target).definition.get("offset")
        sound = isinstance(offset, int | float)
        text = f"{target} has {'an offset' if sound else f'no offset but {offset!r}'}"
        return Verdict(self.name, Comparison.NOT_ENOUGH_EVIDENCE, passed=sound, text=text)


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
