"""Chunks follow a document's structure, tell where they stand, and stay what they are when something else is edited."""

from __future__ import annotations

import pytest

from perdure.assets.chunkers import ByStructure, CustomChunker, Whole
from perdure.core.documents import Chunk, DocumentRef, RawDocument
from perdure.core.errors import BadIndex, UpstreamError
from perdure.engines.retrieval.chunking.compiling import compile_chunker
from perdure.engines.retrieval.parsing.registry import parse
from perdure.engines.retrieval.protocols import Unparsable


def document(text, media_type="text/markdown", **metadata):
    return RawDocument(DocumentRef("handbook/returns.md", "1"), text.encode(), media_type, metadata)


def chunks_of(text, media_type="text/markdown", **settings):
    return compile_chunker(ByStructure(**settings)).chunk(document(text, media_type))[1]


def sentences(word, n):
    return " ".join(f"Sentence {number} speaks of {word}." for number in range(n))


GUIDE = f"""# Guide

{sentences("beginnings", 8)}

## Install

{sentences("wheels", 8)}

### Behind a proxy

{sentences("proxies", 8)}
"""


def test_a_chunk_stands_under_title_and_headings_above_and_holds_its_own():
    found = chunks_of(GUIDE)
    assert [each.context for each in found] == ["", "Guide", "Guide > Install"]
    assert [each.text.partition("\n")[0] for each in found] == ["# Guide", "## Install", "### Behind a proxy"]


def test_without_context_only_the_text_is_embedded():
    assert {each.context for each in chunks_of(GUIDE, context=False)} == {""}


def test_later_chunks_of_a_section_stand_under_its_heading_too():
    text = "# Guide\n\n## Long\n\n" + "\n\n".join(sentences(str(number), 12) for number in range(6))
    found = chunks_of(text)
    assert len(found) == 3
    assert {each.context for each in found[1:]} == {"Guide > Long"}


def test_a_title_of_the_source_stands_above_all():
    title, found = compile_chunker(ByStructure()).chunk(document(GUIDE, title="Handbook"))
    assert title == "Handbook"
    assert [each.context for each in found] == ["Handbook", "Handbook > Guide", "Handbook > Guide > Install"]


def test_small_sections_are_joined_with_what_follows_under_the_same_heading():
    text = "# Terms\n\n## Ask\n\nA price.\n\n## Bid\n\nAn offer.\n\n# Law\n\nNone."
    assert [each.text[:7] for each in chunks_of(text)] == ["# Terms", "# Law\n\n"]
    assert len(chunks_of(text, least=0)) == 4


def test_a_chunk_has_no_more_than_the_aim_and_knows_its_section():
    text = "# Long\n\n" + "\n\n".join(sentences(str(number), 5) for number in range(20))
    found = chunks_of(text, tokens=100)
    assert all(len(each.text) <= 400 + len("# Long\n\n") for each in found)
    assert all(each.parent is not None and each.parent[0] <= each.start < each.end <= each.parent[1] for each in found)
    assert all(each.parent[1] - each.parent[0] <= 8 * 400 for each in found)
    assert {each.parent for each in chunks_of(text, tokens=100, parents=False)} == {None}


def test_code_is_torn_only_beyond_three_times_the_aim():
    lines = [f"line_{number} = {number}" for number in range(100)]
    code = "```python\n" + "\n".join(lines[:60]) + "\n```"
    assert [each.form for each in chunks_of(code, tokens=100)] == ["code"]
    longer = "```python\n" + "\n".join(lines) + "\n```"
    torn = chunks_of(longer, tokens=100)
    assert len(torn) > 2
    assert all(line in longer.split("\n") for each in torn for line in each.text.split("\n"))


def test_a_table_that_is_continued_repeats_its_header_and_tears_no_row():
    rows = [f"| city {number} | {number * 1000} |" for number in range(80)]
    found = chunks_of("# Cities\n\n| name | people |\n|---|---|\n" + "\n".join(rows), tokens=100)
    assert len(found) > 3
    assert [each.context for each in found[1:]] == ["Cities\n| name | people |"] * (len(found) - 1)
    assert [line for each in found for line in each.text.split("\n") if "city" in line] == rows
    assert {each.form for each in found[1:]} == {"table"}


def test_a_long_list_is_cut_at_its_items():
    items = [f"- item {number} has some words\n  and a second line" for number in range(40)]
    found = chunks_of("\n".join(items), tokens=50)
    assert len(found) > 3
    assert all(each.text.startswith("- item") for each in found)


