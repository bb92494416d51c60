"""Agents that go worse: seen, the node to blame found by replays, mended at its own door, and told; nobody is blamed for nothing."""

from __future__ import annotations

import pytest
from agents_at_work import OTHER, AgentWorld, Flaw, track

from perdure.assets.agent import RunLimits
from perdure.assets.policy import Policy
from perdure.assets.tools import SearchTool
from perdure.core.clock import machine_now
from perdure.core.units import days, hours
from perdure.testing.indexes import DocumentsWorld

pytestmark = pytest.mark.scenario


def one(world: AgentWorld, name: str = "desk"):
    """The only incident of an asset."""
    [incident] = world.incidents(name)
    return incident


def test_a_prompt_made_worse_silently_is_blamed_and_its_past_version_released(tmp_path):
    """Observed, diagnosed by replays, handed over, repaired, verified, released, watched, closed; told in order."""
    world = AgentWorld(tmp_path)
    world.live(14)
    good = world.version("answer")
    assert world.incidents() == []
    world.redeclare(words=OTHER)
    bad = world.version("answer")
    world.flaws[bad] = Flaw("forgets", 0.9)
    world.live(12)
    assert world.version("answer") == good
    assert (one(world).kind, one(world, "answer").kind) == ("node_to_blame", "blamed")
    assert one(world).closed_at is not None
    assert f"prompt:answer: {good} was released in place of {bad}." in one(world).facts["outcomes"]
    story = world.story()
    told = (
        "runs went badly, and prompt:answer is to blame: ",
        "## Seen",
        "suspected: prompt:answer",
        "blame_node objective=task_success over 12h >= 0.8",
        "prompt:answer wins",
        f"with {good} in its place 1",
        f"mended: prompt:answer: {good} was released in place of {bad}.",
        "## Ended",
        "Every objective is healthy again",
    )
    place = 0
    for each in told:
        assert each in story[place:], story
        place = story.index(each, place)
    node = world.story("answer")
    assert "desk blames it" in node
    assert "passed agent_replays: " in node
    assert " come out well, 33% as recorded, +" in node
    world.live(2)
    assert one(world).closed_at is not None, "it stays healthy"


def test_a_repair_that_is_taken_back_in_its_watch_leaves_the_agent_ill(tmp_path):
    """Its incident closed with the release; what answers again is what was blamed, and that is mended anew."""
    world = AgentWorld(tmp_path)
    world.live(14)
    good = world.version("answer")
    world.redeclare(words=OTHER)
    bad = world.version("answer")
    world.flaws[bad] = Flaw("forgets", 0.9)
    while world.version("answer") != good:
        world.live(1)
    world.live(1)
    assert world.perdure.explain("desk")
    world.perdure.rollback("answer", to=bad, reason="it was said too bluntly", at=world.now)
    world.live(1)
    ill = [each for each in world.incidents() + world.incidents("answer") if each.closed_at is None]
    assert ill, "what was taken back mended nothing"
    with world.perdure.place.stores.ledger.read() as session:
        told = [each.facts["why"] for each in session.audit.list(subject="desk") if each.action == "loop.outcome"]
    assert f"prompt:answer: {bad} answers again, so the blame stands as before." in told
    world.live(12)
    assert world.version("answer") == good
    assert all(each.closed_at is not None for each in world.incidents() + world.incidents("answer"))


def test_a_damaged_generation_of_an_index_is_blamed_and_resynced(tmp_path):
    """The index declares no objective of its own: only the agent's runs tell that its new generation is worse."""
    documents = DocumentsWorld(tmp_path, 20)
    start = machine_now() - hours(60)
    documents.write_all(start - days(30))
    index = documents.index(healthy=[], policy=Policy.act(cool_down=hours(1)))
    world = AgentWorld(tmp_path, tools=(SearchTool("handbook"), track), beside=(index,), now=start)
    world.perdure.sync_index("handbook", at=world.now)
    world.live(14)
    documents.write(3, world.now, "Clerk quillon4 decides now.")
    world.perdure.sync_index("handbook", at=world.now)
    version = world.version("handbook")
    with documents.careless_hand(world.perdure.show_index("handbook", version).file) as hand:
        hand.execute("DELETE FROM chunks WHERE document IN ('010.md', '011.md')")
    world.flaws[f"{version}:2"] = Flaw("empty", 0.9)
    world.live(14)
    assert world.blame()["node"] == "index:handbook"
    assert world.blame()["swap"] == {"index:handbook": f"{version}:1"}
    assert one(world).closed_at is not None
    assert one(world, "handbook").closed_at is not None
    assert "mended: index:handbook: resync" in world.story()
    assert "Generation 2 became 3" in world.story("handbook")


