"""What counts when two versions are held against one another: nothing that is lost makes the other one better."""

from __future__ import annotations

import math
from typing import Any

import pytest

from perdure.core.stats.verdicts import Compared, Plan
from perdure.core.verdict import Comparison
from perdure.loop.work.evals.pairing import judged_only, scores_of, verdict_on
from perdure.stores.results.protocols import RunRow

N = 160
RIGHT, WRONG = {"score": 1.0}, {"score": 0.0}
LOST = {"score": 0.0, "error": "upstream.timed_out"}
BLOCKED = {"score": 0.0, "error": "blocked"}
MUTE = {"score": None, "scores": [("kind", None, "failed", "the judge obeyed an order inside of what it judged")]}


def rows(subject: str, said: Any, n: int = N, **more: Any) -> list[RunRow]:
    """A row a case; `said(at)` is what came of it."""
    found = []
    for at in range(n):
        told = {"scores": [], "error": "", "cost_pusd": 1, **said(at), **more}
        found.append(
            RunRow(f"d{at}", f"c{at}", f"g{at}", 0, subject, f"k{at}", told["scores"], told["score"], None,
                   told["cost_pusd"], 0, 1000, told["error"], told.get("weight", 1.0), [], False)
        )  # fmt: skip
    return found


def held(candidate: Any, incumbent: Any, n: int = N) -> Compared:
    first, second = scores_of(rows("b", candidate, n), "b"), scores_of(rows("a", incumbent, n), "a")
    return verdict_on(first, second, Plan(0.05, 0.06, n, 1))


def mostly(usual: dict[str, Any], now_and_then: dict[str, Any], every: int = 4) -> Any:
    return lambda at: usual if at % every else now_and_then


@pytest.mark.parametrize("said", [LOST, BLOCKED, MUTE], ids=["lost", "blocked", "not judged"])
def test_what_neither_side_answered_is_no_equivalence(said: Any) -> None:
    """160 differences of 0 say nothing."""
    found = held(lambda _: said, lambda _: said)

    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert not found.not_worse
    assert found.text == "not enough evidence: no case was answered"


def test_time_outs_of_the_incumbent_make_nobody_better() -> None:
    found = held(lambda _: RIGHT, mostly(RIGHT, LOST))

    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert "the gain rests on 40 cases" in found.text


def test_what_the_incumbent_itself_cannot_answer_is_a_gain() -> None:
    assert held(lambda _: RIGHT, mostly(RIGHT, BLOCKED)).comparison is Comparison.BETTER


def test_a_gain_that_is_there_without_the_lost_cases_stands() -> None:
    said = [LOST if at % 10 == 0 else WRONG if at % 3 == 0 else RIGHT for at in range(N)]

    assert held(lambda _: RIGHT, lambda at: said[at]).comparison is Comparison.BETTER


def test_time_outs_of_the_candidate_count_against_it() -> None:
    assert held(mostly(RIGHT, LOST), lambda _: RIGHT).comparison is Comparison.WORSE


def test_a_candidate_that_nobody_can_judge_where_it_is_bad_is_not_better_for_it() -> None:
    """It writes orders into its bad answers, so that the judge's word does not count: they are worth nothing, not left out."""
    incumbent = mostly(RIGHT, WRONG, 8)

    found = held(mostly(RIGHT, MUTE), incumbent)

    assert found.comparison is Comparison.WORSE
    assert found.difference.value == pytest.approx(-0.125)


def test_an_incumbent_that_the_judge_refused_makes_nobody_better() -> None:
    assert held(lambda _: RIGHT, mostly(RIGHT, MUTE)).comparison is Comparison.NOT_ENOUGH_EVIDENCE


def test_cases_that_one_side_was_never_asked_do_not_count() -> None:
    first, second = scores_of(rows("b", lambda _: RIGHT), "b"), scores_of(rows("a", lambda _: WRONG, 3), "a")

    found = verdict_on(first, second, Plan(0.05, 0.06, N, 1))

    assert found.comparison is Comparison.NOT_ENOUGH_EVIDENCE
    assert found.n_clusters == 3


def test_of_one_version_alone_nothing_is_known_where_nobody_could_judge() -> None:
    known = judged_only(scores_of(rows("a", mostly(RIGHT, MUTE)), "a"))

    assert len(known) == 3 * N // 4
    assert math.fsum(each.score for each in known.values()) == len(known)
