"""The console over a toy world, asked in process."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("console_world", Path(__file__).with_name("console_world.py"))
assert _spec is not None
assert _spec.loader is not None
console_world = importlib.util.module_from_spec(_spec)
sys.modules["console_world"] = console_world
_spec.loader.exec_module(console_world)


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
