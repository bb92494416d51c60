"""What tries to be released without being better, through the real loop; and what the story of a repair says."""

from __future__ import annotations

import pytest
from prompting import BASE, GOOD, NEW, PromptWorld, score

from perdure.assets.scorers import Exact
from perdure.assets.suite import Suite
from perdure.core.ports import Answered
from perdure.surface.governance.telling import markdown
from perdure.testing.prompts import Desk, rewrite

pytestmark = pytest.mark.scenario
OF = {"prompt": "answer", "role": "primary", "improve_share": 0.0, "margin": 0.05}


def test_nobody_answers_either_version_and_nothing_is_released(tmp_path):
    """160 pairs of failures are no proof that both are alike, even where a guarded suite asks for no more than that."""
    world = PromptWorld(tmp_path, n_cases=160, role="guarded")
    world.apply()
    world.desk.fails_after, world.desk.error = 0, "blocked"
    told = world.say("Answer briefly, please.")
    assert told.what == "blocked"
    world.live(6)
    assert world.champion() == BASE


@pytest.mark.parametrize(
    ("words", "lacks_only_proof"), [("Answer briefly, please.", True), ("Answer as a pirate.", False)]
)
def test_a_guarded_suite_says_whether_it_lacks_proof_alone(tmp_path, words, lacks_only_proof):
    """Runs of an agent may prove what twenty cases cannot; they stand in for nothing that looks worse."""
    world = PromptWorld(tmp_path, n_cases=20, role="guarded", settings={"improve_share": 0.0})
    world.apply()
    assert world.say(words).what == "blocked"
    told = world.verdicts()["prompt_guarded"]
    assert not told["passed"]
    assert told["evidence"]["lacks_only_proof"] is lacks_only_proof


def test_the_incumbents_time_outs_release_nobody(tmp_path, monkeypatch):
    """Every fourth question to it is lost; what is answered is as good as the candidate's."""
    world = PromptWorld(tmp_path, settings={"improve_share": 0.0})
    world.desk.usual, world.desk.skills = 0.9, {}
    answered = Desk.answer

    def answer(desk, messages):
        found = answered(desk, messages)
        lost = "briefly" in messages[0]["content"] and int(messages[-1]["content"][-4:-1]) % 4 == 0
        return Answered({}, error="upstream.timed_out") if lost else found

    monkeypatch.setattr(Desk, "answer", answer)
    world.apply()
    told = world.say("Answer in few words.")
    assert told.what == "blocked"
    assert "the gain rests on 30 cases" in told.why
    world.live(6)
    assert world.champion() == BASE


def test_a_handful_of_cases_releases_nothing_however_clear_it_looks(tmp_path):
    world = PromptWorld(tmp_path, n_cases=4, settings={"improve_share": 0.0})
    world.desk.skills = {"briefly": 0.0, "city only": 1.0}
    world.apply()
    assert world.say(GOOD).what == "blocked"


def test_cases_of_one_cluster_release_nothing(tmp_path):
    world = PromptWorld(tmp_path)
    cases = [type(each)(each.id, each.inputs, each.expected, cluster="one") for each in world.cases]
    world.suites = [Suite("cities", cases, [Exact()], **OF)]
    world.open()
    world.apply()
    told = world.say(GOOD)
    assert told.what == "blocked"
    assert "of one cluster say nothing of others" in told.why


def test_the_story_of_a_prompts_repair_reads_as_a_person_would_tell_it(tmp_path):
    world = PromptWorld(tmp_path, healthy=[score(0.6)], words=GOOD)
    world.desk.rewrites = [rewrite("Answer with the name of the town.")]
    world.apply()
    world.live(2)
    world.ask("nightly-1")
    world.live(8)
    world.targets, world.desk.skills = [NEW], {"city only": 0.3, "the town": 0.9}
    world.open()
    world.apply(unproven="the old one is switched off")
    world.ask("nightly-2")
    world.live(24)
    story = markdown(world.perdure.explain("answer"))
    parts = ("## Seen", "## Causes", "## Decided", "## Proved", "## Moved", "## Came to", "## Gave", "## Ended")
    assert [story.index(each) for each in parts] == sorted(story.index(each) for each in parts)
    assert "points (97% " in story
    assert "cities: 0.000001 USD an answer against 0.000001 USD." in story
    assert "e-06" not in story
