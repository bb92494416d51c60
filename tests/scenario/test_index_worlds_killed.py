"""Repairs of indexes that are killed, or whose embedder does not answer: the next round goes on, and nothing is done twice."""

from __future__ import annotations

import pytest
from indexing import IndexWorld

from perdure.testing.indexes import question_of


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def world(tmp_path):
    return IndexWorld(tmp_path, n_documents=150)


@pytest.mark.parametrize("n_texts", [120, 210, 300])
def test_a_migration_that_is_killed_goes_on_and_embeds_nothing_twice(world, monkeypatch, n_texts):
    """What was embedded before is in the cache, the version is the same one, and it is released once."""
    world.documents.model.seed = "second"
    model = type(world.documents.model)
    with monkeypatch.context() as patched:
        patched.setattr(model, "embed", _counting(model.embed, [n_texts]))
        with pytest.raises(Killed):
            world.live(4)
    world.open()
    world.live(10)
    built = [each for each in world.said("index.resync") if each["version"] != world.first]
    [report] = built
    assert report["done"] == {"add": 150}
    assert (report["n_embedded"] < 150) == (n_texts == 120)
    assert world.champion() != world.first
    with world.perdure.place.stores.ledger.read() as session:
        assert len(session.registry.list_versions("handbook")) == 2
    [incident] = world.incidents()
    assert incident.closed_at is not None
    assert world.finds(question_of(77))[0] == "077.md"


def _counting(usual, left):
    def embed(self, contents):
        left[0] -= len(contents)
        if left[0] < 0:
            raise Killed
        return usual(self, contents)

    return embed


def test_an_embedder_that_answers_nobody_stops_no_census_and_no_repair_that_needs_none(world):
    """While it is away nothing is known of its vectors, and what is known of the source is still told and mended."""
    world.documents.model.down = True
    world.documents.remove(3)
    world.live(3)
    assert [each.closed_at is not None for each in world.incidents()] == [True]
    assert world.perdure.show_index("handbook").generation.n_documents == 149
    assert world.champion() == world.first
    world.documents.model.down = False
    world.live(2)
    assert len(world.incidents()) == 1
