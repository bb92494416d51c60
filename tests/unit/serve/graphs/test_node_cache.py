"""What nodes gave before is given again only while nothing that they rest on has changed."""

from __future__ import annotations

from functools import partial

from perdure import Index, Pushed
from perdure.core.clock import monotonic_s
from perdure.core.errors import MissingExtra
from perdure.serve.graphs.caching import Kept, NodeCache, in_force
from perdure.serve.live import Live
from perdure.serve.retrieval.held import HeldParts, ServedIndex
from perdure.serve.routing import RoutingTable, ServingTable
from perdure.stores.vectors.opening import open_index
from perdure.testing.conformance.index_world import step

NOBODY = MissingExtra("similarity", needed_for="Embedding")


def kept(output=b"1"):
    return Kept(output, {}, monotonic_s() + 60.0)


def test_another_generation_of_an_index_empties_it_as_a_release_does(tmp_path):
    """A passage that was withdrawn must not be answered from for as long as the cache would hold it."""
    store = open_index(tmp_path / "v.db")
    step(store)
    opened = partial(open_index, tmp_path / "v.db", read_only=True)
    index = ServedIndex(HeldParts(Index("handbook", Pushed()), "handbook@1", opened, None, NOBODY))
    live = Live(ServingTable(RoutingTable(3), {"handbook@1": index, "other@1": object()}))
    cache, before = NodeCache(), in_force(live)
    cache.find("found", before)
    cache.put("found", kept(), before)
    assert cache.find("found", in_force(live)) is not None

    step(store)
    assert index.follow()
    assert cache.find("found", in_force(live)) is None
    store.close()


def test_what_was_given_before_a_change_is_not_kept_after_it():
    cache = NodeCache()
    cache.find("slow", 1)
    cache.find("quick", 2)
    cache.put("slow", kept(), 1)
    assert len(cache) == 0
