"""A place with real stores and a loop over gauges, driven day by day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from perdure.assets.health import Comparison, Verdict
from perdure.assets.policy import Policy, Ramp
from perdure.assets.repair import Action, Stage, Trial
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash
from perdure.core.ids import version_id
from perdure.core.settings import Settings
from perdure.core.units import days, hours
from perdure.durable.lease import hold
from perdure.loop.protocols import LEASE, Kind, Watched
from perdure.loop.round import Loop, RoundReport
from perdure.stores.ledger.protocols import Answer
from perdure.surface.compose import open_ledger, open_place
from perdure.testing.toy import TOY, Gauge, level, toy_kind, watch

T0 = datetime(2025, 1, 1, tzinfo=UTC)
AT_ONCE = Ramp(shadow=hours(0), canary=hours(0))
FAST = Ramp(shadow=hours(12), canary=hours(12), share=0.2)


def gauge(shows: Callable[[float], float], name: str = "boiler", *, n_days: float = 40, **settings: Any) -> Gauge:
    """A gauge that shows what is said of each half day; its target is 20."""
    points = {T0 + hours(12 * half): shows(half / 2) for half in range(int(2 * n_days))}
    return Gauge(name, points, target=20.0, margin=1.0, **settings)


def boiler(
    decays_on: float = 3, *, to: float = 27.0, n_days: float = 40, name: str = "boiler", **settings: Any
) -> Gauge:
    """A gauge that shows 20 each half day, and `to` from a day on."""
    return gauge(lambda day: 20.0 if day < decays_on else to, name, n_days=n_days, **settings)


def wild(name: str = "boiler", *, up_to: float = 40) -> Gauge:
    """A gauge that moves by 7 or more each half day, up and down, so that it always has a cause, and no repair lasts."""
    return gauge(lambda day: 20.0 if day < 3 else 27.0 + 8.0 * (2 * day % 2), name, n_days=up_to)


def watched(gauge: Gauge, *, rests_on: Sequence[str] = (), **settings: Any) -> Watched:
    """The gauge with an objective of a day's window, and a policy that acts."""
    policy = Policy.act(**{"ramp": FAST, "watch": days(2), "cool_down": days(3), **settings})
    return watch(gauge, level(over=days(1)) <= 23.0, policy=policy, rests_on=rests_on)


