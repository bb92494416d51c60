"""Results in SQLite keep every promise of their Protocol."""

from __future__ import annotations

import pytest

from perdure.stores.results.sqlite import SqliteResults
from perdure.testing.conformance.results import ResultsConformance


class TestSqliteResults(ResultsConformance):
    @pytest.fixture
    def results(self, tmp_path):
        results = SqliteResults(tmp_path / "stores" / "results.db")
        yield results
        results.close()
