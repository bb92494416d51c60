"""Runs in SQLite keep every promise of their Protocol."""

from __future__ import annotations

import pytest

from perdure.stores.runs.sqlite import SqliteRuns
from perdure.testing.conformance.runs import RunsConformance


class TestSqliteRuns(RunsConformance):
    @pytest.fixture
    def runs(self, tmp_path):
        runs = SqliteRuns(tmp_path / "stores" / "runs.db")
        yield runs
        runs.close()
