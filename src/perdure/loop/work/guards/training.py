"""Makes a version of a guard whose learned check was trained: by hand, or as a candidate of a remedy.

A version pins what it came from: its artifact, and a record of the texts that it was trained on, as signatures that tell
whether a text was among them and not what it was. A step of a repair that is done again makes the same version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from perdure.assets.guard import Guard, Learned
from perdure.assets.version import Version
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import cpu_s, machine_now
from perdure.core.errors import BadGuard, TooFewRows
from perdure.core.ids import Digest, new_id, version_id
from perdure.engines.guards.learned_duplicates import Seen
from perdure.engines.guards.learned_training import Report, train_learned
from perdure.loop.protocols import Workplace
from perdure.loop.work.guards.cases import Case, learned_of, read_cases
from perdure.loop.work.guards.judging import LEARNED, TrainedOn
from perdure.stores.ledger.protocols import Run

SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How a candidate comes to be."""

    remedy: str = ""
    """Name of the remedy; empty where a person trains."""
    params: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    weights: Sequence[float] | None = None
    """How much each text counts; None: all alike."""


def train_guard(place: Workplace, guard: Guard, now: datetime) -> Version:
    """Train a guard's learned check on every labelled text that is not held out, and register the version.

    Nothing is released: a person, or the loop, moves the pointer.

    Raises:
        BadGuard: it has no learned check, or its examples have no labels.
        TooFewRows: fewer than 10 texts of a label.
    """
    return train_on(place, guard, trainable(read_cases(place, guard, now)), Recipe(), now)


def trainable(cases: Sequence[Case]) -> list[Case]:
    """Those that may be trained on."""
    return [case for case in cases if not case.held_out]


def train_on(place: Workplace, guard: Guard, cases: Sequence[Case], recipe: Recipe, now: datetime) -> Version:
    """Train on some texts and register the version; the run is recorded also when it fails.

    Raises: as `train_guard`.
    """
    learned = _checked(guard)
    run = Run(recipe.run_id or new_id("run"), "train", guard.name, "running", machine_now(), actor=place.actor)
    _record(place, run, now)
    began = cpu_s()
    try:
        made = train_learned(
            [case.text for case in cases],
            [case.harmful for case in cases],
            [case.family for case in cases],
            max_false_block=learned.max_false_block,
            seed=SEED,
            weights=recipe.weights,
        )
    except TooFewRows as error:
        _record(place, _ended(run, "failed", {}, {"error": error.as_dict()}), now)
        raise
    dataset = TrainedOn(
        Seen.of([case.keys for case in cases if case.keys is not None]).to_bytes(),
        sorted({case.family for case in cases if case.harmful and case.family}),
        made.report.n_harmful,
        made.report.n_harmless,
    )
    digest = place.stores.blobs.put(msgspec.msgpack.encode(dataset))
    version = register(place, guard, (made.artifact, digest), (recipe, metrics_of(made.report)), now)
    facts = {"version": version.id, "dataset": digest, "remedy": recipe.remedy, "cpu_s": round(cpu_s() - began, 3),
             "report": plain(made.report)}  # fmt: skip
    _record(place, _ended(run, "done", version.metrics, facts), now)
    return version


def _checked(guard: Guard) -> Learned:
    learned = learned_of(guard)
    if learned is None:
        raise BadGuard(f"Guard {guard.name!r} has nothing to learn.", hint="Give it a Learned(examples=...) check.")
    return learned


def metrics_of(report: Report) -> dict[str, float]:
    """What is told of a training, cross-fitted: of texts that the model had not seen."""
    return {
        "recall": report.recall,
        "auc": report.auc,
        "false_block_upper": report.threshold.upper,
        "threshold": report.threshold.value,
    }


def register(
    place: Workplace,
    guard: Guard,
    learned: tuple[bytes, Digest],
    how: tuple[Recipe, Mapping[str, float]],
    now: datetime,
) -> Version:
    """Keep a guard's version under the hash of its content; one that is there already stays as it is.

    Args:
        place: where it is kept.
        guard: whose declaration it has.
        learned: the artifact, and the digest of the record of what it was trained on.
        how: the recipe, and its metrics.
        now: domain time.
    """
    artifact, dataset = learned
    recipe, metrics = how
    lineage: dict[str, Any] = {"dataset": dataset, "seed": SEED}
    if recipe.remedy:
        lineage |= {"remedy": recipe.remedy, "remedy_params": dict(recipe.params), "run": recipe.run_id}
    content = {
        "asset": guard.name,
        "definition": plain(guard.definition()),
        "artifacts": {LEARNED: str(place.stores.blobs.put(artifact))},
        "lineage": plain(lineage),
    }
    version = Version(
        id=version_id(guard.name, content_hash(content)),
        asset=guard.name,
        kind="guard",
        definition=content["definition"],
        artifacts=content["artifacts"],
        lineage=content["lineage"],
        metrics=dict(metrics),
        created_at=now,
        actor=place.actor,
    )
    with place.transaction(now, "train") as session:
        return session.registry.put_version(version)


def record_done(place: Workplace, guard: Guard, version: Version, recipe: Recipe, now: datetime) -> None:
    """The run of a candidate that was made without training."""
    run = Run(recipe.run_id, "train", guard.name, "done", machine_now(), machine_now(), actor=place.actor)
    facts = {"version": version.id, "remedy": recipe.remedy, "cpu_s": 0.0}
    _record(place, _ended(run, "done", version.metrics, facts), now)


def _ended(run: Run, status: str, metrics: Mapping[str, float], facts: Mapping[str, Any]) -> Run:
    return replace(run, status=status, finished_at=machine_now(), metrics=dict(metrics), facts=plain(facts))


def _record(place: Workplace, run: Run, now: datetime) -> None:
    with place.transaction(now, f"train {run.status}") as session:
        session.runs.put(run)
