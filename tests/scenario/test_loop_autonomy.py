"""Trigger and autonomy: who begins a repair, and who says yes to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gauges import AT_ONCE, T0, Plant, Proposes, Says, boiler, gauge, kind_with, watched, wild

from perdure.assets.policy import Policy, Ramp
from perdure.assets.version import CHAMPION
from perdure.core.errors import LostLease, NotFound, NotReady, Refused
from perdure.core.units import Rate, days, hours
from perdure.testing.toy import level, watch

pytestmark = pytest.mark.scenario


def observed(asset, **settings):
    return watch(asset, level(over=days(1)) <= 23.0, policy=Policy("observe", **settings))


def proposed(asset, **settings):
    return watch(asset, level(over=days(1)) <= 23.0, policy=Policy.propose(ramp=AT_ONCE, **settings))


def repaired_on(plant, asset="boiler"):
    return [day for day, choice in plant.decisions(asset) if choice == "repair"]


# Autonomy


def test_who_only_observes_opens_an_incident_with_its_cause_and_repairs_nothing(tmp_path):
    plant = Plant(tmp_path, [observed(boiler(3))])
    first = plant.release("boiler")
    plant.run(0, 6)
    assert (plant.decisions(), plant.jobs(), plant.champion()) == ([(3.0, "hold")], [], first)
    [incident] = plant.incidents()
    assert (incident.kind, incident.closed_at) == ("moved", None)


def test_what_is_only_observed_may_be_repaired_by_a_person(tmp_path):
    plant = Plant(tmp_path, [observed(boiler(3), ramp=AT_ONCE)])
    first = plant.release("boiler")
    plant.run(0, 3)
    planned, _ = plant.repair(3)
    assert planned.decision.choice == "repair"
    assert plant.champion() != first


def test_a_proposal_waits_for_a_yes_over_restarts_and_is_released_after_it(tmp_path):
    plant = Plant(tmp_path, [proposed(boiler(3))])
    first = plant.release("boiler")
    plant.run(0, 4)
    question = plant.open_question()
    assert (question.role, question.n_needed, question.asset) == ("reviewer", 1, "boiler")
    assert {verdict["gate"] for verdict in question.facts["verdicts"]} == {"closer", "loads"}
    assert question.facts["reasons"] == plant.entries("loop.decide")[0]["decision"]["reasons"]
    Plant(tmp_path, [proposed(boiler(3))]).run(4.5, 6)
    assert plant.champion() == first
    plant.answer(6.25, "bo")
    last = Plant(tmp_path, [proposed(boiler(3))])
    last.run(6.5, 9)
    assert (last.stages(), last.outcomes()) == ([("all", 6.5)], ["released"])


def test_a_no_ends_the_repair_and_is_kept_with_who_said_it_and_why(tmp_path):
    plant = Plant(tmp_path, [proposed(boiler(3), cool_down=days(30))])
    first = plant.release("boiler")
    plant.run(0, 3)
    plant.answer(3.25, "bo", approves=False)
    plant.run(3.5, 8)
    assert (plant.outcomes(), plant.champion()) == (["refused"], first)
    assert plant.entries("loop.outcome")[0]["why"] == "bo said no: I looked"
    [incident] = plant.incidents()
    assert incident.closed_at is None


def test_people_who_say_no_again_and_again_are_asked_no_more_for_a_while(tmp_path):
    policy = {"cool_down": hours(6), "breaker": 2, "rest": days(7), "retrains": Rate(99, days(30))}
    plant = Plant(tmp_path, [proposed(wild(), **policy)])
    plant.release("boiler")
    for half in range(20):
        plant.tick(half / 2)
        with plant.place.stores.ledger.read() as session:
            asked = session.approvals.list(open_only=True)
        if asked:
            plant.answer(half / 2, "bo", approves=False)
    assert plant.outcomes() == ["refused"] * 2
    assert [choice for _, choice in plant.decisions()][-1] == "ask"


def test_four_eyes_are_two_people_and_neither_is_who_asked(tmp_path):
    asset = watched(boiler(3), approve_by="reviewer", four_eyes=True, ramp=AT_ONCE)
    plant = Plant(tmp_path, [asset])
    first = plant.release("boiler")
    plant.run(0, 3)
    assert plant.open_question().n_needed == 2
    with pytest.raises(Refused):
        plant.answer(3.25, "ann")
    plant.answer(3.25, "bo")
    plant.answer(3.25, "bo")
    plant.tick(3.5)
    assert plant.champion() == first, "an approval that is given twice counts once"
    plant.answer(3.75, "cy")
    plant.tick(4)
    assert plant.champion() != first


def test_who_asked_for_a_repair_may_not_approve_it_although_another_worker_put_the_question(tmp_path):
    """The person's process ended before it came so far."""

    class Stops(Says):
        def judge(self, place, asset, trial, now):
            raise LostLease("Gone.")

    asset = watched(boiler(3), approve_by="reviewer", four_eyes=True, ramp=AT_ONCE)
    bo = Plant(tmp_path, [asset], kind_with(gates=[Stops("verify")]), actor="bo")
    bo.release("boiler")
    with pytest.raises(LostLease):
        bo.repair(3)
    worker = Plant(tmp_path, [asset])
    worker.tick(3.5)
    assert worker.open_question().asked_by == "bo"
    with pytest.raises(Refused):
        worker.answer(4, "bo")


