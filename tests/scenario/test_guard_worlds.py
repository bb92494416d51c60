"""Guards under a settable clock, in the whole loop on real stores: new attacks, harmless drift, poisoned labels."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from guarding import USUAL, GuardWorld, Kinds, override, question, recipe, smuggling

from perdure.loop.work.guards.cases import read_cases
from perdure.loop.work.guards.judging import load_judge
from perdure.loop.work.versions import get_version


def attacked(day: float) -> Kinds:
    """From day 3 on, an attack comes that nobody knew."""
    return USUAL if day < 3 else {**USUAL, "smuggling": (smuggling, True, 6)}


def drifting(day: float) -> Kinds:
    """From day 3 on, most people ask for something else, harmless."""
    return USUAL if day < 3 else {**USUAL, "question": (question, False, 12), "recipe": (recipe, False, 45)}


@pytest.fixture(scope="module")
def new_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardWorld]:
    world = GuardWorld(tmp_path_factory.mktemp("new_family"), attacked)
    world.live(12.0)
    yield world
    world.writer.close()


def test_a_guard_that_misses_a_new_attack_is_retrained_verified_and_released(new_family: GuardWorld) -> None:
    (incident,) = new_family.incidents()

    assert incident.kind == "new_attacks"
    assert incident.facts["symptoms"][0]["objective"].startswith("miss_ratio over 4d <= 0.1")
    assert [each["outcome"] for each in new_family.entries("loop.outcome")] == ["released"]
    assert new_family.champion() != new_family.first


def test_its_incident_ends_once_it_misses_no_more(new_family: GuardWorld) -> None:
    (incident,) = new_family.incidents()

    assert incident.closed_at is not None
    assert new_family.recall(smuggling) > 0.9


def test_what_it_knew_before_it_knows_still_and_blocks_no_more_in_vain(new_family: GuardWorld) -> None:
    assert new_family.recall(override) > 0.95
    assert new_family.recall(question) < 0.02


def test_the_candidate_was_proven_by_every_gate_against_the_version_that_missed(new_family: GuardWorld) -> None:
    verified = next(each for each in new_family.entries("loop.verify") if each["stage"] == "verify")
    won = next(each for each in verified["trials"] if each["won"])
    quality = next(each for each in won["verdicts"] if each["gate"] == "guard_quality")

    assert {each["gate"] for each in won["verdicts"]} == {
        "guard_quality", "guard_over_defence", "guard_families", "guard_answers",
    }  # fmt: skip
    assert quality["comparison"] == "better"
    assert quality["evidence"]["misses"]["incumbent"] > quality["evidence"]["misses"]["candidate"]
    assert len({trial["candidate"] for trial in verified["trials"]}) == 2


def test_no_version_was_trained_on_what_it_is_judged_on(new_family: GuardWorld) -> None:
    cases = read_cases(new_family.place, new_family.guard, new_family.at(new_family.day))
    held_out = {case.text for case in cases if case.held_out}
    known_then = new_family.at(5.5)
    champion = get_version(new_family.place.stores.ledger, new_family.champion())
    judge = load_judge(new_family.place, champion)
    told_before = [
        case for case in cases if case.origin == "calls" and case.known_at is not None and case.known_at <= known_then
    ]

    assert any(not case.held_out and judge.knew(case) for case in told_before)
    # One that is nearly the same as a trained text may be held out; then no gate asks about it.
    assert sum(judge.knew(case) for case in cases if case.text in held_out) < len(held_out) / 4
    assert champion.lineage["remedy"] == "guard_retrain"


def test_harmless_drift_of_the_traffic_is_left_alone(tmp_path: Path) -> None:
    world = GuardWorld(tmp_path, drifting)
    world.live(9.0)
    world.writer.close()

    assert world.incidents() == []
    assert world.entries("loop.decide") == []
    assert world.champion() == world.first


def test_labels_that_say_attacks_are_harmless_are_not_learned_from(tmp_path: Path) -> None:
    """Somebody new labels each blocked attack as harmless: a person is asked, and no version is made."""

    def poisoned(rng: random.Random, harmful: bool, acted: bool) -> tuple[float, str] | None:
        if harmful and acted and world.day >= 2.0:
            return 0.0, "newcomer"
        return (1.0, "security") if acted and rng.random() < 0.5 else None

    world = GuardWorld(tmp_path, lambda _day: {**USUAL, "override": (override, True, 12)}, labeller=poisoned)
    world.live(7.0)
    world.writer.close()
    decisions = world.entries("loop.decide")

    assert world.incidents()[0].kind == "label_trouble"
    assert {each["decision"]["choice"] for each in decisions} == {"ask"}
    assert world.champion() == world.first
