"""A gauge decays; the loop finds it, says why, repairs it, proves it, releases it, and keeps the evidence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gauges import FAST, T0, Plant, Says, boiler, gauge, kind_with, watched

from perdure.assets.policy import Ramp
from perdure.assets.repair import Trial
from perdure.assets.version import CHALLENGER, CHAMPION, SHADOW, Pointer, Version
from perdure.core.canonical import canonical_json
from perdure.core.errors import DeclarationError, LostLease, NotFound, Refused
from perdure.core.units import days, hours
from perdure.loop.decide import decide
from perdure.loop.release import roll_back
from perdure.loop.situation import situation_from, to_bytes
from perdure.testing.toy import Closer, toy_kind

pytestmark = pytest.mark.scenario


def test_a_gauge_that_decays_is_repaired_released_step_by_step_and_healthy_again(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))])
    first = plant.release("boiler")
    plant.run(0, 10)
    assert plant.champion() != first
    assert plant.stages() == [("shadow", 3.0), ("canary", 3.5), ("all", 4.0)]
    assert plant.pointers() == {CHAMPION: plant.champion()}
    [incident] = plant.incidents()
    assert incident.kind == "moved"
    assert incident.closed_at == T0 + days(6), "after its watch"
    [job] = plant.jobs()
    assert (job.status, job.output["outcome"]) == ("done", "released")
    assert incident.facts["jobs"] == [job.id]
    assert plant.place.stores.ledger.verify().intact


def test_every_stage_leaves_its_evidence_with_job_and_incident(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))])
    plant.release("boiler")
    plant.run(0, 8)
    [job], [incident] = plant.jobs(), plant.incidents()
    verified = plant.entries("loop.verify")
    assert [facts["stage"] for facts in verified] == ["verify", "shadow", "canary", "watch", "watch"]
    [decided], [outcome] = plant.entries("loop.decide"), plant.entries("loop.outcome")
    assert {facts["job"] for facts in (*verified, outcome)} == {job.id}
    assert {facts["incident"] for facts in (*verified, outcome, decided)} == {incident.id}
    assert verified[0]["winner"] == outcome["champion"] == plant.champion()
    with plant.place.stores.ledger.read() as session:
        moves = [move for move in session.pointers.history("boiler") if "job" in move.facts]
    assert {move.facts["job"] for move in moves} == {job.id}
    canary = next(move for move in moves if move.name == CHALLENGER and move.version)
    assert canary.share == FAST.share


def test_two_plants_of_one_story_differ_in_nothing_but_ids(tmp_path):
    told = []
    for name in ("one", "other"):
        plant = Plant(tmp_path / name, [watched(boiler(3)), watched(boiler(5, name="kettle"))])
        plant.release("boiler")
        plant.release("kettle")
        plant.run(0, 9)
        told.append((plant.stages(), plant.stages("kettle"), plant.reasons(), plant.pointers(), plant.outcomes()))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("stage", "moved", "outcome"),
    [
        ("verify", [], "rejected"),
        ("shadow", ["shadow", "end of trial"], "rejected"),
        ("canary", ["shadow", "canary", "end of trial"], "rejected"),
        ("watch", ["shadow", "canary", "all", "rollback"], "rolled_back"),
    ],
)
def test_a_candidate_that_is_refused_in_a_stage_leaves_the_champion_of_before(tmp_path, stage, moved, outcome):
    plant = Plant(tmp_path, [watched(boiler(3), cool_down=days(30))], kind_with(gates=[Says(stage)]))
    first = plant.release("boiler")
    plant.run(0, 6)
    assert [name for name, _ in plant.stages()] == moved
    assert plant.pointers() == {CHAMPION: first}
    assert plant.outcomes() == [outcome]
    [incident] = plant.incidents()
    assert incident.closed_at is None
    [told] = incident.facts["outcomes"]
    assert told.startswith(f"{outcome}: ")
    assert "says: so it is" in told or stage == "verify"


@pytest.mark.parametrize(("turns_on", "stage"), [(3.25, "shadow"), (3.75, "canary")])
def test_a_gauge_that_turns_in_a_trial_ends_it_by_the_gates_own_figures(tmp_path, turns_on, stage):
    """It was off for a while only: the first champion is the right one again when the stage is judged."""
    plant = Plant(tmp_path, [watched(gauge(lambda day: 27.0 if 3 <= day < turns_on else 20.0))])
    first = plant.release("boiler")
    plant.run(0, 7)
    assert [name for name, _ in plant.stages()][-2:] == [stage, "end of trial"]
    assert plant.pointers() == {CHAMPION: first}
    judged = plant.entries("loop.verify")[-1]
    assert judged["stage"] == stage
    assert [each["comparison"] for each in judged["trials"][0]["verdicts"]] == ["worse"]
    [incident] = plant.incidents()
    assert incident.closing.startswith("Every objective is healthy again")


def test_a_gauge_that_turns_after_the_release_is_rolled_back_by_the_watch(tmp_path):
    plant = Plant(tmp_path, [watched(gauge(lambda day: 27.0 if 3 <= day < 4.5 else 20.0))])
    first = plant.release("boiler")
    plant.run(0, 5)
    assert [name for name, _ in plant.stages()] == ["shadow", "canary", "all", "rollback"]
    assert plant.champion() == first
    [_, _, _, watch, way_back] = plant.entries("loop.verify")
    assert (watch["stage"], way_back["stage"]) == ("watch", "rollback")
    assert way_back["trials"][0]["candidate"] == first
    [job] = plant.jobs()
    assert job.output["outcome"] == "rolled_back"


def test_stages_of_no_length_are_left_out(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3), ramp=Ramp(hours(0), hours(0)))])
    plant.release("boiler")
    plant.run(0, 4)
    assert plant.stages() == [("all", 3.0)]


def test_an_asset_without_a_champion_gets_its_first_one_at_once(tmp_path):
    """There is nothing to compare it with while it would be in shadow, and no way back to watch for."""
    plant = Plant(tmp_path, [watched(boiler(3))])
    plant.run(0, 4)
    assert plant.stages() == [("all", 3.0)]
    assert plant.outcomes() == ["released"]


def test_of_several_candidates_the_one_with_the_largest_gain_wins(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3, gains=(0.5, 1.0, 0.9)))])
    plant.release("boiler")
    plant.run(0, 6)
    [verify] = [facts for facts in plant.entries("loop.verify") if facts["stage"] == "verify"]
    gains = {trial["candidate"]: trial["gain"] for trial in verify["trials"]}
    assert sorted(gains.values()) == [pytest.approx(3.5), pytest.approx(6.3), pytest.approx(7.0)]
    assert plant.champion() == max(gains, key=gains.__getitem__) == verify["winner"]


def test_a_candidate_that_only_one_gate_refuses_does_not_win_though_it_gains_most(tmp_path):
    class NotTheBest(Says):
        def judge(self, place, asset, trial, now):
            verdict = super().judge(place, asset, trial, now)
            gain = Closer().judge(place, asset, trial, now).gain
            return verdict if gain > 6.5 else Says("verify", passes=True).judge(place, asset, trial, now)

    plant = Plant(tmp_path, [watched(boiler(3, gains=(1.0, 0.9)))], kind_with(gates=[NotTheBest("verify")]))
    plant.release("boiler")
    plant.run(0, 3)
    [verify] = plant.entries("loop.verify")
    assert [(trial["passed"], round(trial["gain"], 1)) for trial in verify["trials"]] == [(True, 6.3), (False, 7.0)]
    assert verify["winner"] == plant.pointers()[SHADOW] == verify["trials"][0]["candidate"]


def spoiled(plant: Plant) -> str:
    """A champion that cannot be gone back to."""
    version = Version("boiler@spoiled", "boiler", "toy", {"offset": 0.0, "spoiled": True}, {}, {}, {}, T0, "ann")
    with plant.place.stores.ledger.transaction(actor="ann", at=T0, reason="first") as session:
        session.registry.put_version(version)
        session.pointers.set([Pointer("boiler", CHAMPION, version.id)])
    return version.id


class WayBack(Says):
    """The proof that a version loads: a spoiled one does not."""

    def judge(self, place, asset, trial, now):
        target = trial.incumbent if trial.stage == "verify" else trial.candidate
        with place.stores.ledger.read() as session:
            sound = "spoiled" not in session.registry.get_version(target).definition
        return Says(*self.stages, passes=sound, name=self.name).judge(place, asset, trial, now)


def test_a_champion_that_cannot_be_gone_back_to_is_told_before_it_is_needed(tmp_path):
    """The verification asks for the way back, so that nothing is released without one."""
    kind = kind_with(gates=[WayBack("verify", "rollback", name="way back")])
    plant = Plant(tmp_path, [watched(boiler(3))], kind)
    champion = spoiled(plant)
    plant.run(0, 4)
    assert plant.pointers() == {CHAMPION: champion}
    [verify] = plant.entries("loop.verify")
    [trial] = verify["trials"]
    assert [verdict["gate"] for verdict in trial["verdicts"] if not verdict["passed"]] == ["way back"]


def test_going_back_by_hand_to_a_version_that_does_not_load_is_refused_and_changes_nothing(tmp_path):
    kind = kind_with(gates=[WayBack("rollback", name="way back")])
    asset = watched(boiler(30))
    plant = Plant(tmp_path, [asset], kind)
    bad = spoiled(plant)
    good = plant.release("boiler")
    before = plant.sequence()
    with pytest.raises(Refused, match="way back"):
        roll_back(plant.place, kind, asset, T0 + days(1), reason="too warm")
    with pytest.raises(DeclarationError, match="reason"):
        roll_back(plant.place, kind, asset, T0 + days(1), reason=" ")
    with pytest.raises(NotFound):
        roll_back(plant.place, kind, asset, T0 + days(1), to="boiler@never", reason="too warm")
    assert (plant.sequence(), plant.champion()) == (before, good)
    assert bad != good


def test_going_back_by_hand_goes_to_the_newest_other_champion_and_keeps_why(tmp_path):
    asset = watched(boiler(3), ramp=Ramp(hours(0), hours(0)))
    plant = Plant(tmp_path, [asset])
    first = plant.release("boiler")
    plant.run(0, 6)
    second = plant.champion()
    move = roll_back(plant.place, toy_kind(), asset, T0 + days(7), reason="too cold")
    assert (move.version, move.replaced, plant.champion()) == (first, second, first)
    again = roll_back(plant.place, toy_kind(), asset, T0 + days(8), reason="it was not")
    assert again.version == second
    with plant.place.stores.ledger.read() as session:
        reasons = [move.reason for move in session.pointers.history("boiler")]
    assert reasons[-2:] == ["too cold", "it was not"]


def test_a_trial_ends_when_a_person_goes_back_meanwhile(tmp_path):
    """The candidate was compared with a champion that does not answer any more."""
    asset = watched(boiler(3))
    plant = Plant(tmp_path, [asset])
    older = plant.release("boiler", offset=0.5)
    plant.release("boiler")
    plant.run(0, 3)
    assert plant.pointers().keys() == {CHAMPION, SHADOW}
    roll_back(plant.place, toy_kind(), asset, T0 + days(3) + hours(1), reason="the newer one was not meant")
    plant.run(3.5, 5)
    assert plant.pointers() == {CHAMPION: older}
    assert plant.outcomes() == ["withdrawn"]


def test_a_watch_ends_without_a_way_back_when_a_person_went_there_before(tmp_path):
    asset = watched(boiler(3), ramp=Ramp(hours(0), hours(0)), cool_down=days(20))
    plant = Plant(tmp_path, [asset], kind_with(gates=[Says("watch")]))
    first = plant.release("boiler")
    plant.run(0, 3)
    third = plant.release("boiler", offset=-6.5, at=T0 + days(3))
    plant.run(3.5, 6)
    assert plant.champion() == third != first
    assert plant.outcomes() == ["overtaken"]


def test_recorded_decisions_are_made_again_byte_for_byte(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3)), watched(boiler(5, name="kettle"), rests_on=["boiler"], every=days(2))])
    plant.release("boiler")
    plant.release("kettle")
    plant.run(0, 12)
    decided = plant.entries("loop.decide")
    assert len(decided) >= 4
    for facts in decided:
        assert to_bytes(decide(situation_from(facts["situation"]))) == canonical_json(facts["decision"])


def test_a_kind_without_a_gate_proves_nothing_and_releases_nothing(tmp_path):
    from dataclasses import replace

    plant = Plant(tmp_path, [watched(boiler(3))], replace(toy_kind(), gates=()))
    first = plant.release("boiler")
    plant.run(0, 5)
    assert plant.pointers() == {CHAMPION: first}
    assert plant.outcomes() == ["rejected"]


@pytest.mark.parametrize(
    ("stage", "moved", "keeps_first"),
    [
        ("verify", [], True),
        ("shadow", ["shadow", "end of trial"], True),
        ("canary", ["shadow", "canary", "end of trial"], True),
        ("watch", ["shadow", "canary", "all"], False),
    ],
)
def test_a_fault_in_a_gate_fails_the_repair_in_order_and_leaves_no_trial(tmp_path, stage, moved, keeps_first):
    """What it has been compared with all the way stays champion when only its watch cannot be kept."""

    class Faulty(Says):
        def judge(self, place, asset, trial, now):
            raise ZeroDivisionError("a fault in a recipe")

    plant = Plant(tmp_path, [watched(boiler(3), cool_down=days(30))], kind_with(gates=[Faulty(stage)]))
    first = plant.release("boiler")
    plant.run(0, 7)
    [job] = plant.jobs()
    assert (job.status, job.output["outcome"]) == ("done", "failed")
    assert "a fault in a recipe" in job.output["why"]
    assert [name for name, _ in plant.stages()] == moved
    assert plant.pointers().keys() == {CHAMPION}
    assert (plant.champion() == first) is keeps_first


def test_a_round_whose_lease_is_lost_in_a_recipe_changes_no_pointer_and_the_next_worker_goes_on(tmp_path):
    """Another worker takes the lease while the first one's gate judges."""

    class Stolen(Says):
        rival = None

        def judge(self, place, asset, trial, now):
            if self.rival is None:
                place.stores.leases.release(place.lease)
                self.rival = place.stores.leases.acquire("loop", "rival", 30.0)
            return super().judge(place, asset, trial, now)

    stolen = Stolen("verify", passes=True)
    plant = Plant(tmp_path, [watched(boiler(3))], kind_with(gates=[stolen]))
    first = plant.release("boiler")
    plant.run(0, 2.5)
    with pytest.raises(LostLease):
        plant.tick(3)
    assert plant.pointers() == {CHAMPION: first}
    plant.place.stores.leases.release(stolen.rival)
    plant.run(3, 7)
    assert plant.outcomes() == ["released"]
    assert len(plant.jobs()) == 1


