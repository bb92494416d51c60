"""Any bytes are read or told with a code; chunks are exact, whole, and unmoved by an edit elsewhere."""

from __future__ import annotations

import re
import signal
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.assets.chunkers import ByStructure, Whole
from perdure.core.documents import DocumentRef, RawDocument
from perdure.engines.retrieval.chunking.compiling import compile_chunker
from perdure.engines.retrieval.parsing.registry import parse, told_metadata
from perdure.engines.retrieval.protocols import Unparsable

CODES = {"empty", "too_large", "binary", "encrypted", "encoding", "bomb", "unparsable"}
TEXTUAL = [
    "",
    "text/plain",
    "text/markdown",
    "text/x-rst",
    "text/html",
    "text/x-python",
    "text/csv",
    "application/json",
    "image/png",
]
MARKS = [
    "# ", "## ", "### x\n", "\n\n", "\n", "- ", "1. ", "    ", "```\n", "~~~", "> ", "|a|b|\n|-|-|\n", "---\n", "===\n", "::\n\n",
    ".. note::\n", ".. x\n", "+--+\n", "== ==\n", "<p>", "</p>", "<table><td>", "<ul><li>", "<pre>", "</pre>", "<h1>", "</h2>", "<!--",
    "<script>", "<title>", "&amp;", "[a]: b\n", "{", "}", "[", "]", '"', ",", ": ", "a: 1\n", "null", "\\ud800", "\x00", "\u2028",
    "Satz. ", "word ", "\u3002", "\ufeff", "\r\n", "\t", "%PDF-", "🙂",
]  # fmt: skip
SOUP = st.lists(st.one_of(st.sampled_from(MARKS), st.text(max_size=8)), max_size=60).map("".join)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def document(data, media_type="text/markdown"):
    return RawDocument(DocumentRef("a", "1"), data, media_type)


def check(given_document, chunker):
    try:
        parsed = parse(given_document)
        title, chunks = chunker.chunk(given_document)
    except Unparsable as told:
        wrong = told.code not in CODES or not told.message
        return pytest.fail(f"{told.code!r} says nothing") if wrong else []
    (title + parsed.title).encode()
    ends = [0]
    for block in parsed.blocks:
        assert ends[-1] <= block.start <= block.end <= len(parsed.text)
        ends.append(block.end)
    for position, chunk in enumerate(chunks):
        assert chunk.text == parsed.text[chunk.start : chunk.end]
        assert (chunk.position, chunk.document) == (position, "a")
        assert chunk.parent is None or chunk.parent[0] <= chunk.start <= chunk.end <= chunk.parent[1]
        assert len(chunk.digest) == 32
    return chunks


@QUICK
@given(
    st.sampled_from(TEXTUAL), st.one_of(st.binary(max_size=300), SOUP.map(lambda text: text.encode("utf-8", "replace")))
)
def test_any_bytes_are_read_or_told_and_chunks_are_exact(media_type, data):
    check(document(data, media_type), compile_chunker(ByStructure(tokens=12, least=3)))
    told_metadata(document(data, media_type))


@settings(max_examples=8, deadline=None)
@given(st.binary(max_size=200))
def test_any_pdf_is_read_or_told(data):
    check(document(b"%PDF-1.7\n" + data, "application/pdf"), compile_chunker(Whole()))


@QUICK
@given(SOUP, st.integers(2, 60), st.integers(0, 10), st.integers(0, 8))
def test_together_chunks_hold_all_of_a_document_once(text, tokens, least, overlap):
    found = document(text.encode("utf-8", "replace"))
    chunks = check(found, compile_chunker(ByStructure(tokens, min(least, tokens), 0)))
    assert all(before.end <= after.start for before, after in pairwise(chunks))
    if chunks:
        parsed = parse(found)
        held = {place for chunk in chunks for place in range(chunk.start, chunk.end)}
        missed = [place for block in parsed.blocks for place in range(block.start, block.end) if place not in held]
        assert all(parsed.text[place].isspace() for place in missed)
        lapped = check(found, compile_chunker(ByStructure(tokens, min(least, tokens), min(overlap, tokens - 1))))
        assert [each.end for each in lapped] == [each.end for each in chunks]


