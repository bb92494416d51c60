"""Golden questions: read line by line, held against what was found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.stats.ranking import ndcg, recall
from perdure.engines.retrieval.golden import Relevant, Stretch, judge_golden, read_golden


def lines(*told):
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in told)


def test_a_document_or_a_stretch_of_one_is_relevant():
    found = read_golden(
        lines(
            {"query": "Where?", "relevant": ["a.md", {"document": "b.md", "start": 3, "end": 9, "grade": 2}]},
            {"query": "When?", "relevant": ["c.md"], "cluster": 7},
            {"query": "Who?", "relevant": ["d.md"], "cluster": 7},
        )
    )
    assert found.troubles == ()
    assert found.questions[0].relevant == (Relevant("a.md"), Relevant("b.md", 3, 9, 2.0))
    assert found.clusters.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ("[1]", "no object"),
        ("[" * 100_000, "no JSON"),
        ({"query": " ", "relevant": ["a"]}, "no question"),
        ({"query": "a", "relevant": []}, "names nothing"),
        ({"query": "a", "relevant": [7]}, "names no document"),
        ({"query": "a", "relevant": [{"document": "a", "start": 3}]}, "no stretch"),
        ({"query": "a", "relevant": [{"document": "a", "start": 9, "end": 3}]}, "no stretch"),
        ({"query": "a", "relevant": [{"document": "a", "grade": 0}]}, "means nothing"),
        ({"query": "a", "relevant": [{"document": "a", "grade": True}]}, "means nothing"),
        ('{"query": "a", "relevant": [{"document": "a", "grade": NaN}]}', "means nothing"),
        ({"query": "a", "relevant": [{"document": "a", "from": 0}]}, "mean nothing"),
        ({"query": "a", "relevant": ["a"], "answer": "b"}, "mean nothing"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_by_its_number_and_the_others_count(line, why):
    found = read_golden(lines({"query": "Where?", "relevant": ["a.md"]}, "", line))
    assert len(found.questions) == 1
    [trouble] = found.troubles
    assert trouble.startswith("Line 3: ")
    assert why in trouble


def test_a_question_that_stands_there_twice_counts_where_it_stands_first():
    found = read_golden(lines({"query": "a", "relevant": ["x"]}, {"query": "a", "relevant": ["y"]}))
    assert found.questions[0].relevant == (Relevant("x"),)
    assert found.troubles == ("Line 2: it asks what a line before it asks.",)


def test_a_chunk_is_found_where_it_overlaps_and_a_document_by_any_of_its_chunks():
    golden = read_golden(lines({"query": "a", "relevant": ["x", {"document": "y", "start": 10, "end": 20}]}))
    chunks = [Stretch("y", 0, 10), Stretch("x", 0, 5), Stretch("x", 5, 9), Stretch("y", 19, 30)]
    judged = judge_golden(golden, [chunks], 4)
    assert judged.gains.tolist() == [[0.0, 1.0, 0.0, 1.0]]
    assert recall(judged).tolist() == [1.0]


def test_a_chunk_that_is_of_two_finds_the_better_one_first():
    told = [{"document": "x", "start": 0, "end": 9}, {"document": "x", "start": 5, "end": 20, "grade": 3}]
    golden = read_golden(lines({"query": "a", "relevant": told}))
    judged = judge_golden(golden, [[Stretch("x", 4, 8), Stretch("x", 6, 9)]], 2)
    assert judged.gains.tolist() == [[3.0, 1.0]]
    assert ndcg(judged).tolist() == [1.0]


@given(st.text())
def test_whatever_a_file_says_it_is_read(text):
    found = read_golden(text)
    assert all(each.startswith("Line ") for each in found.troubles)
