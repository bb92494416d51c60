"""Indexes that decay: seen, explained, mended, counted again, released by the loop, and told."""

from __future__ import annotations

import pytest
from indexing import IndexWorld, days, hours

from perdure.testing.indexes import question_of


@pytest.fixture
def world(tmp_path):
    return IndexWorld(tmp_path)


def test_a_source_that_nobody_followed_and_rows_that_a_hand_damaged_are_mended_by_one_plan(world):
    """Stale source: documents changed, came and went, rows were deleted and overwritten; a resync heals it, a census proves it."""
    at = world.now
    world.documents.write(0, at, "Clerk zebulon9 decides now.")
    world.documents.write(60, at)
    world.documents.remove(5)
    with world.documents.careless_hand(world.file()) as hand:
        hand.execute("DELETE FROM chunks WHERE document IN ('010.md', '011.md')")
        hand.execute("UPDATE chunks SET vector = zeroblob(length(vector)) WHERE document = '020.md'")
    world.live(6)
    [incident] = world.incidents()
    assert incident.closed_at is not None
    assert world.champion() == world.first
    assert world.finds("zebulon9")[0] == "000.md"
    story = world.story()
    assert "store damaged" in story
    print(story)
