"""What holds the loop back: budget, cool-down, breaker, a pause, a window, something broken further up, too little evidence."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gauges import AT_ONCE, T0, Plant, Proposes, Says, boiler, gauge, kind_with, watched, wild

from perdure.assets.policy import Hours, Policy
from perdure.assets.version import CHAMPION, SHADOW
from perdure.core.errors import DeclarationError
from perdure.core.settings import LoopSettings
from perdure.core.units import Rate, days, hours
from perdure.loop.pausing import pause, resume
from perdure.stores.ledger.protocols import Job
from perdure.testing.toy import level, watch

pytestmark = pytest.mark.scenario
NEVER = timedelta(0)


def choices(plant, asset="boiler"):
    return [choice for _, choice in plant.decisions(asset)]


# What is not written twice


def test_a_round_twice_at_one_instant_is_one(tmp_path):
    """In quiet, when a job begins, when it moves on, when it is refused at once, when it ends."""
    for name, kind in (("fine", None), ("refused", kind_with(gates=[Says("verify")]))):
        plant = Plant(tmp_path / name, [watched(boiler(3))], kind)
        plant.release("boiler")
        for half in range(20):
            plant.tick(half / 2)
            before = plant.sequence()
            again = plant.tick(half / 2)
            assert plant.sequence() == before, f"{name}, day {half / 2}"
            assert (again.opened, again.closed, again.decided, again.jobs) == ([], [], [], [])


def test_an_asset_without_a_cause_is_asked_about_once_and_again_after_a_week(tmp_path):
    """It was off before anybody looked, so it did not move."""
    plant = Plant(tmp_path, [watched(boiler(0))])
    plant.release("boiler")
    plant.run(1, 15)
    assert plant.decisions() == [(1.0, "ask"), (8.0, "ask"), (15.0, "ask")]
    [incident] = plant.incidents()
    assert (incident.kind, incident.facts["asked"]) == ("unknown", ["Nothing speaks for any known cause."])
    assert plant.jobs() == []


def test_what_was_decided_is_thought_over_at_once_when_something_else_breaks(tmp_path):
    colder = gauge(lambda day: 27.0 if day < 4 else 33.0)
    policy = Policy.act(ramp=AT_ONCE)
    asset = watch(colder, level(over=days(1)) <= 23.0, level(over=days(1)) <= 30.0, policy=policy)
    plant = Plant(tmp_path, [asset])
    plant.release("boiler")
    plant.run(1, 5)
    assert plant.decisions()[:2] == [(1.0, "ask"), (4.0, "repair")]


def test_another_policy_is_heeded_in_the_next_round(tmp_path):
    first = Plant(tmp_path, [watch(wild(), level(over=days(1)) <= 23.0, policy=Policy.observe())])
    first.release("boiler")
    first.run(0, 4)
    assert first.decisions() == [(3.0, "hold")]
    second = Plant(tmp_path, [watched(wild())])
    second.run(4.5, 4.5)
    assert second.decisions()[1:] == [(4.5, "repair")]


def test_the_projects_cap_is_heeded_whatever_the_policy_says(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))], loop=LoopSettings(autonomy="observe"))
    plant.release("boiler")
    plant.run(0, 5)
    assert choices(plant) == ["hold"]


# Rationing


def test_the_cool_down_spaces_repairs(tmp_path):
    plant = Plant(tmp_path, [watched(wild(), ramp=AT_ONCE, watch=hours(6), cool_down=days(4), breaker=99)])
    plant.release("boiler")
    plant.run(0, 16)
    repaired_on = [day for day, choice in plant.decisions() if choice == "repair"]
    assert repaired_on == [3.0, 7.5, 11.5, 15.5], "as soon as it is broken after four days"
    assert {reason.split(" ago")[1] for reason in plant.reasons() if "cool-down" in reason} == {
        "; the cool-down is 4d."
    }


def test_the_budget_is_never_exceeded_and_what_is_there_already_may_compete_beyond_it(tmp_path):
    known = Proposes("past_version", effect="known", times=99)
    asset = watched(wild(), ramp=AT_ONCE, watch=hours(6), cool_down=NEVER, retrains=Rate(2, days(30)), breaker=999)
    plant = Plant(tmp_path, [asset], kind_with(remedies=[known], gates=[Says("verify")]))
    plant.release("boiler")
    plant.run(0, 10)
    plans = [[action["effect"] for action in facts["decision"]["actions"]] for facts in plant.entries("loop.decide")]
    plans = [plan for plan in plans if plan]
    assert plans[:2] == [["known", "candidate"]] * 2
    assert len(plans) > 5
    assert set(map(tuple, plans[2:])) == {("known",)}
    beyond = plant.entries("loop.decide")[-1]["decision"]["weighed"]
    assert [each["why"] for each in beyond if not each["chosen"]] == [
        "The budget is spent: 2 retrained in 30d, 2 allowed."
    ]


def test_a_spent_budget_is_waited_for(tmp_path):
    asset = watched(wild(), ramp=AT_ONCE, watch=hours(6), cool_down=NEVER, retrains=Rate(2, days(7)), breaker=999)
    plant = Plant(tmp_path, [asset], kind_with(gates=[Says("verify")]))
    plant.release("boiler")
    plant.run(0, 12)
    assert [day for day, choice in plant.decisions() if choice == "repair"] == [3.0, 3.5, 10.0, 10.5]
    assert [day for day, choice in plant.decisions() if choice == "wait"] == [4.0, 11.0]


def test_the_breaker_opens_after_repairs_in_vain_and_lets_one_try_after_its_rest(tmp_path):
    asset = watched(wild(), cool_down=NEVER, retrains=Rate(99, days(30)), breaker=3, rest=days(5))
    plant = Plant(tmp_path, [asset], kind_with(gates=[Says("verify")]))
    plant.release("boiler")
    plant.run(0, 15)
    assert [day for day, choice in plant.decisions() if choice == "repair"] == [3.0, 3.5, 4.0, 9.0, 14.0]
    asked = [day for day, choice in plant.decisions() if choice == "ask"]
    assert asked == [4.5, 9.5, 14.5]
    assert "The breaker is open: 3 repairs in a row came to nothing." in plant.reasons()


def test_a_release_that_holds_closes_the_breaker(tmp_path):
    """Two in vain, one that holds, two in vain: a breaker of three stays closed."""
    asset = watched(wild(), ramp=AT_ONCE, watch=hours(6), cool_down=NEVER, retrains=Rate(99, days(30)), breaker=3)
    refuses = Says("verify")
    plant = Plant(tmp_path, [asset], kind_with(gates=[refuses]))
    plant.release("boiler")
    plant.run(0, 3.5)
    refuses.passes = True
    plant.run(4, 5)
    assert plant.outcomes()[:3] == ["rejected", "rejected", "released"]
    refuses.passes = False
    plant.run(5.5, 7)
    assert [each["situation"]["past"]["n_fruitless"] for each in plant.entries("loop.decide")] == [0, 1, 2, 0, 1, 2]
    assert set(choices(plant)) == {"repair"}


def test_mending_below_that_keeps_failing_opens_the_breaker_too(tmp_path):
    class Fails(Proposes):
        def repair(self, place, asset, action, step, now):
            super().repair(place, asset, action, step, now)
            raise DeclarationError("It cannot be mended.")

    fails = Fails("mend", times=99)
    plant = Plant(tmp_path, [watched(wild(), breaker=3)], kind_with(remedies=[fails]))
    plant.release("boiler")
    plant.run(0, 10)
    assert plant.outcomes() == ["failed"] * 3
    assert choices(plant) == ["repair"] * 3 + ["ask"]


def test_what_is_below_a_version_is_mended_first_and_given_time_to_heal(tmp_path):
    mend = Proposes("mend")
    plant = Plant(tmp_path, [watched(wild(up_to=8))], kind_with(remedies=[mend]))
    first = plant.release("boiler")
    plant.run(0, 6)
    assert (len(mend.done), plant.outcomes(), plant.champion()) == (1, ["mended"], first)
    assert choices(plant) == ["repair", "wait"]
    [incident] = plant.incidents()
    assert incident.facts["mended"] == ["moved"]


# People


def test_a_paused_asset_is_measured_and_told_and_left_alone_until_it_is_resumed(tmp_path):
    plant = Plant(tmp_path, [watched(wild())])
    first = plant.release("boiler")
    plant.tick(0)
    pause(plant.place, "boiler", T0 + days(1), "a new sensor is fitted")
    plant.run(1, 6)
    assert (plant.champion(), plant.jobs(), choices(plant)) == (first, [], ["hold"])
    assert len(plant.incidents()) == 1
    assert plant.reasons() == ["Paused by a person: a new sensor is fitted (ann at 2025-01-02T00:00:00Z)"]
    assert resume(plant.place, "boiler", T0 + days(6), "it is fitted")
    assert not resume(plant.place, "boiler", T0 + days(6), "it is fitted")
    plant.tick(6.5)
    assert choices(plant) == ["hold", "repair"]


def test_a_pause_with_an_end_ends_by_itself(tmp_path):
    plant = Plant(tmp_path, [watched(wild())])
    plant.release("boiler")
    pause(plant.place, "boiler", T0 + days(1), "stocktaking", until=T0 + days(5))
    plant.run(1, 5)
    assert plant.decisions() == [(3.0, "hold"), (5.0, "repair")]


@pytest.mark.parametrize(("reason", "until"), [(" ", None), ("why", T0)])
def test_a_pause_without_reason_or_with_an_end_in_the_past_is_refused(tmp_path, reason, until):
    plant = Plant(tmp_path, [watched(boiler(3))])
    with pytest.raises(DeclarationError):
        pause(plant.place, "boiler", T0 + days(1), reason, until)


def test_a_trial_of_an_asset_that_is_paused_meanwhile_ends(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))])
    first = plant.release("boiler")
    plant.run(0, 3)
    assert SHADOW in plant.pointers()
    pause(plant.place, "boiler", T0 + days(3) + hours(1), "wait")
    plant.run(3.5, 5)
    assert (plant.pointers(), plant.outcomes()) == ({CHAMPION: first}, ["withdrawn"])


def test_releases_begin_inside_maintenance_windows_only(tmp_path):
    """Day 3 is a Saturday; the window opens on Mondays at 6."""
    plant = Plant(tmp_path, [watched(boiler(3), windows=(Hours(6, 8, weekdays=(0,)),))])
    plant.release("boiler")
    plant.run(0, 9, step=0.25)
    assert plant.stages() == [("shadow", 5.25), ("canary", 5.75), ("all", 6.25)]


def test_a_release_that_waits_for_its_window_is_withdrawn_when_the_champion_changes(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3), windows=(Hours(6, 8, weekdays=(0,)),))])
    plant.release("boiler")
    plant.run(0, 4)
    second = plant.release("boiler", offset=-6.8, at=T0 + days(4))
    plant.run(4.5, 7, step=0.25)
    assert (plant.champion(), plant.outcomes()) == (second, ["withdrawn"])


# What is further up


def test_an_asset_that_rests_on_a_broken_one_is_noted_there_and_waits(tmp_path):
    """Both break at once, and the one below is declared first."""
    below, above = watched(wild("engine"), rests_on=["boiler"]), watched(boiler(3, n_days=6), cool_down=days(1))
    plant = Plant(tmp_path, [below, above])
    for name in ("boiler", "engine"):
        plant.release(name)
    plant.run(0, 5)
    assert {incident.asset for incident in plant.incidents()} == {"boiler"}
    [incident] = plant.incidents()
    assert incident.facts["affects"] == ["engine"]
    assert plant.decisions("engine") == [(3.0, "hold")]
    plant.run(5.5, 9)
    assert plant.incidents()[0].closed_at is not None
    assert choices(plant, "engine")[1] == "repair"


def test_what_is_broken_two_steps_up_holds_back_too(tmp_path):
    assets = [
        watched(wild("train"), rests_on=["engine"]),
        watched(wild("engine"), rests_on=["boiler"]),
        watch(wild(), level(over=days(1)) <= 23.0, policy=Policy.observe()),
    ]
    plant = Plant(tmp_path, assets)
    plant.run(0, 4)
    [incident] = plant.incidents()
    assert (incident.asset, incident.facts["affects"]) == ("boiler", ["engine", "train"])
    assert plant.jobs() == []


def test_a_trial_ends_when_something_further_up_breaks_meanwhile(tmp_path):
    assets = [
        watched(boiler(3, name="engine"), rests_on=["boiler"]),
        watch(boiler(3.5), level(over=days(1)) <= 23.0, policy=Policy.observe()),
    ]
    plant = Plant(tmp_path, assets)
    first = plant.release("engine")
    plant.run(0, 5)
    assert plant.stages("engine") == [("shadow", 3.0), ("canary", 3.5), ("end of trial", 4.0)]
    assert plant.pointers("engine") == {CHAMPION: first}
    assert "withdrawn" in plant.outcomes()


# Hysteresis


def test_an_incident_opens_only_with_the_whole_interval_and_closes_only_with_it(tmp_path):
    """The gauge shows ± 1 and may show 23: 23.5 is unsure, 24.5 broken, 21.5 healthy."""
    values = {3: 23.5, 4: 24.5, 5: 23.5, 5.5: 24.5, 6: 23.5, 6.5: 21.5, 7: 23.5}

    def shows(day):
        return values[max((at for at in values if at <= day), default=3)]

    policy = Policy.observe()
    plant = Plant(tmp_path, [watch(gauge(shows), level(over=days(1)) <= 23.0, policy=policy)])
    open_on = []
    for half in range(20):
        plant.tick(half / 2)
        if [incident for incident in plant.incidents() if incident.closed_at is None]:
            open_on.append(half / 2)
    assert open_on == [4.0, 4.5, 5.0, 5.5, 6.0]
    assert len(plant.incidents()) == 1


def test_an_incident_that_stays_unsure_ends_a_whole_window_after_it_was_last_broken(tmp_path):
    """Not after it was last decided on: that was days before."""
    policy = Policy.observe()
    shows = gauge(lambda day: 20.0 if day < 3 else 24.5 if day < 8 else 23.5)
    plant = Plant(tmp_path, [watch(shows, level(over=days(1)) <= 23.0, policy=policy)])
    plant.run(0, 12)
    [incident] = plant.incidents()
    assert plant.decisions() == [(3.0, "hold")]
    assert incident.closed_at == T0 + days(8.5)
    assert incident.closing.startswith("No objective was broken for 1d")


def test_a_roll_back_does_not_close_the_incident_by_what_the_other_version_showed(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3), cool_down=days(30))], kind_with(gates=[Says("watch")]))
    plant.release("boiler")
    plant.run(0, 8)
    [incident] = plant.incidents()
    assert incident.closed_at is None


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
