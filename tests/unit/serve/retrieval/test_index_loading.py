"""A large index is read beside everything else, and nobody waits for it but whoever asks it."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from perdure import Index, Pushed
from perdure.assets.version import Version
from perdure.core.clock import EPOCH, monotonic_s
from perdure.core.errors import MissingExtra, NotFound, NotReady, StoreError
from perdure.serve.retrieval.loading import IndexLoader
from perdure.stores.vectors.opening import open_index
from perdure.testing.conformance.index_world import a_chunk, put


class Opens:
    """A store that opens when it may."""

    def __init__(self, path):
        self.path_, self.may, self.n, self.error = path, threading.Event(), 0, None

    def index(self, name, version):
        return Index(name, Pushed())

    def store(self, name, version):
        self.n += 1
        assert self.may.wait(20)
        if self.error is not None:
            raise self.error
        return open_index(self.path_, read_only=True)

    def path(self, name, version):
        return None

    def embedder(self, index):
        raise MissingExtra("similarity", needed_for="Embedding")


@pytest.fixture
def opens(tmp_path):
    store = open_index(tmp_path / "v.db")
    put(store, a_chunk("a.md", "one"))
    store.close()
    return Opens(tmp_path / "v.db")


@pytest.fixture
def loader(opens, monkeypatch):
    monkeypatch.setattr("perdure.serve.retrieval.loading.PATIENCE_S", 0.05)
    made = IndexLoader({"handbook": Index("handbook", Pushed())}, opens, 0.01)
    yield made
    opens.may.set()
    made.stop()


def load(loader, asset="handbook", version="handbook@1"):
    return loader.load(Version(version, asset, "index", {}, {}, {}, {}, EPOCH), trusted=True)


def test_what_takes_longer_is_not_ready_until_it_is_there_and_is_read_once(loader, opens):
    """Whoever was told to wait is called when it is there."""
    ready = threading.Event()
    loader.ready = ready.set
    began_s = monotonic_s()
    for _ in range(3):
        with pytest.raises(NotReady, match="being read"):
            load(loader)
    assert monotonic_s() - began_s < 1.0
    opens.may.set()
    assert ready.wait(20)
    assert load(loader).held.generation.number == 1
    assert opens.n == 1


def test_what_is_there_at_once_is_given_at_once(loader, opens):
    opens.may.set()
    assert wait_for(partial(load, loader)).held.generation.number == 1


def test_what_cannot_be_read_is_its_own_error_and_is_tried_anew(loader, opens):
    opens.may.set()
    opens.error = StoreError("It is away.", hint="Bring it back.")
    with pytest.raises(StoreError):
        wait_for(partial(load, loader))
    opens.error = None
    assert wait_for(partial(load, loader)).version == "handbook@1"


def test_what_was_read_and_never_asked_for_again_is_let_go(loader, opens, monkeypatch):
    with pytest.raises(NotReady):
        load(loader, version="handbook@2")
    opens.may.set()
    loader._under_way["handbook@2"].done.wait(20)
    monkeypatch.setattr("perdure.serve.retrieval.loading._FORGOTTEN_S", -1.0)
    wait_for(partial(load, loader))
    assert loader._under_way == {}


def test_another_asset_is_not_found(loader):
    with pytest.raises(NotFound):
        load(loader, asset="other")


def wait_for(load):
    """What is loaded, however slow this machine is."""
    until_s = monotonic_s() + 20
    while True:
        try:
            return load()
        except NotReady:
            assert monotonic_s() < until_s
