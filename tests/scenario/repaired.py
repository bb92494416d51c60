"""Worlds that were trained and released, for tests of remedies and gates on real stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from perdure.assets.health import Cause
from perdure.assets.policy import Policy
from perdure.assets.repair import Action
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days
from perdure.loop.protocols import Remedy, Watched
from perdure.loop.work.remedies import model_remedies
from perdure.loop.work.scoring import load
from perdure.loop.work.versions import find_champion, get_version
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

TRAINED, NOW = 12.0, 26.0
"""Days from the start: when the champion was trained, and when repairs begin."""
SETTINGS = Settings(project=ProjectSettings(name="world"))
DRIFTED = [Cause("concept_drift", 1.0, {}, "the relation moved")]
BROKEN = [Cause("operational", 1.0, {}, "it does not load")]


def at(day: float) -> datetime:
    return START + timedelta(days=day)


def released(folder: Path, world: World | None = None, *, until: float = NOW) -> Perdure:
    """A project whose model was trained and released on day 12, and whose sources are known until `until`."""
    made = world or World(n_days=27, per_day=60, change_at=19.0)
    perdure = Perdure(folder, SETTINGS, project=made.project())
    perdure.train("minutes", at=at(TRAINED))
    perdure.apply(at=at(TRAINED))
    perdure.tick(at=at(until))
    return perdure


def watched(perdure: Perdure, *, training: str = "stateless", **changed: Any) -> Watched:
    """The model as the loop sees it, with attributes changed."""
    attributes = {"name": "minutes", "recent": (days(14), days(7)), **changed}
    model = type("Minutes", (perdure.project.model("minutes"),), attributes)
    policy = replace(Policy.act(), training=training)  # type: ignore[arg-type]
    return Watched("minutes", "model", tuple(model.healthy), policy, model)


def remedy(name: str) -> Remedy:
    return next(each for each in model_remedies() if each.name == name)


def proposed(perdure: Perdure, asset: Watched, name: str, causes: list[Cause] = DRIFTED) -> list[Action]:
    return list(remedy(name).propose(perdure.place, asset, causes, at(NOW)))


def repaired(perdure: Perdure, asset: Watched, name: str, *, day: float = NOW, step: str = "job/1") -> list[str]:
    """Version ids of every action that a remedy proposes."""
    actions = remedy(name).propose(perdure.place, asset, DRIFTED, at(day))
    return [made for action in actions for made in remedy(name).repair(perdure.place, asset, action, step, at(day))]


def version(perdure: Perdure, version_id: str) -> Version:
    return get_version(perdure.place.stores.ledger, version_id)


def champion(perdure: Perdure) -> Version:
    found = find_champion(perdure.place.stores.ledger, "minutes")
    assert found is not None
    return found


def release(perdure: Perdure, version_id: str, day: float, **facts: Any) -> None:
    with perdure.place.transaction(at(day), "test") as session:
        session.pointers.set([Pointer("minutes", CHAMPION, version_id)], facts=facts)


def damage(perdure: Perdure, version_id: str, role: str = "onnx") -> None:
    """Change a byte of a blob on disk."""
    digest = version(perdure, version_id).artifacts[role]
    path = perdure.folder / ".perdure" / "blobs" / digest[:2] / digest
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(bytes(content))


def predictor(perdure: Perdure, version_id: str) -> Any:
    return load(perdure.place, version(perdure, version_id))
