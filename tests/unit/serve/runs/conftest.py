"""The small world of runs is shared with scenarios: made importable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scenario"))

from processes import Desk

from perdure.stores.runs.sqlite import SqliteRuns


@pytest.fixture
def desk(tmp_path):
    """A desk over a store in a file."""
    store = SqliteRuns(tmp_path / "runs.db")
    yield Desk(store)
    store.close()
