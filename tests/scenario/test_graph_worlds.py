"""Graphs that go worse go through the whole loop: observed, the node to blame found by replays, mended at its own door, released, closed."""

from __future__ import annotations

import pytest
from agents_at_work import OTHER, Flaw, GraphWorld

pytestmark = pytest.mark.scenario


def told_in_order(story: str, *told: str) -> bool:
    """Whether each stands in the story behind the one before."""
    place = 0
    for each in told:
        assert each in story[place:], story
        place = story.index(each, place)
    return True


def test_a_graph_whose_rule_was_changed_is_blamed_itself_and_goes_back(tmp_path):
    """Released past what runs say, it misroutes: its own version is to blame, and nobody else is touched."""
    world = GraphWorld(tmp_path)
    world.live(14)
    good = world.version("desk")
    assert world.incidents() == []
    [told] = world.redeclare(way="letter", unproven="in a hurry")
    bad = world.version("desk")
    assert (told.what, told.after) == ("unproven", bad)
    assert bad != good
    world.flaws[bad] = Flaw("misroutes", 0.9)
    world.live(14)
    assert world.version("desk") == good
    assert (world.blame()["node"], world.blame()["own"]) == ("graph:desk", True)
    assert world.incidents("answer") == []
    [incident] = world.incidents()
    assert incident.closed_at is not None
    assert told_in_order(
        world.story(),
        "runs went badly, and graph:desk is to blame: ",
        "## Seen",
        "suspected: graph:desk",
        "blame_node objective=task_success over 12h >= 0.8",
        "graph:desk wins",
        "passed run_replays",
        f"released: {good} answers, and held in its watch.",
        "## Ended",
        "Every objective is healthy again",
    )


def test_a_prompt_in_a_node_that_was_made_worse_is_blamed_and_mended_at_its_own_door(tmp_path):
    """The graph itself stays as it is."""
    world = GraphWorld(tmp_path)
    world.live(14)
    good, graph = world.version("answer"), world.version("desk")
    world.redeclare(words=OTHER)
    bad = world.version("answer")
    assert bad != good
    world.flaws[bad] = Flaw("forgets", 0.9)
    world.live(12)
    assert (world.version("answer"), world.version("desk")) == (good, graph)
    assert world.blame()["node"] == "prompt:answer"
    [mine], [its] = world.incidents(), world.incidents("answer")
    assert (mine.kind, its.kind) == ("node_to_blame", "blamed")
    assert None not in (mine.closed_at, its.closed_at)
    assert told_in_order(
        world.story(),
        "runs went badly, and prompt:answer is to blame: ",
        "prompt:answer wins",
        f"mended: prompt:answer: {good} was released in place of {bad}.",
        "## Ended",
    )
    assert "passed agent_replays: " in world.story("answer")
    world.live(2)
    assert len(world.incidents()) == 1, "it stays healthy"
