"""Blobs are put only while the lease is held, and read without one."""

from __future__ import annotations

import pytest

from perdure.core.errors import LostLease
from perdure.durable.fencing import FencedBlobs
from perdure.durable.lease import hold
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.blobs import BlobsConformance


class TestFencedBlobs(BlobsConformance):
    @pytest.fixture
    def blobs(self, tmp_path):
        return FencedBlobs(FileBlobs(tmp_path / "blobs"), lambda: None)

    @pytest.fixture
    def spoil(self, tmp_path):
        return lambda digest: (tmp_path / "blobs" / digest[:2] / digest).write_bytes(b"spoiled")


def test_a_worker_that_lost_its_lease_puts_no_blob(tmp_path):
    ledger, blobs = SqliteLedger(tmp_path / "ledger.sqlite", project="flights"), FileBlobs(tmp_path / "blobs")
    with hold(ledger.leases, "loop", "ana", 600.0) as held:
        fenced = FencedBlobs(blobs, held.check)
        kept = fenced.put(b"model")
        ledger.leases.release(held.lease)
        ledger.leases.acquire("loop", "bo", 600.0)
        assert not held.renew()
        with pytest.raises(LostLease):
            fenced.put(b"another")
    assert blobs.list() == [kept]
    assert fenced.get(kept) == b"model"
    ledger.close()
