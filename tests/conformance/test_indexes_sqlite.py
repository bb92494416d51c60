"""An index in SQLite keeps every promise of its Protocol."""

from __future__ import annotations

import pytest

from perdure.stores.vectors.opening import open_index
from perdure.testing.conformance.indexes import IndexStoreConformance


class TestSqliteIndex(IndexStoreConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda read_only=False: open_index(tmp_path / "indexes" / "v 1%.db", read_only=read_only)
