"""Rounds of a project with an index look after its cache of vectors."""

from __future__ import annotations

from indexing import IndexWorld, days

from perdure.core.clock import machine_us
from perdure.loop.work.indexes.forgetting import KEPT
from perdure.stores.vectors.embedded import EmbeddingCache


def test_what_nobody_used_for_long_is_forgotten_by_a_round_and_the_index_stays_whole(tmp_path):
    world = IndexWorld(tmp_path, n_documents=5)
    [path] = tmp_path.rglob("embeddings.db")
    long_ago_us = machine_us() - round(1.1e6 * KEPT.total_seconds())
    old = EmbeddingCache(path, now_us=lambda: long_ago_us)
    old.put("one that is gone", {"text": b"\0\0\x80?"})
    world.live(1)
    assert len(old.find("one that is gone", ["text"])) == 1, "it is looked for once a day"
    world.now += days(1)
    world.live(1)
    assert old.find("one that is gone", ["text"]) == {}
    old.close()
    assert world.incidents() == []
    assert [each.n_embedded for each in world.perdure.sync_index("handbook", at=world.now)] == [0]
