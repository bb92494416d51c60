"""How a replay did, where people said of the recorded run how that did; and that a blame ends while its repair is still watched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace as with_members

from perdure.assets.agent import Agent
from perdure.assets.agent_objectives import task_success
from perdure.assets.scorers import Custom, Judged, Number
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import iso
from perdure.core.errors import NotReady
from perdure.core.runs import Replayed, RunRecord, StepRecord
from perdure.core.units import days, hours
from perdure.loop.work.runs.handed import hand_over, how_ended
from perdure.loop.work.runs.outcomes import Outcomes, Supported
from perdure.loop.work.runs.reading import Seen
from perdure.loop.work.runs.watched import watched_run
from perdure.stores.ledger.protocols import Job
from perdure.testing.agents import Script

T0 = datetime(2026, 3, 2, tzinfo=UTC)
VERSIONS = {"agent:desk": "desk@1", "prompt:answer": "answer@1", "route:support": "support@1"}
DESK = watched_run(
    Agent(
        "desk", prompt="answer", success=[Number(absolute=30.0, which="first")], healthy=[task_success(over=days(1)) >= 0.8]
    ),
    {"answer": "support"},
)  # fmt: skip


@pytest.mark.parametrize("said", [0.0, 1.0])
@pytest.mark.parametrize("expected", [100.0, 900.0])
def test_what_people_said_of_an_answer_holds_for_a_replay_that_gives_the_very_same(said, expected):
    """The landing says that 110 minutes were wrong: a plan that lies near does not make them right when they are said again."""
    told = Script(VERSIONS, name="desk").run(7, T0)
    asked = b'{"task": "How long?", "expected": %f}' % expected
    run = with_members(told.run, input=asked, output=b'{"minutes": 110.0}')
    seen = Seen(run, told.steps, (), said)
    outcomes = Outcomes.of(DESK)

    same = outcomes.replayed(seen, Replayed(run=run, steps=tuple(told.steps)))
    other = outcomes.replayed(
        seen, Replayed(run=with_members(run, output=b'{"minutes": 111.0}'), steps=tuple(told.steps))
    )

    assert (same, other) == (said, float(expected == 100.0))


def test_a_blame_ends_with_the_release_and_not_only_with_the_watch_after_it(place):
    """Else the agent counts the runs of before for as long as the release is watched, or is healthy before anybody says why."""
    for version, at in (("answer@1", T0), ("answer@2", T0 + hours(2))):
        with place.transaction(at, "release") as session:
            session.registry.put_version(Version(version, "answer", "prompt", {"v": version}, {}, {}, {}, at, "test"))
            session.pointers.set([Pointer("answer", CHAMPION, version)])
        if version == "answer@1":
            facts = {
                "by": "desk",
                "by_kind": "agent",
                "at": iso(T0 + hours(1)),
                "node": "prompt:answer",
                "version": version,
            }
            with place.transaction(T0 + hours(1), "blame") as session:
                hand_over(session, "answer", facts)
    watching = Job("job_1", "repair", "k", "answer", "running", "watch", T0 + hours(1), input={})
    with place.transaction(T0 + hours(2), "repair") as session:
        session.jobs.put(watching)

    how, at = how_ended(place, "answer", facts, T0 + hours(3))

    assert (how, at) == ("prompt:answer: answer@2 was released in place of answer@1.", T0 + hours(2))

    with place.transaction(T0 + hours(4), "rollback") as session:
        session.pointers.set([Pointer("answer", CHAMPION, "answer@1")])
    assert how_ended(place, "answer", facts, T0 + hours(5)) == ("", None)
    with place.transaction(T0 + hours(6), "repair") as session:
        session.jobs.put(replace(watching, status="done", ended_at=T0 + hours(6), output={"outcome": "rolled_back"}))
    assert how_ended(place, "answer", facts, T0 + hours(6)) == ("", None)


def looked(minutes: float, said: float, place: str = "Bern", n: int = 7) -> Seen:
    """A run of an agent that gives an object: where its parcel is, which a tool tells, and for how long, which it reckons itself."""
    tool = StepRecord(run="r", n=0, kind="tool", state="done", node="tool:track", call="0", output=b'{"place": "Bern"}')
    run = RunRecord(
        id=f"run_{n}", kind="agent", asset="desk", version="desk@1", arm="champion", status="done", input=b'{"task": "?"}',
        output=b'{"place": "%s", "minutes": %g}' % (place.encode(), minutes),
    )  # fmt: skip
    return Seen(run, [tool], (), said)


def again(seen: Seen) -> Replayed:
    """A replay that came to this."""
    return Replayed(run=seen.run, steps=tuple(seen.steps))


def test_a_replay_that_nothing_scores_is_held_against_the_runs_that_went_well():
    """Half of what a good run says is its own reckoning: to ask that all of it be supported would blame nobody, ever."""
    unscored = watched_run(Agent("desk", prompt="answer", healthy=[task_success(over=days(1)) >= 0.8]))
    good, lost = looked(41.0, 1.0), looked(43.0, 0.0, "Rome")
    outcomes = Outcomes.of(unscored, [looked(40.0 + n, 1.0, n=n) for n in range(8)])

    assert outcomes.usual == Supported(2, 0.5), "place: Bern"
    assert outcomes.replayed(lost, again(looked(77.0, 1.0))) == 1.0
    assert outcomes.replayed(lost, again(looked(77.0, 1.0, "Oslo"))) == 0.0
    assert outcomes.replayed(good, again(looked(77.0, 1.0))) == 1.0
    assert outcomes.replayed(good, again(looked(77.0, 1.0, "Oslo"))) == 0.0
    assert Outcomes.of(unscored).replayed(lost, again(looked(77.0, 1.0))) == 0.0, "nothing it could be held against"


def test_other_words_of_a_bad_run_prove_nothing_where_it_was_as_well_supported_itself():
    """What does not tell good runs from bad ones makes no replay a success, and so no node is blamed by it."""
    unscored = watched_run(Agent("desk", prompt="answer", healthy=[task_success(over=days(1)) >= 0.8]))
    outcomes = Outcomes.of(unscored, [looked(40.0 + n, 1.0, n=n) for n in range(8)])
    assert outcomes.replayed(looked(43.0, 0.0), again(looked(77.0, 1.0))) == 0.0


def test_a_function_of_the_project_judges_runs():
    """It is the user's own code, which computes; what it says for now only is nothing, and no failure of the run."""

    def own(case, answer):
        if case.inputs["task"] == "later":
            raise NotReady("The service of truth is away.")
        return "Bern" in answer.text

    asset = watched_run(Agent("desk", prompt="answer", success=[Custom(own)]))
    outcomes = Outcomes.of(asset)
    found = [looked(1.0, 0.0, place).run for place in ("Bern", "Rome")]
    assert [outcomes.scored(run, [], {"task": "?"}) for run in found] == [1.0, 0.0]
    assert outcomes.scored(found[0], [], {"task": "later"}) is None


