"""A project of ten thousand assets with years behind it: what it declares, and its stores, which are made once and kept.

Sixteen assets have 40,000 readings each, the others 36; half of the runs are of one model; every twentieth incident is open.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from perdure import Contract, Label, Model, Perdure, Project, Source, days, drift, feature_view, freshness_h, mae
from perdure.assets.health import Cause, Reading
from perdure.assets.policy import Policy
from perdure.assets.repair import Action
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import plain
from perdure.core.clock import iso
from perdure.core.settings import ProjectSettings, Settings
from perdure.loop.decide import decide
from perdure.loop.situation import Option, Past, Rules, Situation, Symptom
from perdure.stores.ledger.protocols import Approval, Run

START = datetime(2025, 1, 1, tzinfo=UTC)
WEEK = days(7)
_MADE = "made"
_CARD = {
    "n_rows": 10_000,
    "start_at": "2024-01-01",
    "end_at": "2025-01-01",
    "digest": "d" * 64,
    "counts": {"n_train": 8_000},
}
_FEATURES = {f"f{place}": {"psi": 0.1, "js": 0.2, "ks": 0.1, "nulls": 0.0} for place in range(12)}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    n_models: int = 6_000
    n_sources: int = 4_000
    n_runs: int = 50_000
    n_incidents: int = 2_000
    n_heavy: int = 16
    """Assets with a long history."""
    n_hours: int = 4_000
    """Of each of them, ten readings an hour."""

    @property
    def n_light(self) -> int:
        """Readings of each other asset."""
        return 36


WHOLE = Size()
QUICK = Size(600, 400, 2_000, 200, 2, 400)


class Row(Contract):
    """A row of every feed."""

    key: str
    known_at: datetime
    value: float


@feature_view(on=Row)
def parts(row):  # type: ignore[no-untyped-def]
    """One feature."""
    return {"value": row.value}


def declared(size: Size) -> Project:
    """Everything, as a package would declare it."""
    fresh = freshness_h(over=WEEK) <= 9
    sources = [
        Source(f"feed_{n:05d}", Row, list, event_at="known_at", key=("key",), owner=f"team-{n % 40}", healthy=[fresh])
        for n in range(size.n_sources)
    ]
    models = [_model(n, sources[n % len(sources)]) for n in range(size.n_models)]
    return Project(
        name="big",
        contracts={"Row": Row},
        sources={each.name: each for each in sources},
        views={parts.name: parts},
        models={each.name: each for each in models},
    )


def _fit(self: Model, data: object, warm_start: object = None) -> None:
    """Nothing is trained here."""


def _model(number: int, feed: Source) -> type[Model]:
    told = {
        "purpose": f"Tells the value of feed {number}.",
        "owner": f"team-{number % 40}",
        "contract": Row,
        "features": [parts],
        "rows": feed,
        "label": Label(feed, "value", key="key", known_at="known_at", delay=days(1)),
        "healthy": [mae(over=WEEK) <= 9.0, drift(over=WEEK).unharmful()],
        "fit": _fit,
    }
    return type(f"Model{number:05d}", (Model,), told)


def opened(folder: Path, size: Size) -> Perdure:
    """The project over its stores."""
    return Perdure(folder, Settings(ProjectSettings("big")), project=declared(size), actor="ann")


def make(folder: Path, size: Size) -> bool:
    """Fill the stores; False where they are there already. Takes a minute or two at full size."""
    if (folder / _MADE).is_file():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    project, dice = opened(folder, size), random.Random(7)
    _measure(project, size, dice)
    _register(project)
    _break(project, size)
    _train(project, size, dice)
    with project.place.stores.ledger.transaction(actor="loop", at=_now(size), reason="round") as session:
        session.cursors.put("round", iso(_now(size)))
    (folder / _MADE).write_text("whole\n", "utf-8")
    return True


def _now(size: Size) -> datetime:
    return START + timedelta(hours=size.n_hours)


def _measure(project: Perdure, size: Size, dice: random.Random) -> None:
    readings, n_models = project.place.stores.readings, size.n_models
    names = [*project.project.models, *project.project.sources]
    for place, name in enumerate(names):
        hours = range(size.n_hours) if place < size.n_heavy else range(size.n_hours - size.n_light, size.n_hours)
        signal = "mae" if place < n_models else "freshness_h"
        made: list[Reading] = []
        for hour in hours:
            # One in forty is past its bound, one in twenty was not measured lately.
            value = 4.0 + 4.0 * dice.random() + (6.0 if place % 40 == 0 else 0.0)
            at = START + timedelta(hours=hour - (900 if place % 20 == 7 else 0))
            made.append(_reading(name, signal, at, value))
            if place < size.n_heavy:
                made += [_reading(name, signal, at, value + n, where=f"site={n}") for n in range(7)]
                made.append(_reading(name, "drift", at, 0.1, features=True))
                made.append(_reading(name, "skew", at, 0.0))
        readings.put(made)


def _reading(name: str, signal: str, at: datetime, value: float, *, where: str = "", features: bool = False) -> Reading:
    facts = {"features": _FEATURES} if features else {}
    return Reading(
        name, signal, at, at - WEEK, at, value, value - 0.4, value + 0.4, 400, "min", where, f"{name}@{1:012x}", facts
    )


def _register(project: Perdure) -> None:
    ledger = project.place.stores.ledger
    names = list(project.project.models)
    for first in range(0, len(names), 500):
        with ledger.transaction(actor="local", at=START, reason="first") as session:
            for name in names[first : first + 500]:
                told = {"name": name, "purpose": "x" * 60, "owner": "team"}
                session.registry.put_asset("model", name, told)
                for number in (1, 2):
                    session.registry.put_version(_version(name, number))
            session.pointers.set([Pointer(name, CHAMPION, _version(name, 1).id) for name in names[first : first + 500]])
            session.pointers.set(
                [Pointer(name, "canary", _version(name, 2).id, 0.1) for name in names[first : first + 500 : 250]]
            )


def _version(name: str, number: int) -> Version:
    made = START + timedelta(days=number)
    return Version(
        f"{name}@{number:012x}", name, "model", {"fields": ["a"] * 20}, {}, {"code": "x" * 64}, {"mae": 5.1}, made
    )


def _break(project: Perdure, size: Size) -> None:
    names, decided = list(project.project.models), _decided()
    facts = {"symptoms": decided["situation"]["symptoms"], "causes": decided["situation"]["causes"], "jobs": []}
    with project.place.stores.ledger.transaction(actor="loop", at=START, reason="decide") as session:
        for number in range(size.n_incidents):
            name = names[number * 40 % len(names)]
            incident = session.incidents.open(name, f"drift_{number}", "it moved", facts)
            session.audit.append("loop.decide", name, {**decided, "incident": incident.id})
            if number % 20:
                session.incidents.close(incident.id, "healthy again")
        for number in range(12):
            name, key = names[number], f"k{number}"
            session.approvals.ask(
                Approval(f"apr_{number}", name, key, f"Release {name}", "reviewer", 1, "loop", START, "open")
            )


def _decided() -> dict[str, Any]:
    """What the loop writes down of a decision."""
    policy, at = Policy.act(approve_by="reviewer"), iso(START)
    symptom = Symptom("mae over 7d <= 9", "broken", "mae", 12.6, 11.0, 13.0, 900, "min", "", "m@1", at, "f")
    situation = Situation(
        asset="m",
        kind="model",
        now=at,
        trigger="evidence",
        rules=Rules.of(policy, "act"),
        past=Past(),
        symptoms=(symptom,),
        causes=(Cause("concept_drift", 0.8, {"error_ratio": 1.4}, "The relation moved."),),
        options=(Option(Action("retrain_recent", "fit on the newest 60 days"), ("concept_drift",)),),
        incident="inc_0",
    )
    return {"situation": plain(situation), "decision": plain(decide(situation)), "code": "c0de"}


def _train(project: Perdure, size: Size, dice: random.Random) -> None:
    names, ledger = list(project.project.models), project.place.stores.ledger
    curves = {"valid": {"mae": [round(dice.random(), 4) for _ in range(200)]}}
    facts = {"curves": curves, "importance": {f"f{n}": 0.1 for n in range(20)}, "card": _CARD}
    for first in range(0, size.n_runs, 2_500):
        with ledger.transaction(actor="loop", at=START, reason="train") as session:
            for number in range(first, min(first + 2_500, size.n_runs)):
                name = names[0 if number % 2 else number % len(names)]
                at = START + timedelta(minutes=number)
                params = {
                    "lr": dice.random(),
                    "leaves": number % 255,
                    "seed": number,
                    "boosting": ("gbdt", "dart")[number % 2],
                }
                error = {"mae": 9 * dice.random(), "rmse": dice.random()}
                version = {"version": f"{name}@{1:012x}"}
                ended = at + timedelta(seconds=9)
                session.runs.put(
                    Run(f"run_{number:08d}", "train", name, "done", at, ended, params, error, {**facts, **version})
                )