WORDS = st.lists(
    st.sampled_from(["index", "source", "drift", "chunk", "answer", "stale", "ghost", "query", "vector", "table"]),
    min_size=8,
    max_size=30,
)
PARAGRAPHS = st.lists(WORDS.map(lambda words: " ".join(words) + "."), min_size=2, max_size=8)
SECTIONS = st.lists(PARAGRAPHS, min_size=3, max_size=5)


def handbook(sections):
    parts = [f"## Part {number}\n\n" + "\n\n".join(paragraphs) for number, paragraphs in enumerate(sections)]
    return ("# Handbook\n\n" + "\n\n".join(parts)).encode()


def digests_by_part(sections):
    """Digests of chunks by the section that they are of."""
    found, text = {}, handbook(sections).decode()
    for chunk in compile_chunker(ByStructure(tokens=60, least=10)).chunk(document(text.encode()))[1]:
        told = re.findall(r"## Part (\d+)", text[: chunk.end])
        part = int(told[-1]) if told else -1
        found.setdefault(part, []).append(chunk.digest)
    return found


@settings(max_examples=40, deadline=None)
@given(SECTIONS, st.data())
def test_an_edit_of_one_section_leaves_the_chunks_of_all_others(sections, data):
    edited = data.draw(st.integers(0, len(sections) - 1))
    changed = [*sections[:edited], data.draw(PARAGRAPHS), *sections[edited + 1 :]]
    before, after = digests_by_part(sections), digests_by_part(changed)
    for part in range(len(sections)):
        if part != edited:
            assert before[part] == after[part]


@pytest.mark.parametrize(
    ("media_type", "bomb"),
    [
        ("text/markdown", ">" * 200_000), ("text/markdown", "- " * 100_000), ("text/markdown", "[a]: b\n" * 30_000),
        ("text/markdown", "[" * 200_000), ("text/markdown", "|" * 100_000 + "\n" + "-|" * 50_000), ("text/markdown", "* a\n" * 10_000), ("text/markdown", ": ]" + "+--+\n+--+\n> <p>" * 10_000),
        ("text/markdown", "".join(" " * depth + "- a\n" for depth in range(600))), ("text/markdown", "# " + "a" * 500_000),
        ("text/markdown", "." * 500_000), ("text/markdown", "```\n" * 50_000), ("text/markdown", "---\n" + "a: [\n" * 50_000),
        ("text/markdown", "---\na: " + "[" * 100_000 + "\n---\nx"), ("text/markdown", "<!--\n" * 50_000),
        ("text/x-rst", "a\n=\n" * 50_000), ("text/x-rst", ".. a::\n\n" * 50_000), ("text/x-rst", "- a::\n\n" * 50_000),
        ("text/x-rst", "".join(" " * depth + "- a::\n\n" for depth in range(600))), ("text/x-rst", "= =\n" * 50_000),
        ("text/x-python", "def a():\n\n" * 50_000), ("text/csv", "a,b\n" * 100_000), ("text/csv", '"' * 100_000),
        ("application/json", "[" * 100_000), ("application/json", "9" * 1_000_000), ("application/json", '{"a":' * 50_000),
        ("text/html", "<b id=%d>" * 20_000 + "<p>x" * 20_000), ("text/html", "<table><tr><td>" * 1500), ("text/html", "<!--" * 100_000),
        ("text/html", "<a " + "b " * 100_000 + ">"), ("text/html", "<ul><li>a" * 2000), ("", "a\n.. note::\n" + ": word ,<p>" * 30_000), ("text/plain", "\u3002" * 300_000),
        ("text/plain", ('."' * 100_000) + "x"), ("text/plain", "a\n\n" * 100_000),
    ],
)  # fmt: skip
def test_no_text_takes_long(media_type, bomb):
    """Ten seconds of CPU, where these take tenths of one: what works by the square of their length would take minutes."""

    def too_long(*_):
        pytest.fail("It takes more than ten seconds.")

    chunker = compile_chunker(ByStructure())
    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, 10.0)
    try:
        check(document(bomb.encode(), media_type), chunker)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
