"""Words that somebody relied on, looked up in what an index has of a document."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from perdure.engines.retrieval.golden import read_golden
from perdure.engines.retrieval.standing import Standing, anchored
from perdure.testing.conformance.index_world import a_chunk


def chunks(text: str, *cuts: int, overlap: int = 0, document: str = "a.md"):
    spans = [(max(0, start - overlap), end) for start, end in pairwise([0, *cuts, len(text)])]
    return [a_chunk(document, text[start:end], i, start=start, end=end) for i, (start, end) in enumerate(spans)]


@given(st.text("ab \n.", min_size=1, max_size=60), st.data())
def test_any_stretch_is_found_where_it_stands_however_the_document_is_cut(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    there = Standing.of(chunks(text, *cuts, overlap=data.draw(st.integers(0, 3))))
    wanted = text[start:end]
    found = there.find(wanted, near=start + len(wanted) - len(wanted.lstrip()))
    if not wanted.strip():
        assert found is None
    else:
        assert found == (start + len(wanted) - len(wanted.lstrip()), end - len(wanted) + len(wanted.rstrip()))


def test_words_that_were_wrapped_anew_stand_there_and_words_that_changed_do_not():
    there = Standing.of(chunks("Goods are taken back\nwithin 30 days.", 20))
    assert there.find("Goods are taken back within\n30 days.") == (0, 36)
    assert there.find("Goods are taken back within 14 days.") is None


def test_golden_stretches_follow_their_words_when_a_paragraph_comes_above():
    old = "First.\n\nWithin 30 days."
    golden = read_golden(
        '{"query": "a", "relevant": [{"document": "a.md", "start": 8, "end": 23, "text": "Within 30 days."}]}\n'
        '{"query": "b", "relevant": ["a.md", {"document": "b.md", "start": 1, "end": 2, "text": "x"}]}'
    )
    assert anchored(golden, chunks(old)).questions == golden.questions
    moved = anchored(golden, chunks(f"News.\n\n{old}", 7, 12))
    [item] = moved.questions[0].relevant
    assert (item.start, item.end) == (15, 30)
    assert moved.questions[1] == golden.questions[1]
    assert anchored(golden, chunks("All is new.")).questions == golden.questions
