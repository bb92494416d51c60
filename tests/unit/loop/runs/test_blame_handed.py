"""What blame does at a node's door: the signal, how it ends, what proves a repair, and that no replay is paid for twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perdure.assets.agent import Agent
from perdure.assets.agent_objectives import task_success
from perdure.assets.health import Comparison, Verdict
from perdure.assets.policy import Policy
from perdure.assets.prompt import Prompt
from perdure.assets.repair import BLAMED, Trial
from perdure.assets.scorers import Exact
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import iso
from perdure.core.errors import BadAgent, BadSettings
from perdure.core.settings import AgentSettings
from perdure.core.units import days, hours
from perdure.loop.protocols import Kind, Watched
from perdure.loop.work.captured import CapturedBatch
from perdure.loop.work.runs.blamed import with_blame
from perdure.loop.work.runs.gates import Paired, paired
from perdure.loop.work.runs.handed import LONGEST, OUTCOME, Handed, find_standing, hand_over, mended_since, put_mended
from perdure.loop.work.runs.outcomes import goodness_of
from perdure.loop.work.runs.reading import Window, read_seen
from perdure.loop.work.runs.replaying import Redo, replay
from perdure.loop.work.runs.watched import asset_behind, blamable, blamed, owners_of, watched_run
from perdure.stores.ledger.protocols import Job
from perdure.testing.agents import Flaw, Script, ScriptedReplays, every

T0 = datetime(2026, 3, 2, tzinfo=UTC)
NOW = T0 + days(2)
OBJECTIVE = task_success(over=days(1)) >= 0.8
DESK = watched_run(Agent("desk", prompt="answer", success=[Exact()], healthy=[OBJECTIVE]), {"answer": "support"})
ANSWER = Watched("answer", "prompt", (blamed() <= 0.0,), Policy.act(), None)
VERSIONS = {"agent:desk": "desk@1", "prompt:answer": "answer@2", "route:support": "support@1"}


def release(place, asset, version, at, kind="prompt"):
    """Make a version and let it answer."""
    with place.transaction(at, "release") as session:
        session.registry.put_version(Version(version, asset, kind, {"v": version}, {}, {}, {}, at, "test"))
        session.pointers.set([Pointer(asset, CHAMPION, version)])


@pytest.fixture
def script():
    """Runs in which the second version of the prompt forgets."""
    return Script(dict(VERSIONS), {"answer@2": Flaw("forgets", 0.8)}, miss=0.0, name="desk")


@pytest.fixture
def desk(place, script):
    """Two versions of the prompt, of which the second answers, and its runs in the lake; replays by the script."""
    release(place, "desk", "desk@1", T0, "agent")
    release(place, "answer", "answer@1", T0)
    release(place, "answer", "answer@2", T0 + hours(1))
    batch = CapturedBatch(0)
    for told in every(NOW - hours(20), 40, timedelta(minutes=20), script):
        batch.add(told)
    for name, frame in batch.tables().items():
        place.stores.lake.append(name, frame)
    replays = ScriptedReplays(script)
    return replace(place, open_replays=lambda: replays), replays


def seen(place):
    """The recorded runs."""
    return read_seen(place, "desk", Window(NOW - days(1), NOW), NOW)


def blame(place, **more):
    """Lay it at the prompt's door."""
    runs = seen(place)
    goodness = goodness_of(DESK, OBJECTIVE)
    bad = [each.run.id for each in runs if not goodness.of(each)][:8]
    good = [each.run.id for each in runs if goodness.of(each)][:4]
    facts = {
        "by": "desk", "by_kind": "agent", "at": iso(NOW), "node": "prompt:answer", "version": "answer@2", "sure": 0.9,
        "since": iso(NOW - days(1)), "swap": {}, "text": "It forgets.", "objective": OBJECTIVE.text(), "bad": bad, "good": good, **more,
    }  # fmt: skip
    with place.transaction(NOW, "blame") as session:
        hand_over(session, "answer", facts)


class Unproven:
    """A gate that asks for proof and finds none; or finds it worse."""

    stages = ("verify",)

    def __init__(self, word=Comparison.NOT_ENOUGH_EVIDENCE, gain=0.0, name="prompt_quality", **evidence):
        self.word, self.gain, self.name, self.evidence = word, gain, name, evidence

    def judge(self, place, asset, trial, now):
        return Verdict(self.name, self.word, False, "Nothing proves it.", self.evidence, self.gain)


def judge(place, candidate, gate=None, at=NOW):
    """What each gate of a kind that can be blamed says."""
    kind = with_blame(Kind("prompt", {}, gates=(gate or Unproven(),)), [DESK])
    return {each.name: each.judge(place, ANSWER, Trial(candidate, "answer@2"), at) for each in kind.gates}


