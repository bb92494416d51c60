"""Judges under a settable clock, in the whole loop on real stores: swapped models, worthless ones, disputes, orders in answers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from judging import JudgeWorld, truth

from perdure.assets.eval_objectives import judge_agreement, judge_shift
from perdure.core.units import days
from perdure.loop.work.judges.state import find
from perdure.surface.governance.telling import markdown
from perdure.testing.evals import FakeJudge

pytestmark = pytest.mark.scenario


def swapped(folder: Path, after: FakeJudge, **declared: Any) -> JudgeWorld:
    """From day 3 on another model answers behind the judge's route."""
    world = JudgeWorld(folder, {"judges": FakeJudge(truth, noise=0.05)}, declared=declared)
    world.live(3.0)
    world.judges["judges"] = after
    world.live(6.5)
    return world


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgeWorld]:
    return swapped(tmp_path_factory.mktemp("healed"), FakeJudge(truth, "kind", helped_by="examples"))


def test_a_judge_whose_model_was_swapped_is_asked_otherwise_verified_and_released(healed: JudgeWorld) -> None:
    """Observed, diagnosed, repaired, verified, released, watched, closed."""
    (incident,) = healed.incidents()

    assert incident.kind == "model_swapped"
    assert "judge_agreement over 3d >= 0.8 is broken" in incident.summary
    assert [each["outcome"] for each in healed.entries("loop.outcome")] == ["released"]
    assert healed.champion() != healed.first
    assert incident.closed_at is not None


def test_what_answers_then_agrees_with_people_again(healed: JudgeWorld) -> None:
    assert healed.agrees() == 1.0


def test_its_story_is_told_from_the_first_sign_to_the_end(healed: JudgeWorld) -> None:
    story = markdown(healed.perdure.explain("sums"))

    for part in (
        "judge_agreement over 3d >= 0.8",
        "The model changed behind its name",
        "+ reprompt",
        "passed judge_better: On",
        "held-out labels its informedness is 1.00, against",
        "passed judge_usable: This judge agrees with people on",
        "(all)",
        "Every objective is healthy again",
    ):
        assert part in story


def test_no_case_that_a_candidate_learned_from_is_among_those_it_is_judged_by(healed: JudgeWorld) -> None:
    verified = next(each for each in healed.entries("loop.verify") if each["stage"] == "verify")
    (better,) = [v for v in verified["trials"][0]["verdicts"] if v["gate"] == "judge_better"]
    measured = find(healed.place, "sums", healed.first, "trial")

    assert measured is not None
    assert better["evidence"]["n"] < 0.8 * len(measured.judgements)


def test_nobody_is_asked_twice_for_one_step(healed: JudgeWorld) -> None:
    """Of one repair, what answers is asked about its anchor once, and each candidate once."""
    measured = healed.entries("judge.measure")
    assert len(measured) == 1
    versions = [each["version"] for each in healed.entries("judge.calibrate")]
    assert len(versions) == len(set(versions))


def test_a_pinned_judge_whose_route_answers_with_another_model_is_no_judge(tmp_path: Path) -> None:
    """Its opinions fail, its figures stop, and the new model is calibrated before it may judge."""
    after = FakeJudge(truth, "kind", helped_by="examples", model="fake/judge-2")
    world = swapped(tmp_path, after, model="fake/judge-1")
    (incident,) = world.incidents()

    assert "fake/judge-2 answers in place of fake/judge-1" in incident.summary
    assert world.champion() != world.first
    with world.place.stores.ledger.read() as session:
        assert session.registry.get_version(world.champion()).definition["model"] == "fake/judge-2"


def test_another_route_of_its_panel_takes_over_where_no_words_help(tmp_path: Path) -> None:
    """The one whose model went bad is left out."""
    judges = {"judges": FakeJudge(truth), "spare": FakeJudge(truth, model="fake/spare")}
    world = JudgeWorld(tmp_path, judges, declared={"panel": ["spare"]})
    world.live(2.0)
    world.judges["judges"] = FakeJudge(truth, "strict")
    world.live(5.0)
    with world.place.stores.ledger.read() as session:
        definition = session.registry.get_version(world.champion()).definition

    assert world.incidents()[0].kind == "model_swapped"
    assert (definition["route"], definition["panel"]) == ("spare", [])
    assert world.agrees() == 1.0


def test_a_model_that_no_words_help_is_not_replaced_by_one_as_worthless(tmp_path: Path) -> None:
    """Candidates that say no more than a coin are refused, and what answered stays until a person decides."""
    world = swapped(tmp_path, FakeJudge(truth, "worthless"))

    assert world.champion() == world.first
    assert {each["outcome"] for each in world.entries("loop.outcome")} == {"rejected"}
    assert world.incidents()[0].closed_at is None


