"""Two versions in one suite: looks, early ends, verdicts, several suites together."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from evals_world import AT, suite

from perdure.core.errors import BadSuite
from perdure.core.ports import Answered
from perdure.core.verdict import Comparison
from perdure.loop.work.evals.comparing import (
    ComparedSuite,
    alpha_of,
    compare_versions,
    together,
)
from perdure.loop.work.evals.running import find_run


def answers(world, right):
    """Models that say yes where `right(text)`; the text begins with the wording."""
    world.model.say = lambda asked: "yes" if right(asked.messages[-1]["content"]) else "no"


def compared(world, n=80, **members):
    first, second = world.prompt("A:"), world.prompt("B:")
    return compare_versions(world.place, suite(n, **members), first, second, "r", AT)


def test_a_clear_gain_ends_the_run_early(world):
    """Half of the cases are enough, and both versions answered the same ones."""
    answers(world, lambda text: text.startswith("B:"))
    found = compared(world)
    assert found.verdict.comparison is Comparison.BETTER
    assert found.verdict.look < 4
    assert len(world.model.asked) < 160
    assert len(world.model.asked) % 2 == 0


def test_a_clear_loss_is_told_as_such(world):
    """It ends early too."""
    answers(world, lambda text: text.startswith("A:"))
    assert compared(world).verdict.comparison is Comparison.WORSE


def test_no_difference_is_looked_for_to_the_end(world):
    """Two versions that answer alike are equivalent where there are cases enough, and else nothing is known."""
    answers(world, lambda text: True)
    found = compared(world, 40)
    assert (found.verdict.comparison, found.verdict.look) == (Comparison.NOT_ENOUGH_EVIDENCE, 4)
    assert found.verdict.n_more
    assert compared(replace(world), 200).verdict.look == 4


def test_a_run_that_stopped_concludes_nothing(world):
    """However clear it looks."""
    left = iter([True] * 50 + [False] * 400)
    world.model.say = lambda asked: (
        ("yes" if asked.messages[-1]["content"].startswith("B:") else "no")
        if next(left)
        else Answered({}, error="budget_spent")
    )
    world.settings(concurrency=1)
    found = compared(world, 400)
    assert found.ran.partial == "the budget of the team that asks is spent"
    assert found.verdict.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert found.verdict.partial


def test_what_one_version_fails_to_answer_counts_against_it(world):
    """A failure is no missing case."""
    world.model.say = lambda asked: (
        Answered({}, error="blocked") if asked.messages[-1]["content"].startswith("B:") else "yes"
    )
    assert compared(world).verdict.comparison is Comparison.WORSE


def test_between_two_looks_a_run_is_under_way(world):
    """Not whole: what is read of it meanwhile concludes nothing."""
    seen = set()

    def right(text):
        record = find_run(world.place, "r")
        seen.add((len(world.model.asked) > 40, record.facts["partial"]))
        return True

    answers(world, right)
    found = compared(world)
    assert seen == {(False, "it is under way"), (True, "it is under way")}
    assert (found.verdict.look, find_run(world.place, "r").facts["partial"]) == (4, "")


def test_looks_of_a_run_that_goes_on_see_what_they_were_to_see(world):
    """Though more was asked before it stopped: each look pays for the cases that it has."""
    answers(world, lambda text: True)
    assert compared(world).verdict.look == 4
    rows, candidate = list(world.place.stores.results.list_run("r")), world.prompt("B:").id
    begun = {row.case for row in rows[: len(rows) // 4]}
    later = [row for row in rows if row.subject == candidate and row.case not in begun]
    world.place.stores.results.put_run("r", [msgspec.structs.replace(row, score=0.0) for row in later])
    verdict = compared(world).verdict
    assert (verdict.comparison, verdict.look > 1) == (Comparison.WORSE, True)


def test_a_run_that_goes_on_keeps_its_margin_and_its_error(world):
    """Whatever is declared by then."""
    answers(world, lambda text: True)
    compared(world, 20, margin=0.05)
    first, second = world.prompt("A:"), world.prompt("B:")
    later = suite(20, margin=0.3)
    told = compare_versions(world.place, later, first, second, "r", AT, alpha=0.001).verdict
    facts = find_run(world.place, "r").facts
    assert (facts["alpha"], facts["verdict"]["alpha"]) == (0.05, 0.05)
    assert told == compared(world, 20, margin=0.05).verdict


def test_a_run_of_other_versions_is_another_run(world):
    answers(world, lambda text: True)
    compared(world, 8)
    with pytest.raises(BadSuite, match=r"'r' asks facts of ask@.* and ask@"):
        compare_versions(world.place, suite(8), world.prompt("A:"), world.prompt("C:"), "r", AT)


def test_clusters_are_asked_in_an_order_of_the_run_s_own(world):
    """Not in the file's: the first cases of a file are seldom like the rest."""
    answers(world, lambda text: text.startswith("B:"))
    found = compared(world)
    rows = list(world.place.stores.results.list_run(found.ran.run))
    asked = [row.case_id for row in rows]
    assert sorted(set(asked), key=asked.index) != [f"c{i}" for i in range(len(set(asked)))]


def verdict(world, name, role, comparison):
    found = compared(world, 12)
    changed = replace(found.verdict, comparison=comparison)
    return ComparedSuite(replace(suite(2), name=name, role=role), found.ran, changed)


def test_a_change_passes_where_a_primary_suite_is_better_and_none_is_worse(world):
    """And only there."""
    better = verdict(world, "main", "primary", Comparison.BETTER)
    same = verdict(world, "safety", "guarded", Comparison.EQUIVALENT)
    worse = verdict(world, "tone", "guarded", Comparison.WORSE)
    unsure = verdict(world, "facts", "guarded", Comparison.NOT_ENOUGH_EVIDENCE)
    assert together([better, same]).passes
    assert together([better, same, worse]).text == "not passed: worse in tone"
    assert together([better, unsure]).text == "not passed: not proven to be no worse in facts"
    assert together([same]).text == "not passed: better in no primary suite"
    assert not together([]).passes


def test_primary_suites_share_the_error_that_may_be_made(world):
    """Any of them may promote; guarded ones must all hold."""
    first, second, guarded = (replace(suite(2), role=role) for role in ("primary", "primary", "guarded"))
    suites = [first, second, guarded]
    assert alpha_of(first, suites) == pytest.approx(0.025)
    assert alpha_of(guarded, suites) == pytest.approx(0.05)


def test_what_one_primary_suite_gains_does_not_pay_for_what_another_seems_to_lose(world):
    """Nor does a suite that ended early."""
    gained = verdict(world, "gains", "primary", Comparison.BETTER)
    lost = verdict(world, "loses", "primary", Comparison.NOT_ENOUGH_EVIDENCE)
    dropped = replace(lost.verdict, difference=replace(lost.verdict.difference, value=-0.2))
    assert together([gained, lost]).passes
    assert together([gained, replace(lost, verdict=dropped)]).text == (
        "not passed: looks worse beyond the margin in loses"
    )
    early = replace(lost, verdict=replace(lost.verdict, partial=True))
    assert together([gained, early]).text == "not passed: ended early in loses"
