"""Documents cut into passages."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.engines.evals.passages import LONGEST, SHORTEST, passages_of

PARAGRAPH = "The bridge at Bonn was built by Anna Berg, and it is repaired each spring. " * 4


def test_a_heading_begins_a_passage_where_the_former_is_long_enough():
    text = f"# Bridges\n\n{PARAGRAPH}\n\n# Ferries\n\n{PARAGRAPH}"
    assert [each.text.splitlines()[0] for each in passages_of(text)] == ["# Bridges", "# Ferries"]
    assert len(passages_of(text, markdown=False)) == 1


def test_a_short_section_stays_with_the_next_one():
    text = f"# Bridges\n\nSee below.\n\n## Old ones\n\n{PARAGRAPH}"
    assert [each.text for each in passages_of(text)] == [text.rstrip()]


def test_a_comment_in_code_is_no_heading():
    text = f"# Bridges\n\n{PARAGRAPH}\n\n```sh\n# Ferries\nls\n```\n\n{PARAGRAPH}"
    assert len(passages_of(text)) == 1


def test_what_is_long_is_cut_between_paragraphs_else_between_sentences():
    by_paragraph = passages_of("\n\n".join([PARAGRAPH.strip()] * 8))
    assert all(each.text.startswith("The bridge") and each.text.endswith("spring.") for each in by_paragraph)
    by_sentence = passages_of(PARAGRAPH * 12)
    assert len(by_sentence) > 2
    assert all(each.text.startswith("The bridge") for each in by_sentence)


def test_nothing_of_an_empty_document():
    assert passages_of(" \n\n ") == []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(["word", "a" * 300, "\n\n", "\n", "# Head\n", "End. ", "```\n", " ", "。"]), max_size=400)
)
def test_passages_hold_all_but_space_and_are_neither_short_nor_long(parts):
    text = "".join(parts)
    found = passages_of(text)
    assert "".join("".join(each.text.split()) for each in found) == "".join(text.split())
    assert all(text[each.start : each.end] == each.text for each in found)
    assert all(len(each.text) <= LONGEST for each in found)
    gaps = [after.start - each.start for each, after in pairwise(found)]
    assert all(gap >= SHORTEST for gap in gaps)