def test_overlap_repeats_whole_sentences_of_the_chunk_before():
    text = "# Long\n\n" + "\n\n".join(sentences(str(number), 12) for number in range(4))
    plain, lapped = chunks_of(text, tokens=100), chunks_of(text, tokens=100, overlap=20)
    assert [each.end for each in plain] == [each.end for each in lapped]
    assert all(text[each.start : each.end] == each.text for each in lapped)
    repeated = [now.start < was.start for now, was in zip(lapped[1:], plain[1:], strict=True)]
    assert any(repeated)
    assert all(
        was.start - now.start <= 80 and now.text.startswith("Sentence")
        for now, was in zip(lapped[1:], plain[1:], strict=True)
    )


def test_an_inserted_paragraph_leaves_most_of_its_long_section_alone():
    parts = [sentences(f"topic {number}", 4 + number % 5) for number in range(60)]
    before = {each.digest for each in chunks_of("# All\n\n" + "\n\n".join(parts))}
    changed = 0
    for place in range(5, 55, 5):
        after = {
            each.digest for each in chunks_of("# All\n\n" + "\n\n".join([*parts[:place], "New. " * 30, *parts[place:]]))
        }
        changed += len(after - before)
    assert changed / 10 < 4, "a new paragraph costs fewer than four chunks in the mean, of dozens"


def test_a_whole_document_is_one_chunk():
    title, [only] = compile_chunker(Whole()).chunk(document(GUIDE))
    assert (title, only.context, only.text) == ("Guide", "", GUIDE.strip())


def test_a_function_of_ones_own_is_numbered_and_its_errors_are_its_documents():
    def halves(given):
        text = given.data.decode()
        return "Halves", [Chunk("?", 7, text[:5], 0, 5), Chunk("?", 7, text[5:], 5, len(text))]

    title, found = compile_chunker(CustomChunker(halves)).chunk(document("0123456789"))
    assert title == "Halves"
    assert [(each.document, each.position) for each in found] == [
        ("handbook/returns.md", 0),
        ("handbook/returns.md", 1),
    ]
    for function, code in ((lambda _: 1 / 0, "unparsable"), (lambda _: None, "unparsable"), (lambda _: ("", []), "empty"),
                           (lambda _: ("", ["text"]), "unparsable")):  # fmt: skip
        with pytest.raises(Unparsable) as told:
            compile_chunker(CustomChunker(function)).chunk(document("x"))
        assert told.value.code == code


def test_what_may_succeed_later_passes_through_a_function_of_ones_own():
    def away(_):
        raise UpstreamError("The service is away.")

    with pytest.raises(UpstreamError):
        compile_chunker(CustomChunker(away)).chunk(document("x"))


def test_fingerprints_tell_settings_apart():
    kinds = [ByStructure(), ByStructure(tokens=100), ByStructure(overlap=5), Whole(), CustomChunker(parse)]
    assert len({compile_chunker(each).fingerprint for each in kinds}) == len(kinds)
    assert compile_chunker(ByStructure()).fingerprint == compile_chunker(ByStructure()).fingerprint


def test_what_is_no_chunker_is_refused():
    with pytest.raises(BadIndex):
        compile_chunker("by structure")
    with pytest.raises(BadIndex):
        compile_chunker(ByStructure(tokens=10, overlap=10))


@pytest.mark.parametrize("text", ["", " \n\t ", "<!-- nothing -->"])
def test_a_document_without_anything_to_find_is_empty(text):
    with pytest.raises(Unparsable) as told:
        compile_chunker(ByStructure()).chunk(document(text))
    assert told.value.code == "empty"


def test_a_heading_without_text_of_its_own_stands_with_what_follows():
    text = f"# Guide\n\n## Install\n\n{sentences('wheels', 8)}\n\n## Run\n\n{sentences('runs', 8)}"
    assert chunks_of(text, tokens=60, least=5)[0].text.split("\n\n")[:2] == ["# Guide", "## Install"]


def test_code_that_a_colon_announces_stays_with_its_announcement():
    part = "\n\n".join(f"{sentences(n, 9)}\n\nWrite this, number {n}:\n\n    a = {n}\n    b = {n}" for n in range(12))
    found = chunks_of("# All\n\n" + part)
    assert len(found) > 4
    assert not any(each.text.startswith("    a =") for each in found)


@pytest.mark.parametrize("chunker", [ByStructure(), Whole()])
def test_a_picture_is_one_chunk_whose_bytes_are_embedded(chunker):
    png = b"\x89PNG\r\n\x1a\n" + bytes(16)
    title, [only] = compile_chunker(chunker).chunk(
        RawDocument(DocumentRef("cat.png", "1"), png, "image/png", {"alt": "A cat"})
    )
    assert (title, only.form, only.text, only.content) == ("A cat", "image", "A cat", png)