def signal(place, at=NOW):
    """The reading of the objective that nobody blames it."""
    [reading] = with_blame(Kind("prompt", {}), []).signals[BLAMED].observe(place, ANSWER, blamed(), at)
    return reading


def test_it_is_blamed_while_the_blamed_version_answers(desk):
    place, _ = desk
    assert signal(place).value == 0.0
    blame(place)
    assert (signal(place).value, signal(place).version) == (1.0, "answer@2")
    assert signal(place).facts["by"] == "desk"
    release(place, "answer", "answer@3", NOW)
    assert signal(place).value == 0.0


def test_a_blame_ends_with_the_release_of_another_version_and_the_agent_is_measured_anew(desk):
    place, _ = desk
    blame(place)
    looker = Handed([DESK], [DESK, ANSWER])
    looker.run(place, NOW + hours(1))
    assert find_standing(place, "answer") is not None
    release(place, "answer", "answer@3", NOW + hours(2))
    looker.run(place, NOW + hours(3))
    assert find_standing(place, "answer") is None
    assert mended_since(place, "desk") == NOW + hours(2)


@pytest.mark.parametrize("before", [None, NOW - days(3)])
def test_a_release_that_is_taken_back_mended_nothing_and_the_blame_stands_again(desk, before):
    """Only the runs since the release were read: the agent would be well by what no longer answers."""
    place, _ = desk
    if before is not None:
        with place.transaction(before, "mended before") as session:
            put_mended(session, "desk", before)
    blame(place)
    looker = Handed([DESK], [DESK, ANSWER])
    release(place, "answer", "answer@3", NOW + hours(2))
    looker.run(place, NOW + hours(3))
    assert (find_standing(place, "answer"), signal(place).value) == (None, 0.0)
    with place.transaction(NOW + hours(4), "rollback") as session:
        session.pointers.set([Pointer("answer", CHAMPION, "answer@2")])
    looker.run(place, NOW + hours(5))
    assert find_standing(place, "answer") is not None
    assert signal(place).value == 1.0
    assert mended_since(place, "desk") == before
    with place.stores.ledger.read() as session:
        told = [each.facts["outcome"] for each in session.audit.list(subject="desk") if each.action == OUTCOME]
    assert told == ["mended", "rolled_back"]
    looker.run(place, NOW + hours(6))
    with place.transaction(NOW + hours(7), "release") as session:
        session.pointers.set([Pointer("answer", CHAMPION, "answer@1")])
    looker.run(place, NOW + hours(8))
    assert (find_standing(place, "answer"), mended_since(place, "desk")) == (None, NOW + hours(7))


def test_a_version_that_answers_again_long_after_is_blamed_by_its_runs_alone(desk):
    place, _ = desk
    blame(place)
    looker = Handed([DESK], [DESK, ANSWER])
    release(place, "answer", "answer@3", NOW + hours(2))
    looker.run(place, NOW + hours(3))
    with place.transaction(NOW + LONGEST, "rollback") as session:
        session.pointers.set([Pointer("answer", CHAMPION, "answer@2")])
    looker.run(place, NOW + LONGEST)
    assert find_standing(place, "answer") is None


def test_a_blame_ends_with_what_was_mended_below_the_version_and_not_before(desk):
    place, _ = desk
    blame(place)
    job = Job("job_1", "repair", "k", "answer", "running", "2", NOW + hours(1), input={})
    with place.transaction(NOW, "repair") as session:
        session.jobs.put(job)
    looker = Handed([DESK], [ANSWER])
    looker.run(place, NOW + hours(2))
    assert find_standing(place, "answer") is not None
    done = replace(job, status="done", ended_at=NOW + hours(3), output={"outcome": "mended", "why": "resync: add 2"})
    with place.transaction(NOW, "repair") as session:
        session.jobs.put(done)
    looker.run(place, NOW + hours(4))
    assert mended_since(place, "desk") == NOW + hours(3)


def test_a_blame_that_nothing_comes_of_ends_and_mends_nothing(desk):
    place, _ = desk
    blame(place)
    Handed([DESK], [ANSWER]).run(place, NOW + LONGEST)
    assert find_standing(place, "answer") is None
    assert mended_since(place, "desk") is None


def test_runs_of_who_blames_it_prove_what_its_own_gates_cannot(desk):
    place, _ = desk
    blame(place)
    found = judge(place, "answer@1")
    assert found["agent_replays"].comparison is Comparison.BETTER
    assert found["prompt_quality"].passed
    assert (
        "Runs of who blames it prove it: 12 runs of desk done again with it: 100% come out well"
        in found["prompt_quality"].text
    )


@pytest.mark.parametrize("lacks_only_proof", [True, False])
def test_runs_prove_that_a_guarded_suite_alone_cannot_and_stand_in_for_nothing_else(desk, lacks_only_proof):
    place, _ = desk
    blame(place)
    gate = Unproven(name="prompt_guarded", lacks_only_proof=lacks_only_proof)
    assert judge(place, "answer@1", gate)["prompt_guarded"].passed is lacks_only_proof


