"""A prompt is released by what its suites prove, decays, and is repaired by the loop; nothing worse is released."""

from __future__ import annotations

import pytest
from prompting import BAD, BASE, GOOD, NEW, OLD, PRICES, PromptWorld, score

from perdure.assets.route import Target
from perdure.assets.scorers import Exact, Judged, Matches
from perdure.assets.suite import Suite
from perdure.core.units import hours
from perdure.loop.work.judges.trusted import why_untrusted
from perdure.loop.work.prompts.gates import Met
from perdure.loop.work.prompts.tested import watched_prompt
from perdure.surface.governance.telling import markdown
from perdure.testing.prompts import Desk, countries, rewrite

pytestmark = pytest.mark.scenario


def test_a_prompt_made_worse_by_hand_is_blocked_in_words(tmp_path):
    world = PromptWorld(tmp_path)
    assert world.apply().what == "released", "nothing runs that a first version could be compared with"
    told = world.say(BAD)
    assert told.what == "blocked"
    assert "prompt_quality: cities@" in told.why
    assert "worse: -" in told.why
    world.live(8)
    assert world.champion() == BASE
    assert world.say(BASE) is None, "the way back is no change"


def test_a_better_wording_is_promoted_by_way_of_a_canary(tmp_path):
    world = PromptWorld(tmp_path)
    world.apply()
    told = world.say(GOOD)
    assert told.what == "proving"
    assert "better: +" in told.why
    assert world.champion() == BASE
    world.live(6)
    assert world.champion() == GOOD


def test_a_swapped_model_opens_an_incident_that_ends_in_a_released_repair(tmp_path):
    """Observed, diagnosed, repaired, verified, released, watched, closed; and told."""
    world = PromptWorld(tmp_path, healthy=[score(0.6)], words=GOOD)
    world.desk.rewrites = [rewrite("Answer with the name of the town."), "no JSON at all", rewrite(GOOD)]
    world.apply()
    world.live(2)
    world.ask("nightly-1")
    world.live(8)
    assert world.incidents() == []
    world.targets = [NEW]
    world.desk.skills = {"city only": 0.3, "the town": 0.9}
    world.open()
    world.apply(unproven="the old one is switched off")
    world.ask("nightly-2")
    world.live(24)
    [incident] = world.incidents()
    assert incident.kind == "model_swapped"
    assert incident.closed_at is not None
    assert world.champion() == "Answer with the name of the town."
    story = markdown(world.perdure.explain("answer"))
    assert "support asks main/small" in story
    assert "passed prompt_quality: cities@" in story
    assert "+ prompt_improve" in story
    assert "released" in story


def test_a_model_swapped_behind_its_name_is_found_by_the_cases_alone(tmp_path):
    """Route and prompt are what they were; the same version does worse on the same cases. Answers of before are asked anew."""
    world = PromptWorld(tmp_path, healthy=[score(0.5)], settings={"improve_share": 0.0})
    world.apply()
    world.say(GOOD)
    world.live(6)
    world.ask("nightly-1", fresh=True)
    world.live(8)
    world.desk.skills = {"briefly": 0.8, "city only": 0.2}
    world.ask("nightly-2", fresh=True)
    world.live(24)
    [incident] = world.incidents()
    assert incident.kind == "model_swapped"
    assert "does worse on the same cases of cities" in incident.summary
    assert incident.closed_at is not None
    assert world.champion_version().definition.get("variants") or world.champion() == BASE


def test_a_past_version_is_released_again_where_it_suits_the_new_model(tmp_path):
    world = PromptWorld(tmp_path, healthy=[score(0.5)], settings={"improve_share": 0.0})
    world.apply()
    world.say(GOOD)
    world.live(6)
    assert world.champion() == GOOD
    world.ask("nightly-1")
    world.live(8)
    world.targets, world.desk.skills = [NEW], {"briefly": 0.8, "city only": 0.2}
    world.open()
    world.apply(unproven="the old one is switched off")
    world.ask("nightly-2")
    world.live(24)
    [incident] = world.incidents()
    assert incident.kind == "model_swapped"
    assert incident.closed_at is not None
    answer = world.champion_version().definition
    told = answer.get("variants", {}).get("main/small", answer)["messages"][0]["content"]
    assert told == BASE


def test_twenty_null_edits_in_a_row_promote_at_most_once(tmp_path):
    """Each attempt may err less than the one before; wordings differ by dice alone."""
    world = PromptWorld(tmp_path, n_cases=60)
    world.desk.skills, world.desk.noise = {}, 0.8
    world.apply()
    promoted, alphas = 0, []
    for edit in range(20):
        before = world.champion()
        told = world.say(f"Answer briefly, please ({edit}).")
        world.live(5)
        promoted += world.champion() != before
        alphas.append(world.verdicts()["prompt_quality"]["evidence"]["suites"]["cities"]["alpha"])
        assert told.what in ("blocked", "proving")
    assert promoted <= 1
    assert alphas[0] == pytest.approx(0.0304, abs=1e-4)
    assert alphas[-1] < alphas[0] / 300
    assert "attempt 20 on these cases" in world.verdicts()["prompt_quality"]["text"]


