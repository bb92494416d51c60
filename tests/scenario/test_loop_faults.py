"""Faults of single assets, recipes and declarations: they stop no other, and leave nothing behind."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gauges import T0, Plant, Proposes, boiler, kind_with, watched

from perdure.assets.version import CHAMPION, SHADOW, Pointer
from perdure.core.errors import DeclarationError
from perdure.core.units import days
from perdure.loop.cases import Cases
from perdure.loop.repair import CODE
from perdure.stores.ledger.protocols import Job

pytestmark = pytest.mark.scenario


def test_an_asset_that_cannot_be_diagnosed_stops_no_other(tmp_path):
    class Fails:
        name = "fails"

        def weigh(self, place, asset, findings, now):
            if asset.name == "boiler":
                raise ZeroDivisionError("a fault in a recipe")

    kind = replace(kind_with(), causes=(Fails(),))
    both = [watched(boiler(3)), watched(boiler(3, name="engine"))]
    plant = Plant(tmp_path, both, kind)
    plant.run(0, 2.5)
    with pytest.raises(ZeroDivisionError, match="a fault in a recipe"):
        plant.tick(3)
    assert (plant.decisions(), plant.decisions("engine")) == ([], [(3.0, "ask")])


def test_a_cause_that_cannot_be_weighed_is_left_out_while_another_can(tmp_path):
    class Fails:
        name = "fails"

        def weigh(self, place, asset, findings, now):
            raise ZeroDivisionError

    plant = Plant(tmp_path, [watched(boiler(3))], kind_with(causes=[Fails()]))
    plant.run(0, 3)
    assert plant.decisions() == [(3.0, "repair")]


def test_an_action_that_fails_leaves_the_others_to_compete(tmp_path):
    class Fails(Proposes):
        def repair(self, place, asset, action, step, now):
            raise DeclarationError("It cannot be done.")

    plant = Plant(tmp_path, [watched(boiler(3))], kind_with(remedies=[Fails("other", effect="candidate")]))
    plant.release("boiler")
    plant.run(0, 7)
    assert plant.outcomes() == ["released"]


def test_a_remedy_that_is_renamed_while_its_job_waits_fails_alone(tmp_path):
    """The job's plan names it; the next code does not know it."""
    plan = [watched(boiler(3, gains=(1.0,)))]
    old = kind_with(remedies=[Proposes("other", effect="candidate")])
    plant = Plant(tmp_path, plan, old)
    plant.release("boiler")
    plant.run(0, 2.5)
    asset = plan[0]
    cases = Cases(plant.place, {"toy": old})
    now = T0 + days(3)
    plant.loop._observer.run(plan, now)
    cases.take_up(asset, cases.consider(asset, now, "evidence"), now, code=CODE)
    again = Plant(tmp_path, plan)
    again.run(3, 7)
    assert again.outcomes() == ["released"]


def test_an_asset_that_is_not_declared_any_more_ends_its_job_its_trial_and_its_incident(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3)), watched(boiler(30, name="engine"))])
    first = plant.release("boiler")
    plant.run(0, 3)
    assert SHADOW in plant.pointers()
    less = Plant(tmp_path, [watched(boiler(30, name="engine"))])
    less.run(3.5, 4.5)
    [job] = less.jobs()
    assert (job.status, less.pointers()) == ("failed", {CHAMPION: first})
    assert "is not declared any more" in job.error
    [incident] = less.incidents()
    assert incident.closing == "boiler is not declared any more."


def test_a_trial_is_ended_for_a_job_whose_worker_was_killed_before_it_could(tmp_path):
    """The job's failure was written, and the process died."""
    plant = Plant(tmp_path, [watched(boiler(3))])
    first = plant.release("boiler")
    plant.run(0, 3)
    [job] = plant.jobs()
    with plant.place.stores.ledger.transaction(actor="ann", at=T0 + days(3), reason="fails") as session:
        session.jobs.put(replace(job, status="failed", error="why", ended_at=T0 + days(3)))
    assert SHADOW in plant.pointers()
    plant.tick(3.25)
    assert plant.pointers() == {CHAMPION: first}


def test_a_trial_that_a_person_set_up_is_left_alone(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(30))])
    first = plant.release("boiler")
    with plant.place.stores.ledger.transaction(actor="ann", at=T0, reason="by hand") as session:
        session.pointers.set([Pointer("boiler", SHADOW, first)])
    plant.run(0, 2)
    assert plant.pointers() == {CHAMPION: first, SHADOW: first}


def test_options_that_are_proposed_twice_are_done_once(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3, gains=(1.0, 1.0)))])
    plant.release("boiler")
    plant.run(0, 7)
    assert plant.outcomes() == ["released"]


def test_what_came_of_earlier_repairs_is_known_however_many_there_were(tmp_path):
    """The newest jobs are read first; a row of fruitless ones that is longer is read to its end."""
    plant = Plant(tmp_path, [watched(boiler(3))])
    plant.release("boiler")
    with plant.place.stores.ledger.transaction(actor="ann", at=T0, reason="the past") as session:
        for number in range(300):
            at, outcome = T0 - days(300 - number), "released" if number < 100 else "rejected"
            given = {"decision": {"cause": "moved", "actions": []}}
            output = {"outcome": outcome}
            key = f"boiler/{number}"
            job = Job(f"j{number}", "repair", key, "boiler", "done", "2", at, input=given, output=output, ended_at=at)
            session.jobs.put(job)
    plant.run(0, 3)
    [decided] = plant.entries("loop.decide")
    assert decided["situation"]["past"]["n_fruitless"] == 200
    assert decided["decision"]["choice"] == "ask"