def test_a_tool_that_breaks_is_a_question_to_a_person_with_the_evidence(tmp_path):
    """Nothing here has another version of it; after the person's yes only runs from then on count."""
    world = AgentWorld(tmp_path)
    world.live(14)
    world.flaws["tool:track"] = Flaw("fails", 0.9, since=world.now)
    world.live(8)
    [question] = world.perdure.approvals()
    assert "mend tool:track, and say yes when it is done" in question.text
    assert "it fails (tool.failed) in 9" in question.text
    assert "% of the bad runs, 0% of the good ones" in question.text
    assert world.blame()["node"] == "tool:track"
    assert one(world).closed_at is None
    world.live(5)
    assert len(world.perdure.approvals()) == 1, "it is asked once"
    del world.flaws["tool:track"]
    world.perdure.approve(question.id, reason="the carrier answers again", at=world.now)
    world.live(11)
    assert one(world).closed_at is not None
    assert world.perdure.approvals() == []


def test_a_no_about_a_tool_is_not_asked_again(tmp_path):
    world = AgentWorld(tmp_path)
    world.live(14)
    world.flaws["tool:track"] = Flaw("fails", 0.9, since=world.now)
    world.live(8)
    [question] = world.perdure.approvals()
    world.perdure.reject(question.id, reason="nothing to be done", at=world.now)
    world.live(6)
    assert world.perdure.approvals() == []
    assert one(world).closed_at is None


def test_its_own_declaration_is_blamed_and_gone_back_from_by_replays(tmp_path):
    """Other limits of the agent, released past what runs say, after which it does not ask its tool: nobody else is touched."""
    world = AgentWorld(tmp_path)
    world.live(14)
    good = world.version("desk")
    [told] = world.redeclare(limits=RunLimits(steps=9), unproven="in a hurry")
    bad = world.version("desk")
    assert (told.what, told.after) == ("unproven", bad)
    assert bad != good
    world.flaws[bad] = Flaw("wrong_tool", 0.9)
    world.live(14)
    assert world.version("desk") == good
    assert world.incidents("answer") == []
    assert one(world).closed_at is not None
    story = world.story()
    assert "agent:desk is to blame" in story
    assert "passed run_replays" in story
    assert f"released: {good} answers, and held in its watch." in story


def test_another_version_of_an_agent_is_held_against_recorded_runs(tmp_path):
    """A worse one is blocked in words; one that is as good goes its way by a canary."""
    world = AgentWorld(tmp_path)
    world.live(14)
    good = world.version("desk")
    known = {each.id for each in versions(world)}
    worse = RunLimits(steps=9)
    world.flaws = Worse(known, Flaw("wrong_tool", 0.9))
    [told] = world.redeclare(limits=worse)
    assert told.what == "blocked"
    assert "run_replays: 24 runs of desk done again with it: " in told.why
    assert world.version("desk") == good
    world.flaws = {}
    [told] = world.redeclare(limits=RunLimits(steps=12))
    assert told.what == "proving"
    world.live(6)
    assert world.version("desk") not in (good, "")


def versions(world):
    """All versions of the agent."""
    with world.perdure.place.stores.ledger.read() as session:
        return session.registry.list_versions("desk")


class Worse(dict):
    """A flaw of every version of the agent that was not known."""

    def __init__(self, known, flaw):
        super().__init__()
        self._known, self._flaw = known, flaw

    def get(self, version, default=None):
        """The flaw of a version."""
        new = str(version).startswith("desk@") and version not in self._known
        return self._flaw if new else default


def test_without_replays_the_journals_alone_blame_nobody_for_a_change_that_may_be_chance(tmp_path):
    """A version that changed proves nothing: a person is asked, with the suspects."""
    world = AgentWorld(tmp_path, replays=False)
    world.live(14)
    world.redeclare(words=OTHER)
    world.flaws[world.version("answer")] = Flaw("forgets", 0.9)
    world.live(8)
    [question] = world.perdure.approvals()
    assert "look at its runs" in question.text
    assert "prompt:answer" in question.text
    assert world.incidents("answer") == []


def test_people_say_what_succeeded_where_nothing_is_declared_to_score_it(tmp_path):
    """Feedback under a run's id; replays are judged by what came to the same, or is supported."""
    world = AgentWorld(tmp_path, success=())

    def say(told) -> float:
        return float(b"wind" in told.run.output)

    world.live(14, say=say)
    good = world.version("answer")
    world.redeclare(words=OTHER)
    world.flaws[world.version("answer")] = Flaw("forgets", 0.9)
    world.live(9, say=say)
    assert world.blame()["node"] == "prompt:answer"
    assert world.version("answer") == good


def test_an_agent_that_only_observes_is_told_of_and_left_alone(tmp_path):
    world = AgentWorld(tmp_path, policy=Policy.observe())
    world.live(14)
    world.redeclare(words=OTHER)
    world.flaws[world.version("answer")] = Flaw("forgets", 0.9)
    world.live(8)
    assert one(world).kind == "node_to_blame"
    assert "suspected: prompt:answer" in one(world).summary
    assert world.blame() is None
    assert world.replaying.n_replayed == 0


def test_harder_questions_are_no_nodes_fault(tmp_path):
    """Everybody gets worse for no node's reason: the question goes to a person."""
    world = AgentWorld(tmp_path)
    world.live(14)
    world.flaws[world.version("answer")] = Flaw("forgets", 0.4)
    world.live(12)
    assert world.blame()["node"] == ""
    assert one(world).closed_at is None