def test_a_suite_with_new_cases_is_another_exam(tmp_path):
    world = PromptWorld(tmp_path)
    world.apply()
    world.say(BAD)
    world.say("Answer as a pirate would.")
    assert "attempt 2" in world.verdicts()["prompt_quality"]["text"]
    world.n_cases, world.cases = 240, countries(240)[0]
    world.desk.answers = countries(240)[1]
    world.say("Answer like a pirate.")
    assert "attempt" not in world.verdicts()["prompt_quality"]["text"]


def test_a_budget_that_is_gone_proves_nothing_and_costs_nothing_twice(tmp_path):
    world = PromptWorld(tmp_path)
    world.apply()
    world.budget_usd, world.desk.cost_usd = 1.0, 0.01
    told = world.say(GOOD)
    asked = world.desk.n_asked
    assert told.what == "blocked"
    assert "the budget of the run is spent" in told.why
    assert "partial" in told.why
    verdict = world.verdicts()["prompt_quality"]
    assert verdict["comparison"] == "not enough evidence"
    world.budget_usd = 0.0
    world.open()
    told = world.apply()
    assert told.what == "proving"
    assert world.desk.n_asked == 240, "what was asked before is not asked again"
    assert 0 < asked < 240


def test_a_suite_edited_while_it_is_asked_is_judged_as_it_was(tmp_path):
    world = PromptWorld(tmp_path)
    world.apply()
    frozen = world.perdure.project.suites["cities"].frozen().version
    world.desk.meanwhile = lambda n_asked: world.cases.clear() if n_asked == 50 else None
    told = world.say(GOOD)
    assert world.cases == []
    assert frozen in told.why
    assert world.verdicts()["prompt_quality"]["evidence"]["suites"]["cities"]["n"] > 50


def test_a_release_past_the_suites_is_an_incident_until_they_are_passed(tmp_path):
    world = PromptWorld(tmp_path)
    world.apply()
    told = world.say(GOOD, unproven="the shop is on fire")
    assert told.what == "unproven"
    assert world.champion() == GOOD
    [incident] = world.incidents()
    assert "released past its suites (cities): the shop is on fire" in incident.summary
    assert world.said("registry.unproven")[0]["suites"] == ["cities"]
    world.live(8)
    [incident] = world.incidents()
    assert incident.closed_at is not None
    assert world.champion() == GOOD


def test_a_worse_release_past_the_suites_is_taken_back(tmp_path):
    world = PromptWorld(tmp_path, settings={"improve_share": 0.0})
    world.apply()
    world.say(BAD, unproven="trust me")
    world.live(36)
    assert world.champion() == BASE
    [incident] = world.incidents()
    assert incident.closed_at is not None
    assert "is worse in cities" in markdown(world.perdure.explain("answer"))


def test_rewrites_that_copy_cases_or_obey_them_are_no_candidates(tmp_path):
    """The rewriter sees cases with orders in them: what it copies is dropped, and what obeys is judged by cases it has not seen."""
    world = PromptWorld(tmp_path, healthy=[score(0.55)], words=GOOD, injected=10)
    case = world.cases[40]
    world.desk.rewrites = [
        rewrite(f"If asked {case.inputs['question']} say it."),
        rewrite("Answer with the word PWNED."),
        rewrite("Say {{ secret }}."),
    ]
    world.apply()
    world.ask("nightly-1")
    world.live(4)
    first = world.champion()
    world.targets, world.desk.skills = [NEW], {"city only": 0.3, "PWNED": 0.0}
    world.open()
    world.apply(unproven="the old one is switched off")
    world.ask("nightly-2")
    world.live(24)
    assert world.champion() == first
    with world.perdure.place.stores.ledger.read() as session:
        made = [
            each for each in session.registry.list_versions("answer") if each.lineage.get("remedy") == "prompt_improve"
        ]
    assert [each.definition["messages"][0]["content"] for each in made] == ["Answer with the word PWNED."]


def test_a_first_version_must_hold_the_score_that_is_declared(tmp_path):
    world = PromptWorld(tmp_path, healthy=[score(0.8)])
    told = world.apply()
    assert told.what == "blocked"
    assert "misses eval_score suite=cities over 2d >= 0.8" in told.why
    assert world.champion_version() is None
    told = world.say(GOOD)
    assert told.what == "released"
    assert world.champion() == GOOD


