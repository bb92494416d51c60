"""Rows of a run become cases beside each other, with what flipped and where judges disagree."""

from __future__ import annotations

import pytest

from perdure.assets.suite import Case
from perdure.surface.eval_rows import Looked, Texts, cases_told, scorers_told, sides_told
from perdure.surface.eval_told import case_line

OLD, NEW = "answer@1111", "answer@2222"
BOTH = Looked((OLD, NEW), frozenset({"helpful", "polite"}))


def test_a_case_flips_where_its_mean_over_samples_moves_by_more_than_the_tolerance(rows):
    scored = [
        *(rows(1, OLD, score, sample=at) for at, score in enumerate((1.0, 0.0))),
        *(rows(1, NEW, score, sample=at) for at, score in enumerate((1.0, 1.0))),
        rows(2, OLD, 0.50),
        rows(2, NEW, 0.51),
        rows(3, OLD, 1.0),
        rows(3, NEW, 0.0),
    ]
    found = cases_told(scored, BOTH, Texts())
    assert [(each.id, each.flip, each.change) for each in found] == [
        ("case-1", "better", 0.5),
        ("case-2", "same", pytest.approx(0.01)),
        ("case-3", "worse", -1.0),
    ]


def test_a_case_that_one_version_never_answered_is_unpaired_and_stays(rows):
    found = cases_told([rows(1, OLD, 1.0), rows(2, OLD, 1.0), rows(2, NEW, 1.0)], BOTH, Texts())
    assert [(each.flip, len(each.answers[1])) for each in found] == [("unpaired", 0), ("same", 1)]


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([("helpful", 1.0), ("polite", 0.25)], "polite says 0.25, helpful says 1"),
        ([("helpful", 0.0), ("exact", 1.0), ("f1", 0.8)], "helpful says 0, the other scorers 0.9"),
        ([("helpful", 0.75), ("exact", 1.0)], ""),
        ([("exact", 0.0), ("f1", 1.0)], ""),
        ([("helpful", 1.0), ("exact", None)], ""),
    ],
)
def test_judges_disagree_where_they_say_the_opposite_of_each_other_or_of_the_rest(rows, scores, words):
    parts = [(label, value, "scored" if value is not None else "not_applicable", "") for label, value in scores]
    [found] = cases_told([rows(1, OLD, 1.0, scores=parts), rows(1, NEW, 1.0)], BOTH, Texts())
    assert found.disagreement == words


def test_a_judge_that_failed_disagrees_with_nobody(rows):
    parts = [("helpful", 0.0, "failed", "obeyed"), ("exact", 1.0, "scored", "")]
    [found] = cases_told([rows(1, NEW, 1.0, scores=parts)], BOTH, Texts())
    assert (found.disagreement, found.failed) == ("", True)


def test_texts_of_cases_are_told_as_people_read_them(rows):
    case = Case("case-1", {"question": "Why?"}, expected={"a": 1}, contexts=("one", {"id": "x", "text": "two"}))
    [found] = cases_told([rows(1, OLD, 1.0)], Looked((OLD,)), Texts({"d1": case}, {f"{OLD}/1": "Because."}))
    assert (found.question, found.expected, found.contexts) == ("Why?", '{\n  "a": 1\n}', ("one", "two"))
    assert found.answers[0][0].text == "Because."


def test_a_version_s_interval_is_over_clusters_and_never_a_point(rows):
    varied = [rows(n, OLD, float(n % 4 != 0)) for n in range(40)]
    same = [rows(n, OLD, 1.0) for n in range(40)]
    [side] = sides_told(varied, (OLD,))
    assert side.score is not None
    assert side.score.low < 0.75 < side.score.high
    assert sides_told(varied[:2], (OLD,))[0].score is None
    [side] = sides_told(same, (OLD,))
    assert (side.mean, side.score and side.score.low) == (1.0, pytest.approx(0.8316, abs=1e-4))


