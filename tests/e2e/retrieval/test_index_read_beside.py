"""A large index is read while everything else is served."""

from __future__ import annotations

import threading

import pytest
from retrieval_world import Opens, documents, search, write

from perdure.core.clock import monotonic_s


@pytest.fixture
def may(monkeypatch):
    """When the large index may be read."""
    event, store = threading.Event(), Opens.store

    def waited(self, name, version):
        assert name != "large" or event.wait(30)
        return store(self, name, version)

    monkeypatch.setattr(Opens, "store", waited)
    yield event
    event.set()


def test_until_it_is_there_that_index_alone_is_not_ready(world, store, may):
    """And it is found as soon as it is read."""
    _, large = world.index("large")
    write(large, {"a.md": "Zeppelins fly."})
    with world.serving() as running:
        assert search(running, "refunds").status == 200
        told = search(running, "zeppelins", "large")
        assert (told.status, told.json["error"]["code"]) == (503, "not_ready")
        assert "being read" in told.json["error"]["message"]
        may.set()
        began_s = monotonic_s()
        running.wait_for(lambda: search(running, "zeppelins", "large").status == 200)
        assert monotonic_s() - began_s < 2.0
        assert documents(search(running, "zeppelins", "large")) == ["a.md"]
    large.close()