@pytest.mark.parametrize("word", [0.0, 1.0])
def test_a_judge_s_word_on_an_answer_holds_for_the_very_same_and_for_no_other(word):
    """Another output is decided by what computes alone only where no word of the judge could change it."""
    by_judge = Outcomes.of(watched_run(Agent("desk", prompt="answer", success=[Judged("tone")])))
    told = Script(VERSIONS, name="desk").run(7, T0)
    run = with_members(told.run, input=b'{"task": "How long?"}', output=b'{"text": "110"}')
    other = with_members(run, output=b'{"text": "zebra"}')
    seen = Seen(run, told.steps, (), None, {"judged": word})

    assert by_judge.succeeded(seen) == word
    assert by_judge.sole_judge(seen) == "judged"
    assert by_judge.succeeded(replace(seen, words={})) is None
    assert by_judge.succeeded(replace(seen, said=1.0 - word)) == 1.0 - word
    assert by_judge.replayed(seen, Replayed(run=run, steps=tuple(told.steps))) == word
    came = by_judge.replayed(seen, Replayed(run=other, steps=tuple(told.steps)))
    assert came == word, (
        "nothing supports it: no worse than the one that went well, and no better than the one that did not"
    )

    number = Number(absolute=30.0, which="first", weight=3.0)
    both = Outcomes.of(watched_run(Agent("desk", prompt="answer", success=[number, Judged("tone")])))
    asked = with_members(run, input=b'{"task": "How long?", "expected": 111}')
    seen = replace(seen, run=asked)
    assert both.sole_judge(seen) == ""
    assert both.replayed(seen, Replayed(run=with_members(asked, output=b'{"text": "112"}'), steps=())) == 1.0
    assert both.replayed(seen, Replayed(run=with_members(asked, output=b'{"text": "900"}'), steps=())) == 0.0