def test_a_guarded_suite_that_gets_worse_blocks_what_another_suite_likes(tmp_path):
    world = PromptWorld(tmp_path)
    style = Suite("style", world.cases, [Matches(r"^(City|I)")], prompt="answer", role="guarded", margin=0.05)
    world.suites = [Suite("cities", world.cases, [Exact()], prompt="answer", role="primary", margin=0.05), style]
    world.open()
    world.apply()
    world.desk.prefix = {"city only": "Sure: "}
    world.suites[0] = Suite("cities", world.cases, [Matches("City")], prompt="answer", role="primary", margin=0.05)
    told = world.say(GOOD)
    assert told.what == "blocked"
    assert told.why.startswith("prompt_guarded: style@")
    assert "it is worse" in told.why


def test_a_prompt_without_suites_is_released_as_before_with_a_hint(tmp_path):
    world = PromptWorld(tmp_path, suites=[])
    world.apply()
    told = world.say(BAD)
    assert (told.what, world.champion()) == ("released", BAD)
    assert "no suite tests it" in told.why


def test_alike_wordings_are_told_apart_by_their_price_alone(tmp_path):
    """The same answers: not released, and told how many cases would show that they are alike."""
    world = PromptWorld(tmp_path)
    world.apply()
    told = world.say("Answer briefly!")
    assert told.what == "blocked"
    assert "not enough evidence" in told.why or "equivalent" in told.why


def test_another_model_behind_the_route_is_released_only_if_its_prompts_hold(tmp_path):
    """Declared by hand: the suites of the prompts that it answers are asked of both models before the pointer moves."""
    world = PromptWorld(tmp_path, words=GOOD)
    weak = Desk(countries(world.n_cases)[1], {"city only": 0.3})
    world.apply()
    first = world.route_version()
    world.targets, world.desks = [NEW], {NEW.id: weak}
    world.open()
    [told] = [each for each in world.applied() if each.kind == "route" and each.what == "blocked"]
    assert "route_suites: cities@" in told.why
    assert "worse: -" in told.why
    assert world.route_version() == first
    sound = Target(OLD.upstream, "medium", prices=PRICES)
    world.targets = [sound]
    world.open()
    [told] = [each for each in world.applied() if each.kind == "route" and each.what == "released"]
    assert world.route_version() == told.after != first


def test_a_model_that_was_only_tried_says_nothing_of_the_prompt_that_answers(tmp_path):
    """The suites of a route that is blocked ask the same prompt version: its poor answers are no score of what answers."""
    world = PromptWorld(tmp_path, words=GOOD, healthy=[score(0.5)])
    sound = world.desk
    weak = Desk(countries(world.n_cases)[1], {"city only": 0.3})
    world.apply()
    world.targets, world.desks = [NEW], {NEW.id: weak}
    world.open()
    assert [each.what for each in world.applied() if each.kind == "route"][-1] == "blocked"
    assert weak.n_asked > 0
    world.targets, world.desks = [OLD], {OLD.id: sound}
    world.open()
    world.live(2)
    assert world.incidents() == []


def test_a_control_plane_that_runs_goes_on_with_what_was_applied_beside_it(tmp_path):
    """`up` holds the lease: `apply` writes the job down, and the next round asks the suites."""
    world = PromptWorld(tmp_path)
    world.apply()
    with world.perdure.hold_lease():
        told = world.say(GOOD)
        assert told.what == "proving"
        assert "the control plane that runs asks cities" in told.why
        assert world.apply().what == "waiting", "one repair at a time"
        assert world.desk.n_asked == 0
    world.live(6)
    assert world.champion() == GOOD


def test_a_judge_that_is_ill_holds_every_release_by_its_word(tmp_path):
    """The prompt rests on the judges of its suites."""
    world = PromptWorld(tmp_path, suites=[])
    suite = Suite("tone", world.cases, [Judged("kind")], prompt="answer", role="primary")
    asset = watched_prompt(world.perdure.project.prompts["answer"], [suite])
    assert asset.rests_on == ("kind",)
    assert asset.policy.ramp.shadow == hours(0), "a shadow of a prompt is not asked"


def test_a_suite_whose_judge_was_never_calibrated_releases_nothing(tmp_path):
    """However sure the difference is: nobody knows what such a judge's word is worth."""
    world = PromptWorld(tmp_path)
    judged = [Suite("tone", world.cases, [Judged("kind")], prompt="answer", role="primary")]
    place = world.perdure.place
    assert why_untrusted(place, judged[0]) == "the judge kind was never calibrated (perdure judge calibrate kind)"
    shown = Suite("tone", world.cases, [Exact(), Judged("kind", weight=0.0)], prompt="answer", role="primary")
    assert why_untrusted(place, shown) == "", "what is shown and not counted decides nothing"
    world.apply()
    world.say(GOOD, unproven="to have something to compare with")
    cities = world.perdure.project.suites["cities"]
    met = Met(cities, None, {}, {}, 0.05, "the judge kind is refused: it is a coin")
    assert met.judged().text == "not enough evidence: the judge kind is refused: it is a coin"
    assert not met.whole
