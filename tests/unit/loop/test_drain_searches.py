"""Searches of indexes on their way to the lake."""

from __future__ import annotations

from datetime import UTC, datetime

from perdure.core.settings import CaptureSettings
from perdure.loop.drain import Drain, DrainReport
from perdure.stores.capture.events import Differing
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.capture import comparison, search


def test_a_search_is_a_row_with_what_it_gave_and_what_was_dropped(tmp_path):
    """Lists of one search stay beside each other, and a batch that is drained again adds nothing."""
    writer = SegmentWriter(tmp_path / "capture", CaptureSettings(min_free_bytes=0))
    writer.append(search(1))
    found = {"keys": [7, 9], "documents": ["a.md", "b.md"], "scores": [0.5, 0.25], "cosines": [None, 0.75]}
    writer.append(search(2, dropped=[], as_of_us=1_500_000, purpose="answer", **found))
    ledger, lake = SqliteLedger(tmp_path / "ledger.db", project="test"), DeltaLake(tmp_path / "lake")
    drain = Drain(SegmentLog(tmp_path / "capture"), lake, ledger)
    lease = ledger.leases.acquire("drain", "me", 60.0)
    now = datetime(2026, 1, 5, tzinfo=UTC)
    assert drain.run(now=now, actor="test", lease=lease) == DrainReport(n_frames=2, n_searches=2, batches=1)
    assert drain.run(now=now, actor="test", lease=lease) == DrainReport()
    ledger.close()
    writer.close()

    one, two = lake.read("searches").sort("search_id").to_dicts()
    assert (one["dropped_keys"], one["dropped_documents"], one["dropped_reasons"]) == ([8], ["b.md"], ["ghost"])
    assert (one["as_of"], one["best_cosine"], one["batch"]) == (None, None, 1)
    assert {name: two[name] for name in found} == found
    assert (two["best_cosine"], two["purpose"], two["dropped_keys"]) == (0.75, "answer", [])
    assert (two["as_of"], two["served_at"]) == (
        datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC),
    )


def test_a_round_of_a_server_s_memory_is_a_row(tmp_path):
    """What differed stands in lists of equal length."""
    writer = SegmentWriter(tmp_path / "capture", CaptureSettings(min_free_bytes=0))
    writer.append(comparison(Differing(8, "b.md", "ghost"), Differing(0, "c.md", "missing")))
    writer.append(comparison())
    ledger, lake = SqliteLedger(tmp_path / "ledger.db", project="test"), DeltaLake(tmp_path / "lake")
    lease = ledger.leases.acquire("drain", "me", 60.0)
    Drain(SegmentLog(tmp_path / "capture"), lake, ledger).run(
        now=datetime(2026, 1, 5, tzinfo=UTC), actor="test", lease=lease
    )
    ledger.close()
    writer.close()
    one, two = lake.read("compared").sort("n_differing", descending=True).to_dicts()
    assert (one["keys"], one["documents"], one["kinds"]) == ([8, 0], ["b.md", "c.md"], ["ghost", "missing"])
    assert (one["n_differing"], one["healed"]) == (2, True)
    assert (two["keys"], two["n_chunks"], two["healed"]) == ([], 9, False)