def test_trials_know_how_many_compete(tmp_path):
    seen: list[Trial] = []

    class Counts(Says):
        def judge(self, place, asset, trial, now):
            seen.append(trial)
            return super().judge(place, asset, trial, now)

    kind = kind_with(gates=[Counts("verify", "shadow", passes=True)])
    plant = Plant(tmp_path, [watched(boiler(3, gains=(1.0, 0.5)))], kind)
    plant.release("boiler")
    plant.run(0, 4)
    assert [(trial.stage, trial.n_rivals) for trial in seen] == [("verify", 2), ("verify", 2), ("shadow", 1)]
    assert seen[-1].since == T0 + days(3)


def test_a_cause_that_was_found_stays_at_its_incident_when_nothing_speaks_for_it_any_more(tmp_path):
    """Such as after a release that did not heal it wholly: the story keeps what was found first."""
    plant = Plant(tmp_path, [watched(boiler(3), cool_down=days(1))], kind_with(gates=[Says("verify")]))
    plant.release("boiler")
    plant.run(0, 7)
    [incident] = plant.incidents()
    assert plant.entries("loop.decide")[-1]["situation"]["causes"] == []
    assert [cause["name"] for cause in incident.facts["causes"]] == ["moved"]
    assert "moved by 7" in incident.summary
