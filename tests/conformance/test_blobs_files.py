"""Blobs in files keep every promise of their Protocol."""

from __future__ import annotations

import pytest

from perdure.stores.blobs.files import FileBlobs
from perdure.testing.conformance.blobs import BlobsConformance


class TestFileBlobs(BlobsConformance):
    @pytest.fixture
    def blobs(self, tmp_path):
        return FileBlobs(tmp_path / "blobs")

    @pytest.fixture
    def spoil(self, tmp_path):
        return lambda digest: (tmp_path / "blobs" / digest[:2] / digest).write_bytes(b"spoiled")
