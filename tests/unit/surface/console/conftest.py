"""The console over a toy world, asked in process."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import types
from pathlib import Path

import pytest


def _world(name: str) -> types.ModuleType:
    """A module beside this file, which tests import by its name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


console_world = _world("console_world")
people_world = _world("people_world")
language_world = _world("language_world")
page_walk = _world("page_walk")


@pytest.fixture(scope="session")
def console_folder(tmp_path_factory) -> Path:
    """The toy world's project. Look at it only."""
    return console_world.make_world(tmp_path_factory.mktemp("console") / "shop")


@pytest.fixture(scope="session")
def console(console_folder) -> console_world.Console:
    """The console over the toy world; for pages: nothing may be written. Ask by `console.get("/assets", as_="viewer")`."""
    return console_world.open_console(console_folder)


@pytest.fixture
def own_console(console_folder, tmp_path) -> console_world.Console:
    """The console over a copy of the toy world, for deeds: `own_console.post("/incidents/ID/take", {...}, as_="engineer")`."""
    return console_world.open_console(Path(shutil.copytree(console_folder, tmp_path / "shop")))


@pytest.fixture(scope="session")
def people_folder(console_folder, tmp_path_factory) -> Path:
    """The toy world with people in its ledger. Look at it only."""
    return people_world.let_in(Path(shutil.copytree(console_folder, tmp_path_factory.mktemp("people") / "shop")))


@pytest.fixture
def door(people_folder, tmp_path) -> people_world.Door:
    """The real door, with people, over a copy of the toy world: `door.as_("ann").get("/people")`."""
    return people_world.open_door(Path(shutil.copytree(people_folder, tmp_path / "shop")))


@pytest.fixture(scope="module")
def shared_door(people_folder, tmp_path_factory) -> people_world.Door:
    """The same for tests that write nothing."""
    return people_world.open_door(Path(shutil.copytree(people_folder, tmp_path_factory.mktemp("door") / "shop")))
