"""Four days of the flights demo, really flown: a model served over HTTP, a fault of the weather feed that the loop found, and a
release that two reviewers must answer.

Made once for all workers of a test run (15 s of CPU), and copied for each test that changes it.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from perdure.surface.deployments import Deployment, Part, Task, close_stores, side_by_side
from perdure.surface.examples import find_example

N_DAYS = 4
_KEPT = "FLIGHTS_KEPT"  # as in flights.data, which need not be imported where the world is made already
PEOPLE = {
    "vic": (("viewer",), ("owner",)),
    "sue": (("scientist",), ("data_scientist",)),
    "eve": (("engineer",), ("ml_engineer", "on_call", "data_engineer")),
    "rex": (("reviewer",), ("reviewer",)),
    "roy": (("reviewer",), ("reviewer",)),
    "pat": (("scientist",), ("prompt_author",)),
    "adm": (("admin",), ()),
}
"""Who may come in: name → roles and duties."""


@contextmanager
def _alone(path: Path):
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def made_once(shared: Path) -> Path:
    """The world's folder under `shared`, made by whoever comes first."""
    with _alone(shared / "flights_world.lock"):
        ready = shared / "flights_world"
        if not ready.exists():
            half = shared / "flights_world.half"
            shutil.rmtree(half, ignore_errors=True)
            _fly(half)
            half.rename(ready)
        return ready


def copied(world: Path, folder: Path) -> Deployment:
    """A copy of the world that nobody else changes."""
    shutil.copytree(world, folder, dirs_exist_ok=True)
    return _deployment(folder)


def _deployment(folder: Path, **settings: str) -> Deployment:
    home = folder / "flights"
    return Deployment("managed", home, home / ".perdure", {_KEPT: str(folder / "flights.parquet"), **settings})


def _fly(folder: Path) -> None:
    home = folder / "flights"
    shutil.copytree(find_example("flights"), home, ignore=shutil.ignore_patterns("out", "__pycache__"))
    if str(find_example("flights")) not in sys.path:
        sys.path.insert(0, str(find_example("flights")))
    from flights import data
    from flights.fault import VARIABLE, Fault
    from flights.traffic import MODEL

    data.all_flights().write_parquet(folder / "flights.parquet")
    hour = timedelta(hours=1)
    fault = Fault(data.TRAINED_AT + 24 * hour, wrong_for=36 * hour, stop_after=24 * hour, silent_for=24 * hour)
    deployment = _deployment(folder, **{VARIABLE: fault.as_json()})
    project = deployment.open()
    project.tick(at=data.TRAINED_AT)
    project.train(MODEL, at=data.TRAINED_AT)
    project.apply(at=data.TRAINED_AT)
    close_stores(project)
    _ask_two_reviewers(home)
    end = data.TRAINED_AT + timedelta(days=N_DAYS)
    part = Part("managed", data.TRAINED_AT, end, end)
    side_by_side([Task(deployment, part, (sys.executable, "-m", "flights"))], lambda _: None)
    _ask_for_a_release(deployment, end)


def _ask_two_reviewers(home: Path) -> None:
    """From now on the model's releases ask, and one person alone cannot say yes."""
    declared = home / "flights" / "model.py"
    text = declared.read_text("utf-8")
    asking = text.replace("Policy.act(", 'Policy.act(\n        approve_by="reviewer",\n        four_eyes=True,', 1)
    assert asking != text
    declared.write_text(asking, "utf-8")


def _ask_for_a_release(deployment: Deployment, end) -> None:
    """Train by hand, as sue the data scientist would, and ask for the release."""
    from flights.traffic import MODEL

    from perdure.core.settings import load_settings
    from perdure.surface.project import SETTINGS_FILE, load_project
    from perdure.surface.sdk import Perdure

    settings = load_settings((deployment.folder / SETTINGS_FILE).read_text("utf-8"), deployment.environment)
    project = Perdure(deployment.folder, settings, project=load_project(deployment.folder, settings), actor="sue")
    project.train(MODEL, at=end, params={"n_estimators": 120})
    project.apply(at=end)
    close_stores(project)
