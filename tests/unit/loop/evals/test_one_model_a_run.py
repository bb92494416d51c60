"""A run takes answers of one model: what another one said under the same name is asked anew."""

from __future__ import annotations

import msgspec
from evals_world import AT, PRICE, suite

from perdure.core.ports import Answered
from perdure.core.usage import Usage
from perdure.loop.work.evals.answers import outdated, read_kept
from perdure.loop.work.evals.comparing import compare_versions
from perdure.loop.work.evals.running import RunOptions, run_suite


def says(world, reported, text="yes", target="up/m"):
    """The models behind the route name themselves so."""
    usage = Usage(n_input=10, n_output=2)
    world.model.asked.clear()
    world.model.say = lambda asked: Answered(
        {"content": text}, "stop", usage, PRICE, 1000, target, "c", reported=reported
    )


def names(world, run="r"):
    """What the models of a run's answers call themselves, by version and whether the answer was known."""
    rows = list(world.place.stores.results.list_run(run))
    kept = world.place.stores.results.find_answers([row.answer for row in rows])
    return {(row.subject, row.cached, read_kept(kept[row.answer]).reported) for row in rows}


def names_of_rows(world, *, cached):
    """Cases of the run whose rows are of known answers, or of its own."""
    return [row.case_id for row in world.place.stores.results.list_run("r") if row.cached == cached]


def asked(world):
    """The questions, by the wording that they begin with."""
    told = [each.messages[-1]["content"].partition(":")[0] for each in world.model.asked]
    return {word: told.count(word) for word in told}


def test_the_name_that_a_model_gives_itself_is_kept_with_its_answer(world):
    says(world, "m-2026-01")
    version = world.prompt("A:")
    run_suite(world.place, suite(2), [version], "r", AT)
    assert names(world) == {(version.id, False, "m-2026-01")}


def test_known_answers_of_the_incumbent_are_asked_anew_where_the_candidate_meets_another_model(world):
    """Else old answers of the one were compared with new ones of the other."""
    old, new = world.prompt("A:"), world.prompt("B:")
    says(world, "m-2026-01", "no")
    run_suite(world.place, suite(12), [old], "before", AT)
    says(world, "m-2026-02", "yes")
    found = compare_versions(world.place, suite(12), old, new, "r", AT)
    assert asked(world) == {"A": 12, "B": 12}
    assert names(world) == {(old.id, False, "m-2026-02"), (new.id, False, "m-2026-02")}
    assert found.verdict.difference.value == 0.0
    assert found.ran.spent_pusd == 24 * PRICE


def test_known_answers_of_the_same_model_cost_nothing(world):
    old, new = world.prompt("A:"), world.prompt("B:")
    says(world, "m-2026-01")
    run_suite(world.place, suite(12), [old], "before", AT)
    compare_versions(world.place, suite(12), old, new, "r", AT)
    assert asked(world) == {"A": 12, "B": 12}
    assert names(world) == {(old.id, True, "m-2026-01"), (new.id, False, "m-2026-01")}


def test_known_answers_of_two_models_are_asked_anew_until_they_are_of_one(world):
    """Though the run itself asked nothing: the fewer are asked, and what answers now decides of the others."""
    old, new = world.prompt("A:"), world.prompt("B:")
    says(world, "m-2026-01")
    run_suite(world.place, suite(12), [old], "before", AT)
    says(world, "m-2026-02")
    run_suite(world.place, suite(8), [new], "after", AT)
    ran = run_suite(world.place, suite(8), [old, new], "r", AT)
    assert {(subject, reported) for subject, _, reported in names(world)} == {
        (old.id, "m-2026-02"),
        (new.id, "m-2026-02"),
    }
    assert (ran.n_done, ran.partial) == (16, "")


def test_other_targets_of_a_route_have_names_of_their_own(world):
    old, new = world.prompt("A:"), world.prompt("B:")
    says(world, "m-2026-01")
    run_suite(world.place, suite(6), [old], "before", AT)
    says(world, "n-1", target="up/n")
    run_suite(world.place, suite(6), [old, new], "r", AT)
    assert asked(world) == {"B": 6}


def test_a_run_that_stops_while_it_asks_anew_asks_the_rest_when_it_goes_on(world):
    """What was forgotten is no answer, whatever its row says."""
    old, new = world.prompt("A:"), world.prompt("B:")
    says(world, "m-2026-01", "no")
    run_suite(world.place, suite(12), [old], "before", AT)
    says(world, "m-2026-02")
    world.settings(concurrency=1)
    answer = world.model.say
    world.model.say = lambda asked: answer(asked) if len(world.model.asked) < 18 else Answered({}, error="budget_spent")
    ran = run_suite(world.place, suite(12), [old, new], "r", AT)
    assert ran.partial == "the budget of the team that asks is spent"
    assert 0 < len(names_of_rows(world, cached=True)) < 12
    says(world, "m-2026-02")
    ran = run_suite(world.place, suite(12), [old, new], "r", AT)
    assert (ran.partial, ran.n_done) == ("", 24)
    assert names(world) == {(old.id, False, "m-2026-02"), (new.id, False, "m-2026-02")}
    assert asked(world) == {"A": 7}


def test_what_is_asked_anew_by_hand_takes_the_place_of_what_was_known(world):
    """The next run begins with it, and a report shows the text that was scored."""
    version = world.prompt("A:")
    says(world, "m", "no")
    run_suite(world.place, suite(4), [version], "before", AT)
    says(world, "m", "yes")
    run_suite(world.place, suite(4), [version], "r", AT, RunOptions(use_known=False))
    says(world, "m", "no")
    run_suite(world.place, suite(4), [version], "after", AT)
    assert asked(world) == {}
    assert [row.score for row in world.place.stores.results.list_run("after")] == [1.0] * 4


def test_an_answer_that_was_kept_before_names_were_is_read_as_one_without(world):
    """And is no answer of a model that has a name."""
    says(world, "m-2026-01")
    old, new = world.prompt("A:"), world.prompt("B:")
    run_suite(world.place, suite(2), [old], "before", AT)
    results = world.place.stores.results
    rows = list(results.list_run("before"))
    kept = results.find_answers([row.answer for row in rows])
    results.forget(list(kept))
    results.put_answers([(key, msgspec.msgpack.encode(msgspec.msgpack.decode(body)[:8])) for key, body in kept.items()])
    run_suite(world.place, suite(2), [new], "other", AT)
    assert outdated(results, rows) == set(), "a run's own answers are never out of date"
    run_suite(world.place, suite(2), [old, world.prompt("C:")], "r", AT)
    assert {reported for _, _, reported in names(world)} == {"m-2026-01"}
