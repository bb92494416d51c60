"""The world of the scoring tests, and its module made importable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scoring_world import World


@pytest.fixture
def world(tmp_path) -> World:
    """A world with nothing in it yet."""
    return World(tmp_path)