def test_a_worthless_judge_is_refused_in_words_and_its_objective_is_unsure(tmp_path: Path) -> None:
    """Never healthy, however often it is right by chance."""
    world = JudgeWorld(tmp_path, {"judges": FakeJudge(truth, "worthless")})
    rounds = world.live(2.5)
    measured = find(world.place, "sums", world.first)
    agreement = [f for r in rounds for f in r.findings if f.reading.signal == "judge_agreement"]

    assert measured is not None
    assert measured.calibration.verdict == "refused"
    assert measured.calibration.text.startswith("This judge tells good from bad hardly better than a coin (AUC 0.")
    assert {finding.state for finding in agreement} == {"unsure"}
    assert {finding.reading.value for finding in agreement} == {None}


def test_a_judge_that_obeys_what_it_judges_is_refused(tmp_path: Path) -> None:
    world = JudgeWorld(tmp_path, {"judges": FakeJudge(truth, obeys=True)}, n_anchor=60)
    world.live(0.5)
    measured = find(world.place, "sums", world.first)

    assert measured is not None
    assert measured.calibration.verdict == "refused"
    assert "orders that stood in what it judged" in measured.calibration.text


def test_people_who_disagree_are_asked_and_no_version_is_made(tmp_path: Path) -> None:
    """Both labels stand; a judge is not repaired towards one of them."""

    def torn(rng: random.Random, _told: Mapping[str, Any]) -> dict[str, float]:
        return {"ana": float(rng.random() < 0.5), "bo": float(rng.random() < 0.5)}

    world = JudgeWorld(tmp_path, {"judges": FakeJudge(truth)}, labeller=torn)
    world.live(3.0)
    (incident,) = world.incidents()

    assert incident.kind == "rubric_disputed"
    assert "the rubric is not clear" in incident.summary
    assert [each["outcome"] for each in world.entries("loop.outcome")] == ["mended"]
    assert world.champion() == world.first
    asked = world.perdure.next_reviews("sums", 50)
    assert any(each.why == "disputed" for each in asked)


def test_where_people_want_something_else_it_is_calibrated_anew_and_then_asked_otherwise(tmp_path: Path) -> None:
    """The model is what it was: first its figures are corrected by newer labels; as that does not help, it is asked otherwise."""

    def turned(_rng: random.Random, told: Mapping[str, Any]) -> dict[str, float]:
        return {"ana": truth(told) if world.day < 2.0 else 1.0 - truth(told)}

    declared = {"healthy": [judge_agreement(over=days(1)) >= 0.8]}
    world = JudgeWorld(tmp_path, {"judges": FakeJudge(truth)}, labeller=turned, declared=declared, n_anchor=40)
    world.live(4.0)
    decided = [each["decision"]["cause"] for each in world.entries("loop.decide")]

    assert next(each["outcome"] for each in world.entries("loop.outcome")) == "mended"
    assert len(world.entries("judge.calibrate")) > 1
    assert decided[:2] == ["label_shift", "criteria_moved"]
    assert world.champion() == world.first


def test_a_healthy_judge_is_left_alone_for_a_week(tmp_path: Path) -> None:
    world = JudgeWorld(tmp_path, {"judges": FakeJudge(truth, noise=0.04)})
    world.live(7.0)

    assert world.incidents() == []
    assert world.entries("loop.decide") == []


def test_labels_of_drawn_cases_carry_the_probability_with_which_they_were_drawn(tmp_path: Path) -> None:
    world = JudgeWorld(tmp_path, {"judges": FakeJudge(truth)}, n_drawn=6.0)
    world.live(2.0)
    with world.place.stores.ledger.read() as session:
        drawn = session.reviews.list(subject="sums")

    assert len(drawn) > 8
    assert all(each.why == "drawn" and each.inclusion and 0.04 < each.inclusion <= 1.0 for each in drawn)
    assert sum(1.0 / (each.inclusion or 1.0) for each in drawn) == pytest.approx(4 * 24, rel=0.5)


def test_an_upstream_that_is_away_is_no_sign_of_a_judge(tmp_path: Path) -> None:
    """Nothing is measured and nothing repaired; once it is back the next check says that all is well."""
    world = JudgeWorld(tmp_path, {"judges": FakeJudge(truth)}, declared={"healthy": [judge_shift(over=days(2)) <= 0.1]})
    world.live(2.0)
    judge = world.judges.pop("judges")
    world.live(4.0)
    world.judges["judges"] = judge
    world.live(5.5)

    assert world.incidents() == []
    measured = find(world.place, "sums", world.first, "check")
    assert measured is not None
    assert measured.measured_at > world.at(4.0)
