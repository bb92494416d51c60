"""A suite is run: asked, scored, kept, paid once."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest
from evals_world import AT, PRICE, suite, version_of

from perdure.assets.judge import Judge
from perdure.assets.prompt import Prompt
from perdure.assets.scorers import Custom, Exact, Judged, TokenF1
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite, NotFound, NotReady
from perdure.core.ports import Answered
from perdure.loop.work.evals.running import RunOptions, find_run, run_suite


def rows(world, run="r"):
    return list(world.place.stores.results.list_run(run))


def question_of(asked):
    return asked.messages[-1]["content"]


def test_every_case_is_asked_scored_and_kept(world):
    """With what it cost, in the order of the cases."""
    world.model.say = lambda asked: "yes" if "3?" not in question_of(asked) else "no"
    ran = run_suite(world.place, suite(), [world.prompt("Is it so:")], "r", AT)
    assert (ran.n_done, ran.n_total, ran.n_failed, ran.partial) == (12, 12, 0, "")
    assert ran.spent_pusd == 12 * PRICE
    assert ran.n_asked == 12
    found = rows(world)
    assert [row.case_id for row in found] == [f"c{i}" for i in range(12)]
    assert [row.score for row in found] == [0.0 if i == 3 else 1.0 for i in range(12)]
    assert found[0].scores == [("exact", 1.0, "scored", "")]
    assert found[0].cluster == "g0"
    assert world.model.closed == 1


def test_the_question_is_the_version_s_own_rendering(world):
    """With its params, and tags that tell the call from others."""
    run_suite(world.place, suite(1), [world.prompt("Well:")], "r", AT)
    [asked] = world.model.asked
    assert question_of(asked) == "Well: Number 0?"
    assert asked.route == "main"
    assert asked.tags["suite"] == "facts"
    assert asked.tags["case"] == "c0"


def test_unchanged_cases_cost_nothing_again(world):
    """In another run they are the same draws given again, and say so."""
    version = world.prompt("So:")
    run_suite(world.place, suite(), [version], "r1", AT)
    ran = run_suite(world.place, suite(), [version], "r2", AT)
    assert (ran.n_asked, ran.spent_pusd, len(world.model.asked)) == (0, 0, 12)
    again = rows(world, "r2")
    assert all(row.cached and row.spent_pusd == 0 and row.cost_pusd == PRICE for row in again)
    assert not any(row.cached for row in rows(world, "r1"))


def test_another_wording_route_or_sample_is_asked_anew(world):
    """The key is all that makes an answer."""
    version = world.prompt("So:")
    run_suite(world.place, suite(3), [version], "r1", AT)
    run_suite(world.place, suite(3), [world.prompt("Thus:")], "r2", AT)
    assert len(world.model.asked) == 6
    run_suite(world.place, suite(3), [version], "r3", AT, RunOptions(n_samples=2))
    assert len(world.model.asked) == 9
    swapped = version_of(replace(world.route, targets=[replace(world.route.targets[0], model="n")]), "route")
    world.register(swapped)
    world.point(swapped)
    run_suite(world.place, suite(3), [version], "r4", AT)
    assert len(world.model.asked) == 12


def test_a_scorer_that_is_added_asks_nothing(world):
    """Answers are known; only scores are new."""
    version = world.prompt("So:")
    run_suite(world.place, suite(3), [version], "r1", AT)
    ran = run_suite(world.place, suite(3, scorers=[Exact(), TokenF1()]), [version], "r2", AT)
    assert ran.n_asked == 0
    assert [label for label, *_ in rows(world, "r2")[0].scores] == ["exact", "token_f1"]


def test_samples_of_one_case_are_draws_of_their_own(world):
    """Each has its row."""
    said = iter(["yes", "no", "yes"] * 4)
    world.model.say = lambda asked: next(said)
    run_suite(world.place, suite(4, n_samples=3), [world.prompt("So:")], "r", AT)
    assert len(rows(world)) == 12
    assert {row.sample for row in rows(world)} == {0, 1, 2}
    assert len({row.answer for row in rows(world)}) == 12


def test_two_versions_are_asked_side_by_side(world):
    """Each case of both before the next batch, so that what is finished is finished on both sides."""
    first, second = world.prompt("A:"), world.prompt("B:")
    run_suite(world.place, suite(6), [first, second], "r", AT)
    assert [row.subject for row in rows(world)][:4] == sorted([first.id, second.id]) * 2
    assert {question_of(each)[:2] for each in world.model.asked[:4]} == {"A:", "B:"}


def test_a_route_is_asked_with_the_cases_own_messages(world):
    """Without a prompt, by its version."""
    cases = [Case(f"c{i}", {"messages": [{"role": "user", "content": f"{i}?"}]}, "yes") for i in range(3)]
    released = version_of(world.route, "route")
    run_suite(world.place, replace(suite(), cases=cases, prompt="", route="main"), [released], "r", AT)
    assert {each.route for each in world.model.asked} == {released.id}
    assert [row.score for row in rows(world)] == [1.0] * 3


def test_a_failed_answer_counts_as_such_and_is_asked_again_when_the_run_goes_on(world):
    """It is kept as a row with its error, and never as an answer."""
    world.model.say = lambda asked: Answered({}, error="blocked") if "2?" in question_of(asked) else "yes"
    version = world.prompt("So:")
    ran = run_suite(world.place, suite(4), [version], "r", AT)
    assert (ran.n_done, ran.n_failed) == (4, 1)
    bad = rows(world)[2]
    assert (bad.error, bad.score, bad.answer, bad.scores[0][2]) == ("blocked", 0.0, "", "failed")
    world.model.say = lambda asked: "yes"
    ran = run_suite(world.place, suite(4), [version], "r", AT)
    assert (ran.n_asked, ran.n_failed) == (1, 0)
    assert [row.score for row in rows(world)] == [1.0] * 4


def test_a_case_that_is_not_the_version_s_is_a_failed_answer(world):
    """A wording that wants another variable loses by it, and asks nothing."""
    other = version_of(Prompt("ask", [("user", "{{ question }}")], "main", {"question": str}), "prompt")
    ran = run_suite(world.place, suite(3), [other], "r", AT)
    assert (ran.n_failed, ran.n_asked) == (3, 0)
    assert {row.error for row in rows(world)} == {"declaration.prompt"}


def test_money_is_claimed_before_it_is_spent(world):
    """A run never spends more than it may; what it has is kept, and labelled partial."""
    version = world.prompt("So:")
    cost = 1_000_000_000
    world.model.say = lambda asked: Answered({"content": "yes"}, cost_pusd=cost)
    settings = RunOptions(budget_pusd=9 * cost)
    ran = run_suite(world.place, suite(), [version], "r", AT, settings)
    assert ran.partial == "the budget of the run is spent"
    assert 0 < ran.n_done < 12
    assert ran.spent_pusd <= settings.budget_pusd
    assert len(rows(world)) == ran.n_done
    assert find_run(world.place, "r").facts["partial"] == ran.partial
    ran = run_suite(world.place, suite(), [version], "r", AT, RunOptions(budget_pusd=10**15))
    assert (ran.partial, ran.n_done, ran.spent_pusd) == ("", 12, 12 * cost)
    assert len(world.model.asked) == 12


def test_no_budget_holds_where_a_price_is_not_known(world):
    """It is refused before anything is asked."""
    target = replace(world.route.targets[0], prices=None)
    unpriced = version_of(replace(world.route, targets=[target]), "route")
    world.register(unpriced)
    world.point(unpriced)
    with pytest.raises(BadSuite, match="price of up/m"):
        run_suite(world.place, suite(), [world.prompt("So:")], "r", AT, RunOptions(budget_pusd=10**12))
    assert world.model.asked == []


def test_who_takes_no_more_is_asked_slower(world):
    """After the wait that was asked for, and nothing is lost."""
    refused = iter([True, True, False, True] + [False] * 100)
    busy = Answered({}, error="limit_reached", retry_after_s=0.05)
    world.model.say = lambda asked: busy if next(refused) else "yes"
    ran = run_suite(world.place, suite(), [world.prompt("So:")], "r", AT)
    assert (ran.n_done, ran.n_failed, ran.n_asked) == (12, 0, 15)


def test_never_more_are_under_way_than_is_set(world):
    """However many cases wait."""
    world.settings(concurrency=3)
    run_suite(world.place, suite(), [world.prompt("So:")], "r", AT)
    assert world.model.most_at_once == 3


def test_nobody_there_ends_the_run_as_partial(world):
    """Before every case has failed."""
    world.model.say = lambda asked: Answered({}, error="upstream.timed_out")
    ran = run_suite(world.place, suite(60), [world.prompt("So:")], "r", AT)
    assert "in a row failed" in ran.partial
    assert len(world.model.asked) < 40


def test_the_team_s_own_budget_ends_the_run_as_partial(world):
    """It is the gateway's to say, and no failure of the answers."""
    paid = iter([False] * 5 + [True] * 100)
    world.model.say = lambda asked: Answered({}, error="budget_spent") if next(paid) else "yes"
    ran = run_suite(world.place, suite(), [world.prompt("So:")], "r", AT)
    assert ran.partial == "the budget of the team that asks is spent"
    assert ran.n_done == 5