def test_a_change_below_a_version_is_approved_too(tmp_path):
    mend = Proposes("mend")
    plant = Plant(tmp_path, [proposed(boiler(3))], kind_with(remedies=[mend]))
    plant.release("boiler")
    plant.run(0, 3.5)
    assert mend.done == []
    plant.answer(3.75, "bo")
    plant.run(4, 4)
    assert len(mend.done) == 1


# Trigger


def test_a_repair_by_hand_waits_for_a_person_and_is_held_back_by_no_ration(tmp_path):
    rations = {"cool_down": days(30), "retrains": Rate(1, days(30)), "breaker": 1}
    asset = watched(wild(), trigger="manual", ramp=AT_ONCE, **rations)
    plant = Plant(tmp_path, [asset], kind_with(gates=[Says("verify")]))
    plant.release("boiler")
    plant.run(0, 5)
    assert (plant.decisions(), plant.jobs()) == ([(3.0, "hold")], [])
    for day in (5.0, 5.5, 6.0):
        planned, jobs = plant.repair(day)
        assert planned.decision.choice == "repair"
        assert [job.output["outcome"] for job in jobs] == ["rejected"]
    assert len({job.key for job in plant.jobs()}) == 3


def test_a_person_may_ask_at_the_instant_at_which_the_loop_tried_in_vain(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))], kind_with(gates=[Says("verify")]))
    plant.release("boiler")
    plant.run(0, 3)
    plant.repair(3)
    assert plant.outcomes() == ["rejected", "rejected"]


def test_a_person_cannot_begin_a_second_repair_beside_the_first_nor_one_of_nothing(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))])
    plant.release("boiler")
    plant.run(0, 3)
    with pytest.raises(NotReady, match="on its way"):
        plant.repair(3)
    with pytest.raises(NotFound, match="boiler"):
        plant.repair(3, "boyler")
    with pytest.raises(NotReady, match="domain time never goes back"):
        plant.repair(2)


def test_a_repair_by_hand_drives_no_other_assets_jobs(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3)), watched(boiler(30, name="engine"))])
    plant.release("boiler")
    plant.run(0, 3)
    _, jobs = plant.repair(3.5, "engine")
    assert {job.subject for job in jobs} == {"engine"}
    assert plant.stages() == [("shadow", 3.0)], "its turn comes in the next round"


