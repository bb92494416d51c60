"""A census that meets a swapped embedder before the sentences are due has them looked at: nothing is embedded by two models in one version."""

from __future__ import annotations

import pytest
from indexing import IndexWorld, hours

from perdure.core.units import minutes


@pytest.mark.parametrize("n_minutes", [10, 40])
def test_a_swapped_embedder_is_never_taken_for_a_hand_that_wrote(tmp_path, n_minutes):
    """Whenever it is swapped between two hourly looks: no chunk is embedded anew into the version that the other model made."""
    world = IndexWorld(tmp_path, n_documents=20)
    world.live(n_minutes / 60, minutes(10))
    world.documents.model.seed = "second"
    world.live(2, minutes(10))
    world.live(5)
    assert [each.kind for each in world.incidents()] == ["embedder_changed"]
    assert [each for each in world.said("loop.verify") if each.get("stage") == "resync"] == []
    assert world.champion() != world.first


def test_a_census_by_hand_between_two_looks_begins_no_resync(tmp_path):
    """The round after it waits for the sentences, which are looked at in it."""
    world = IndexWorld(tmp_path, n_documents=20)
    world.documents.model.seed = "second"
    world.now += hours(1 / 60)
    census = world.perdure.census_index("handbook", at=world.now)
    assert census.counts()["wrong_embedder"] >= 3
    world.live(6)
    assert [each.kind for each in world.incidents()] == ["embedder_changed"]
    assert [each for each in world.said("loop.verify") if each.get("stage") == "resync"] == []
