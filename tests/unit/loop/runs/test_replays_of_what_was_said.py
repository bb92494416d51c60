"""How a replay did, where people said of the recorded run how that did; and that a blame ends while its repair is still watched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace as with_members

from perdure.assets.agent import Agent
from perdure.assets.agent_objectives import task_success
from perdure.assets.scorers import Number
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import iso
from perdure.core.runs import Replayed
from perdure.core.units import days, hours
from perdure.loop.work.runs.handed import hand_over, how_ended
from perdure.loop.work.runs.outcomes import Outcomes
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