def test_a_schedule_repairs_once_a_period_whether_anything_is_broken_or_not(tmp_path):
    """The first gauge moves slowly and never breaks; the second does not show anything."""
    slow = gauge(lambda day: 20.0 + day / 12)
    asset = watched(slow, trigger="schedule", every=days(4), ramp=AT_ONCE, watch=hours(12), cool_down=hours(0))
    silent = watched(gauge(lambda day: 20.0, "engine", n_days=0), trigger="schedule", every=days(4))
    plant = Plant(tmp_path, [asset, silent])
    plant.release("boiler")
    plant.release("engine")
    plant.run(0, 13)
    assert repaired_on(plant) == [4.0, 8.0, 12.0]
    assert plant.decisions("engine") == [(4.0, "wait"), (8.0, "wait"), (12.0, "wait")]
    assert plant.incidents() == []


def test_on_a_schedule_what_breaks_waits_for_it(tmp_path):
    asset = watched(wild(), trigger="schedule", every=days(5), ramp=AT_ONCE)
    plant = Plant(tmp_path, [asset])
    plant.release("boiler")
    plant.run(0, 5.5)
    assert plant.decisions()[0] == (3.0, "wait")
    assert repaired_on(plant) == [5.0]
    [incident] = plant.incidents()
    assert incident.opened_at == T0 + days(3)


def test_beside_evidence_a_period_lets_versions_compete_while_nothing_is_broken(tmp_path):
    slow = gauge(lambda day: 20.0 if day < 2 else 22.5)
    asset = watched(slow, every=days(3), ramp=AT_ONCE, watch=hours(12), breaker=1)
    plant = Plant(tmp_path, [asset])
    plant.release("boiler")
    plant.run(0, 13)
    assert repaired_on(plant) == [3.0, 6.0, 9.0, 12.0]
    assert plant.outcomes() == ["released", "rejected", "rejected", "rejected"]
    assert {facts["decision"]["cause"] for facts in plant.entries("loop.decide")} == {"schedule"}


def test_a_schedule_runs_on_over_restarts_and_fires_once_for_the_time_that_nobody_looked(tmp_path):
    def new():
        return Plant(tmp_path, [watched(boiler(30), every=days(2), cool_down=hours(0))])

    new().release("boiler")
    new().run(0, 1)
    new().run(1.5, 3)
    new().run(9, 10.5)
    assert repaired_on(new()) == [2.0, 9.0]


def test_a_schedule_waits_for_the_first_release_which_is_a_persons(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(30), every=days(2), cool_down=hours(0))])
    plant.run(0, 5)
    assert plant.decisions() == []
    plant.release("boiler", at=T0 + days(5))
    plant.run(5.5, 6)
    assert repaired_on(plant) == [5.5]


def test_a_yes_that_comes_when_the_champion_was_changed_releases_nothing(tmp_path):
    plant = Plant(tmp_path, [proposed(boiler(3))])
    plant.release("boiler")
    plant.run(0, 3)
    second = plant.release("boiler", offset=-6.9, at=T0 + days(3.5))
    plant.answer(4, "bo")
    plant.run(4, 5)
    assert (plant.pointers(), plant.outcomes()) == ({CHAMPION: second}, ["withdrawn"])


def test_the_plan_tells_what_the_next_round_does_and_writes_nothing(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3), ramp=Ramp(hours(1), hours(0))), watched(boiler(30, name="engine"))])
    plant.release("boiler")
    plant.run(0, 2.5)
    assert plant.loop.plan(T0 + days(2.5)) == []
    plant.loop._observer.run([watched(boiler(3))], T0 + days(3))
    before = plant.sequence()
    [planned] = plant.loop.plan(T0 + days(3))
    assert plant.sequence() == before
    assert [action.key for action in planned.decision.actions] == ["recalibrate gain=1.0"]
    plant.tick(3)
    [decided] = plant.entries("loop.decide")
    assert decided["decision"]["reasons"] == list(planned.decision.reasons)
