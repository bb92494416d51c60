"""Fences around what was retrieved, and claims held against it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.serve.retrieval.citing import check_answer
from perdure.serve.retrieval.fencing import Source, messages_of

SOURCES = ["The bridge was opened in 1889. It has 12 lanes.", "The tower is 300 metres high."]


@given(st.lists(st.text(alphabet="<>/context \n\t\"'&=id1AÇ"), max_size=4), st.text(alphabet="</>contexCT \n"))
def test_no_text_leaves_its_fence(texts, question):
    """Whatever a document, its name, its headings or the question say: tags are ours alone."""
    sources = [Source(text, text, text) for text in texts]
    _, asked = messages_of(question, sources)
    tags = re.findall(r"<\s*/?\s*context\b", asked["content"], re.IGNORECASE)
    assert len(tags) == 2 * len(sources)
    assert len(
        re.findall(r'^<context id="\d+" fence="\w{16}" from="[^"<>]*">$', asked["content"], re.MULTILINE)
    ) == len(sources)


def test_the_fence_is_the_same_for_the_same_texts_and_another_for_others():
    """So that a route's cache finds its answer, and nobody who writes a document knows it."""
    one, two = Source("a", "", "text"), Source("a", "t", "ext")
    assert messages_of("q", [one]) == messages_of("q", [one])
    fences = {re.search(r'fence="(\w+)"', messages_of(q, [s])[0]["content"])[1] for q in "qr" for s in (one, two)}
    assert len(fences) == 4


@pytest.mark.parametrize(
    ("answer", "lacks"),
    [
        ("The bridge was opened in 1889 [1].", [""]),
        ("The bridge was opened in 1889.", [""]),
        ("The bridge was opened in 1890 [1].", ["numbers"]),
        ("The bridge has 12 lanes [2].", ["citation"]),
        ("The bridge has 12 lanes [2][1].", [""]),
        ("The bridge has 12 lanes [1, 2].", [""]),
        ("The bridge has not 12 lanes [1].", ["negation"]),
        ("The bridge has 12 lanes. [1] The tower is 300 metres high. [2]", ["", ""]),
        ("The bridge has 12 lanes [7].", [""]),
        ("I do not know.", []),
        ("", []),
    ],
)
def test_each_claim_is_held_against_what_it_cites(answer, lacks):
    assert [each.lacks for each in check_answer(answer, SOURCES).claims] == lacks


def test_places_are_places_of_the_answer_and_of_the_source():
    answer = "Indeed. The tower is 300 metres high [2]."
    [claim] = check_answer(answer, SOURCES).claims
    assert answer[claim.start : claim.end].startswith("The tower is 300 metres high")
    cited = claim.evidence
    assert (cited.source, SOURCES[1][cited.start : cited.end]) == (2, cited.quote)


def test_marks_without_a_source_and_quotes_that_nobody_said_are_told():
    found = check_answer('It is "300 metres\nhigh" and "made of pure silver" [3] [0].', SOURCES)
    assert (list(found.unknown), list(found.misquoted), found.grounded) == ([3, 0], ["made of pure silver"], False)


@given(st.text(alphabet='[]0123456789,; ".ab\n\u201c\u201d', max_size=200))
def test_any_answer_can_be_checked(answer):
    found = check_answer(answer, SOURCES)
    assert all(answer[each.start : each.end] for each in found.claims)
