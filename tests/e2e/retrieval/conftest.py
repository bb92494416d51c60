"""The world of the tests of indexes over HTTP, and its modules made importable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from retrieval_world import RetrievalWorld, write

TEXTS = {
    "refunds.md": "Refunds are paid within 30 days of the return.",
    "shipping.md": "Parcels are shipped within two days by train.",
    "opening.md": "The shop opens at nine and closes at eighteen.",
    "secret.md": "Salaries are paid on the last day of the month.",
}


@pytest.fixture
def world(tmp_path, upstreams) -> RetrievalWorld:
    """A world in which nobody is told apart, and nothing is declared yet."""
    made = RetrievalWorld(tmp_path, upstreams.url)
    made.teams = {}
    return made


@pytest.fixture
def store(world):
    """The store of an index `handbook` with four documents, to be written."""
    _, opened = world.index(fields={"year": "number", "lang": "text", "draft": "flag"})
    write(opened, TEXTS)
    yield opened
    opened.close()


@pytest.fixture
def gateway(world, store):
    """A server that serves it."""
    with world.serving() as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory, every_upstream):
    """A server of the same index that no test writes, shared by the tests of a module."""
    made = RetrievalWorld(tmp_path_factory.mktemp("served"), every_upstream.url)
    made.teams = {}
    _, opened = made.index(fields={"year": "number", "lang": "text", "draft": "flag"})
    write(opened, TEXTS)
    with made.serving() as running:
        yield running
    opened.close()