def test_a_suite_that_is_edited_meanwhile_changes_nothing_of_the_run(world):
    """It goes on with what was frozen, and names that version."""
    version, before = world.prompt("So:"), suite(4)
    world.model.say = lambda asked: Answered({}, error="budget_spent") if "2?" in question_of(asked) else "yes"
    first = run_suite(world.place, before, [version], "r", AT)
    world.model.say = lambda asked: "yes"
    after = replace(before, cases=[replace(case, expected="no") for case in before.cases])
    second = run_suite(world.place, after, [version], "r", AT)
    assert first.suite_version == second.suite_version != after.frozen().version
    assert [row.score for row in rows(world)] == [1.0] * 4


def test_clusters_are_asked_in_the_order_that_is_given(world):
    """Those that are not named are not asked."""
    run_suite(world.place, suite(6), [world.prompt("So:")], "r", AT, RunOptions(order=["g4", "g1"]))
    assert [row.case_id for row in rows(world)] == ["c4", "c1"]


def test_a_judge_is_asked_once_an_answer(world):
    """What it said is kept, in another run too."""
    judge = version_of(Judge("good", "Is it good?", "main", scale=("bad", "good")), "judge")
    world.model.say = lambda asked: verdict(asked) if "rubric" in asked.messages[0]["content"].casefold() else "yes"
    options = RunOptions(declared={"good": judge})
    tested = suite(3, scorers=[Exact(), Judged("good", weight=3.0)])
    version = world.prompt("So:")
    ran = run_suite(world.place, tested, [version], "r1", AT, options)
    assert (ran.n_asked, ran.spent_pusd) == (6, 6 * PRICE)
    assert [each.spent_pusd for each in rows(world, "r1")] == [2 * PRICE] * 3
    assert run_suite(world.place, tested, [version], "r2", AT, options).n_asked == 0
    [first, *_] = rows(world, "r2")
    assert [value for _, value, _, _ in first.scores] == [1.0, 0.0]
    assert first.score == 0.25


