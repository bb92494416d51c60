"""A running server holds its memory against its store: a flipped bit is found, healed, and told."""

from __future__ import annotations

import numpy as np
import pytest
from retrieval_world import documents, search

from perdure.serve.retrieval.held import ServedIndex
from perdure.stores.capture.events import Compared


@pytest.fixture
def held(monkeypatch):
    """What is held in memory by servers of this process."""
    found, init = [], ServedIndex.__init__

    def remembered(self, parts):
        init(self, parts)
        found.append(self)

    monkeypatch.setattr(ServedIndex, "__init__", remembered)
    return found


def test_damage_of_a_server_s_memory_is_found_healed_and_told(world, store, held, request):
    """A row that memory lost is found again; who asks is told that it was so, and so is the lake."""
    gateway = request.getfixturevalue("gateway")
    [index] = held
    state = index.held.searcher.state
    object.__setattr__(state, "alive", (np.array([False, True, True, True]),))
    assert "refunds.md" not in documents(search(gateway, "refunds", mode="lexical"))
    index.comparing.hasten()

    def told():
        return [each for each in world.captured() if isinstance(each, Compared)]

    gateway.wait_for(lambda: told() != [])
    [event] = told()
    assert [(each.document, each.kind) for each in event.differing] == [("refunds.md", "missing")]
    assert (event.index, event.version, event.n_differing, event.healed) == ("handbook", index.version, 1, True)
    assert documents(search(gateway, "refunds", mode="lexical"))[0] == "refunds.md"
    [served] = gateway.ask("/v1/indexes/handbook", None, method="GET").json["served"]
    assert served["compared"] == {"generation": 1, "n_chunks": 4, "n_differing": 1, "healed": True}
