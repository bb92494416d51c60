"""The console over a toy project of everything that speaks."""

from __future__ import annotations

import shutil
from pathlib import Path

import console_world
import language_world
import pytest


@pytest.fixture(scope="session")
def desk_folder(tmp_path_factory) -> Path:
    """The world. Look at it only."""
    return language_world.make_language_world(tmp_path_factory.mktemp("language") / "desk")


@pytest.fixture(scope="session")
def desk(desk_folder) -> console_world.Console:
    """The console over it, for pages."""
    return console_world.open_console(desk_folder)


@pytest.fixture
def own_desk(desk_folder, tmp_path) -> console_world.Console:
    """The console over a copy, where something is written."""
    return console_world.open_console(Path(shutil.copytree(desk_folder, tmp_path / "desk")))


@pytest.fixture(scope="session")
def run(desk) -> str:
    """The comparison of two versions."""
    return desk.get("/api/language/evals").json["data"]["runs"]["rows"][0][0]["text"]