def verdict(asked):
    """What a judge answers that finds everything bad: JSON with the nonce of its question."""

    nonce = re.search(r"Nonce: ([0-9a-f]+)", asked.messages[-1]["content"])
    assert nonce, asked.messages[-1]["content"]
    return f'{{"nonce": "{nonce[1]}", "reason": "r", "verdict": "bad"}}'


def test_a_judge_that_answers_nonsense_has_no_opinion(world):
    """Nothing is known of the answer then: the mean of the other scorers would be another measure."""
    judge = version_of(Judge("good", "Is it good?", "main", scale=("bad", "good")), "judge")
    tested = suite(2, scorers=[Exact(), Judged("good")])
    run_suite(world.place, tested, [world.prompt("So:")], "r", AT, RunOptions(declared={"good": judge}))
    for row in rows(world):
        assert row.score is None
        assert row.scores[1][1:3] == (None, "failed")
        assert "could not be read" in row.scores[1][3]


def test_a_judge_that_is_not_there_is_told(world):
    """Before anything is asked."""
    with pytest.raises(NotFound, match="good"):
        run_suite(world.place, suite(2, scorers=[Judged("good")]), [world.prompt("So:")], "r", AT)


def test_slow_scorers_do_not_hold_the_loop(world):
    """They are done in threads."""

    seen = []
    slow = Custom(lambda case, answer: seen.append(threading.current_thread().name) or 1.0)
    run_suite(world.place, suite(2, scorers=[slow]), [world.prompt("So:")], "r", AT)
    assert seen
    assert all(name != "MainThread" for name in seen)


def test_progress_is_told_with_what_was_spent(world):
    """The last of it when all is done."""
    told = []
    run_suite(world.place, suite(), [world.prompt("So:")], "r", AT, RunOptions(progress=told.append))
    last = told[-1]
    assert (last.n_done, last.n_total, last.spent_pusd, last.n_cached) == (12, 12, 12 * PRICE, 0)
    assert len(last.scores) == 12
    assert last.eta_s == 0.0


def test_where_nobody_can_be_asked_it_says_so(world):
    """With what to do."""
    with pytest.raises(NotReady, match="no route"):
        run_suite(replace(world.place, open_answerer=None), suite(), [world.prompt("So:")], "r", AT)


def test_a_run_s_id_of_something_else_is_refused(world):
    """Nothing is overwritten."""
    from perdure.stores.ledger.protocols import Run

    with world.place.transaction(AT, "test") as session:
        session.runs.put(Run("r", "train", "m", "done", AT))
    with pytest.raises(BadSuite, match="train"):
        run_suite(world.place, suite(), [world.prompt("So:")], "r", AT)


def test_a_judge_that_is_repaired_while_a_run_stands_still_judges_the_next_one(world):
    """Else the first half of a run would be judged by another measure than the second."""
    first, second = (
        version_of(Judge("good", words, "main", scale=("bad", "good")), "judge") for words in ("Is it good?", "Is it?")
    )
    world.register(first, second)
    world.point(first)
    tested, asked = suite(4, scorers=[Judged("good")]), [world.prompt("So:")]
    run_suite(world.place, tested, asked, "r", AT, RunOptions(order=["g0", "g1"]))
    world.point(second)
    world.model.asked.clear()
    run_suite(world.place, tested, asked, "r", AT)
    judges = [each.tags["judge"] for each in world.model.asked if "judge" in each.tags]
    assert judges == [first.id] * len(judges)
    assert len(judges) >= 2
