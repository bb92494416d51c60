"""An index in LanceDB keeps every promise of its Protocol."""

from __future__ import annotations

import pytest

from perdure.stores.vectors.opening import open_index
from perdure.testing.conformance.indexes import IndexStoreConformance

pytest.importorskip("lancedb", reason="The extra `lancedb` is not installed.")


class TestLanceIndex(IndexStoreConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        path, store = tmp_path / "indexes" / "v 1%.db", f"lancedb:{tmp_path / 'lance'}"
        return lambda read_only=False: open_index(path, store, read_only=read_only)