def test_costs_waits_and_failures_of_a_version_are_counted(rows):
    found = [rows(1, OLD, 1.0), rows(2, OLD, 0.0, error="upstream.timed_out", cost_pusd=None, latency_us=9_000_000)]
    [side] = sides_told(found, (OLD,))
    assert (side.n_answers, side.n_failed, side.n_unpriced, side.cost_usd) == (2, 1, 1, 0.001)
    assert side.p95_ms == pytest.approx(40.001)


def test_a_scorer_s_difference_is_paired_by_case(rows):
    old = [rows(n, OLD, 0.5 + 0.01 * n, cluster="") for n in range(20)]
    new = [rows(n, NEW, 0.6 + 0.01 * n + 0.001 * (n % 2), cluster="") for n in range(20)]
    [scorer] = scorers_told([*old, *new], BOTH)
    assert scorer.difference is not None
    assert scorer.difference.value == pytest.approx(0.1005)
    assert scorer.difference.high - scorer.difference.low < 0.002
    assert scorer.raw[0] is not None
    assert scorer.raw[0].high - scorer.raw[0].low > 0.04


def test_where_the_spread_comes_from_is_told_where_cases_were_asked_more_than_once(rows):
    found = [rows(n, OLD, float((n + at) % 2), sample=at, cluster="") for n in range(20) for at in range(2)]
    assert sides_told(found, (OLD,))[0].spread.startswith("spread: 0% between cases, 100% between samples")
    assert sides_told([each for each in found if each.sample == 0], (OLD,))[0].spread == ""


def test_a_version_tells_how_many_answers_were_known_and_which_share_of_its_claims_nothing_supports(rows):
    found = [rows(n, OLD, 1.0) for n in range(20)]
    [side] = sides_told(found, (OLD,), {row.answer: (int(n < 5), 2) for n, row in enumerate(found)})
    assert side.n_cached == sum(row.cached for row in found)
    assert side.hallucination.value == pytest.approx(5 / 40)
    assert 0.0 <= side.hallucination.low < 5 / 40 < side.hallucination.high


def test_claims_that_are_all_supported_are_no_certainty(rows):
    found = [rows(n, OLD, 1.0) for n in range(20)]
    [side] = sides_told(found, (OLD,), {row.answer: (0, 2) for row in found})
    assert (side.hallucination.value, side.hallucination.low) == (0.0, 0.0)
    assert 0.05 < side.hallucination.high < 0.5


def test_a_judge_that_is_silent_makes_no_answer_a_failed_one(rows):
    silent = [("exact", 1.0, "scored", ""), ("helpful", None, "failed", "the judge's answer could not be read")]
    found = [rows(n, OLD, 1.0, scores=silent) for n in range(3)]
    looked = Looked((OLD,), frozenset({"helpful"}))
    assert sides_told(found, (OLD,))[0].n_failed == 0
    assert not any(each.failed for each in cases_told(found, looked, Texts()))
    [_, helpful] = scorers_told(found, looked)
    assert (helpful.n_silent, helpful.note, helpful.cell(0)) == (3, "no opinion on 3 answers", "–")


def test_a_case_without_a_prompt_is_told_by_what_it_sends(rows):
    one, two = ({"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."})
    for messages, question in (([one], "Why?"), ([one, two], "user: Why?\nassistant: So.")):
        row = rows(1, OLD, 1.0)
        [case] = cases_told([row], Looked((OLD,)), Texts({row.case: Case("c", {"messages": messages}, "So.")}))
        assert case.question == question


def test_a_low_score_is_told_by_what_scored_low_and_not_by_what_did_not_apply(rows):
    scores = [("exact", 0.0, "scored", ""), ("grounded", None, "not_applicable", "the answer claims nothing")]
    row = rows(1, OLD, 0.0, scores=scores)
    texts = Texts({row.case: Case("c", {"question": "Why?"}, "So.")}, {row.answer: "No."})
    [case] = cases_told([row], Looked((OLD,)), texts)
    assert case_line(case).endswith("score 0.00; Why? (expected 'So.', said 'No.')")