def test_a_candidate_that_runs_come_out_worse_with_is_refused(desk, script):
    place, _ = desk
    script.flaws["answer@3"] = Flaw("forgets", 1.0)
    blame(place)
    found = judge(place, "answer@3")
    assert (found["agent_replays"].passed, found["prompt_quality"].passed) == (False, False)
    assert found["agent_replays"].comparison is Comparison.WORSE


@pytest.mark.parametrize("gate", [Unproven(Comparison.WORSE), Unproven(gain=-0.2)])
def test_what_its_own_gates_find_worse_stays_refused(desk, gate):
    place, _ = desk
    blame(place)
    assert not judge(place, "answer@1", gate)["prompt_quality"].passed


def test_where_nobody_blames_it_replays_say_nothing_and_prove_nothing(desk):
    place, replays = desk
    found = judge(place, "answer@1")
    assert found["agent_replays"].passed
    assert not found["prompt_quality"].passed
    assert replays.n_replayed == 0


def test_a_gate_that_judges_again_pays_for_no_replay_twice_and_says_the_same(desk):
    place, replays = desk
    blame(place)
    first = judge(place, "answer@1")["agent_replays"]
    n = replays.n_replayed
    assert n == 12
    assert judge(place, "answer@1")["agent_replays"] == first
    assert replays.n_replayed == n


def test_a_swap_that_cannot_be_loaded_is_told_and_tried_again_later(desk, monkeypatch):
    place, replays = desk
    runs = seen(place)[:4]
    goodness = goodness_of(DESK, OBJECTIVE)
    redo = Redo("desk", runs, {each.run.id: {"prompt:answer": "answer@9"} for each in runs}, goodness, "x")
    replays.unknown = frozenset({"answer@9"})
    assert replay(place, redo, NOW).why_not == "There is no version 'answer@9'"
    replays.unknown = frozenset()

    async def other_code(_self, _asked):
        raise BadAgent("The tool 'look_up' has other code now.")

    monkeypatch.setattr(type(replays), "replay", other_code)
    assert replay(place, redo, NOW).why_not == "The tool 'look_up' has other code now"
    monkeypatch.undo()
    assert len(replay(place, redo, NOW).outcomes) == 4


def test_nothing_is_replayed_where_nothing_replays(desk):
    place, _ = desk
    redo = Redo("desk", seen(place), {}, goodness_of(DESK, OBJECTIVE), "x")
    found = replay(replace(place, open_replays=None), redo, NOW)
    assert (found.outcomes, found.why_not) == ((), "nothing here replays runs")
    told = paired(seen(place), goodness_of(DESK, OBJECTIVE), found, 0.9)
    assert told.told("desk") == "Runs of desk cannot be replayed with it: nothing here replays runs."


def test_a_handful_of_runs_that_agree_is_not_taken_for_certain(desk):
    place, _ = desk
    goodness = goodness_of(DESK, OBJECTIVE)
    runs = [each for each in seen(place) if not goodness.of(each)][:4]
    came = replay(
        place, Redo("desk", runs, {each.run.id: {"prompt:answer": "answer@1"} for each in runs}, goodness, "x"), NOW
    )
    found = paired(runs, goodness, came, 0.9)
    assert (found.before, found.after) == (0.0, 1.0)
    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE


def test_a_gate_replays_no_more_than_is_set(desk):
    place, replays = desk
    blame(place)
    for most, n in ((0, 0), (6, 6)):
        place = replace(place, settings=replace(place.settings, agents=AgentSettings(replays=most)))
        verdict = judge(place, "answer@1")["agent_replays"]
        assert replays.n_replayed == n
        assert verdict.passed
    with pytest.raises(BadSettings):
        AgentSettings(replays=-1)


def test_worse_beyond_the_margin_is_refused_though_it_is_not_sure():
    found = Paired(10, 0.9, 0.8, None, 1.0, 0)
    assert found.looks_worse
    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE


def test_what_agents_use_is_also_healthy_only_while_nobody_blames_it():
    prompt = Watched("answer", "prompt", (), Policy.act(), Prompt("answer", [("user", "x")], route="support"))
    other = Watched("other", "prompt", (), Policy.act(), None)
    known = {each.name: each for each in blamable([prompt, other, DESK])}
    assert [each.text() for each in known["answer"].healthy] == ["blamed over 1h <= 0"]
    assert known["other"].healthy == ()
    assert known["desk"].rests_on == ("answer", "support")


def test_what_has_no_version_here_is_nobodys_asset():
    assert [asset_behind(each) for each in ("route:a", "tool:t", "node:n", "feature_view:v", "graph:g")] == [
        "a",
        "",
        "",
        "",
        "g",
    ]
    assert owners_of(DESK) == {}