class Says:
    """A gate that says one thing in some stages, whatever it is asked."""

    def __init__(self, *stages: Stage, passes: bool = False, after: datetime = T0, name: str = "says") -> None:
        self.name = name
        self.stages: Sequence[Stage] = stages
        self.passes = passes
        self._after = after

    def judge(self, place: Any, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Its one word, from an instant on."""
        passed = self.passes or now < self._after
        comparison = Comparison.BETTER if passed else Comparison.WORSE
        return Verdict(self.name, comparison, passed, "so it is", {"stage": trial.stage})


class Proposes:
    """A remedy that proposes actions of an effect, and makes nothing; it says what it was asked to do."""

    def __init__(
        self, name: str, *, effect: Any = "state", answers: Sequence[str] = ("moved",), times: int = 1
    ) -> None:
        self.name = name
        self.answers = answers
        self.done: list[str] = []
        self._effect = effect
        self._times = times

    def propose(self, place: Any, asset: Watched, causes: Any, now: datetime) -> Sequence[Action]:
        """One action until it was done often enough."""
        return [Action(self.name, "mend what is below", self._effect)] if len(self.done) < self._times else []

    def repair(self, place: Any, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """No candidate."""
        self.done.append(step)
        return ()


def kind_with(*, gates: Sequence[Any] = (), remedies: Sequence[Any] = (), causes: Sequence[Any] = ()) -> Kind:
    """The toy kind with further recipes."""
    kind = toy_kind()
    return replace(
        kind,
        gates=(*kind.gates, *gates),
        remedies=(*kind.remedies, *remedies),
        causes=(*causes, *kind.causes),
    )


class Plant:
    """The stores in a folder, and a loop over what is watched."""

    def __init__(
        self,
        folder: Path,
        assets: Sequence[Watched],
        kind: Kind | None = None,
        *,
        actor: str = "ann",
        **settings: Any,
    ) -> None:
        self.settings = Settings(**settings)
        self.place = open_place(folder, self.settings, actor, open_ledger(folder, self.settings))
        self.loop = Loop(self.place, {TOY: kind or toy_kind()}, [], assets, list)

    def release(self, asset: str, offset: float = 0.0, at: datetime = T0) -> str:
        """A first champion."""
        definition = {"offset": offset}
        version = Version(version_id(asset, content_hash(definition)), asset, TOY, definition, {}, {}, {}, at, "ann")
        with self.place.stores.ledger.transaction(actor="ann", at=at, reason="first") as session:
            session.registry.put_version(version)
            session.pointers.set([Pointer(asset, CHAMPION, version.id)])
        return version.id

    def open_question(self) -> Any:
        """The one question that waits for people."""
        with self.place.stores.ledger.read() as session:
            (question,) = session.approvals.list(open_only=True)
        return question

    def answer(self, day: float, actor: str, *, approves: bool = True) -> None:
        """What a person says to it."""
        at = T0 + timedelta(days=day)
        with self.place.stores.ledger.transaction(actor=actor, at=at, reason="asked") as session:
            (question,) = session.approvals.list(open_only=True)
            session.approvals.answer(question.id, Answer(actor, approves, "I looked", at))

    def repair(self, day: float, asset: str = "boiler") -> Any:
        """A person asks for a repair."""
        with hold(self.place.stores.leases, LEASE, "person", 30.0) as held:
            return self.loop.repair(asset, T0 + timedelta(days=day), held.lease)

    def tick(self, day: float) -> RoundReport:
        """A round at a day from the start."""
        with hold(self.place.stores.leases, LEASE, "worker", 30.0) as held:
            return self.loop.tick(T0 + timedelta(days=day), held.lease)

    def run(self, start: float, end: float, step: float = 0.5) -> list[RoundReport]:
        """Rounds from one day to another, both included."""
        n = round((end - start) / step)
        return [self.tick(start + step * at) for at in range(n + 1)]

    def champion(self, asset: str = "boiler") -> str | None:
        """The version that answers."""
        with self.place.stores.ledger.read() as session:
            return next((each.version for each in session.pointers.list(asset) if each.name == CHAMPION), None)

    def entries(self, action: str) -> list[Any]:
        """Facts of audit entries of an action."""
        with self.place.stores.ledger.read() as session:
            return [entry.facts for entry in session.audit.list(limit=100_000) if entry.action == action]

    def decisions(self, asset: str = "boiler") -> list[tuple[float, str]]:
        """Every recorded decision on an asset, with its day."""
        with self.place.stores.ledger.read() as session:
            entries = session.audit.list(subject=asset, limit=100_000)
        decided = [entry for entry in entries if entry.action == "loop.decide"]
        return [((entry.at - T0) / days(1), entry.facts["decision"]["choice"]) for entry in decided]

    def reasons(self, asset: str = "boiler") -> list[str]:
        """The first reason of each decision on an asset."""
        facts = [each for each in self.entries("loop.decide") if each["situation"]["asset"] == asset]
        return [each["decision"]["reasons"][0] for each in facts]

    def outcomes(self) -> list[str]:
        """How each repair came out."""
        return [each["outcome"] for each in self.entries("loop.outcome")]

    def pointers(self, asset: str = "boiler") -> dict[str, str]:
        """What every pointer of an asset points to."""
        with self.place.stores.ledger.read() as session:
            return {pointer.name: pointer.version for pointer in session.pointers.list(asset)}

    def sequence(self) -> int:
        """Of the newest entry of the audit."""
        return self.place.stores.ledger.sequence()

    def incidents(self) -> list[Any]:
        """All incidents."""
        with self.place.stores.ledger.read() as session:
            return session.incidents.list()

    def jobs(self) -> list[Any]:
        """All jobs, oldest first."""
        with self.place.stores.ledger.read() as session:
            return list(reversed(session.jobs.list(limit=1000)))

    def stages(self, asset: str = "boiler") -> list[tuple[str, float]]:
        """Stage of each pointer move by a job, with its day."""
        with self.place.stores.ledger.read() as session:
            moves = session.pointers.history(asset)
        found: dict[int, tuple[str, float]] = {}
        for move in moves:
            if "stage" in move.facts:
                found[move.sequence] = (move.facts["stage"], (move.at - T0) / days(1))
        return list(found.values())
