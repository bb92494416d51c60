"""Each parser gives a document's text with its structure; what stands in a block is what was written."""

from __future__ import annotations

import json

import pytest
from markdown_it import MarkdownIt

from perdure.core.documents import DocumentRef, RawDocument
from perdure.engines.retrieval.parsing import records
from perdure.engines.retrieval.parsing.registry import (
    media_type_of,
    parse,
    parser_for,
    parsers_fingerprint,
    told_metadata,
)
from perdure.engines.retrieval.protocols import Unparsable


def document(data, media_type="", name="doc", **metadata):
    return RawDocument(DocumentRef(name, "1"), data if isinstance(data, bytes) else data.encode(), media_type, metadata)


def structure(data, media_type, name="doc"):
    parsed = parse(document(data, media_type, name))
    return [(block.form, block.level, parsed.text[block.start : block.end]) for block in parsed.blocks]


def refusal(data, media_type="", name="doc"):
    with pytest.raises(Unparsable) as told:
        parse(document(data, media_type, name))
    return told.value.code


def test_plain_text_has_paragraphs():
    assert structure("One\ntwo.\n \t\n\n  Three.\n", "text/plain") == [
        ("paragraph", 0, "One\ntwo."),
        ("paragraph", 0, "Three."),
    ]


def test_markdown_keeps_what_was_written():
    text = "# A *b*\n\nSaid.\n\n- one\n\n  more\n- two\n\n```py\n# no heading\n```\n\n> quoted\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nUnder\n---\n"
    assert structure(text, "text/markdown") == [
        ("heading", 1, "# A *b*"), ("paragraph", 0, "Said."), ("list", 0, "- one\n\n  more\n- two"),
        ("code", 0, "```py\n# no heading\n```"), ("quote", 0, "> quoted"), ("table", 0, "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("heading", 2, "Under\n---"),
    ]  # fmt: skip
    assert [block.label for block in parse(document(text, "text/markdown")).blocks if block.form == "heading"] == [
        "A *b*",
        "Under",
    ]


def test_front_matter_is_metadata_and_its_lists_are_content():
    text = (
        "---\ntitle: Ubuntu\nlts: true\nsince: 2004-10-20\nrank: 3\nwrong: [a\nbroken: 'x\nreleases:\n"
        "- cycle: '24.04'\n  eol: 2029-05-31\n\n- cycle: '22.04'\n---\n\nA system.\n"
    )
    parsed = parse(document(text, "text/markdown"))
    assert parsed.title == "Ubuntu"
    assert parsed.metadata == {"title": "Ubuntu", "lts": True, "since": "2004-10-20", "rank": 3}
    assert parsed.warnings == ("1 lines of its front matter are no YAML",)
    assert [parsed.text[each.start : each.end].split("\n")[0] for each in parsed.blocks] == ["releases:", "A system."]
    assert told_metadata(document(text, name="ubuntu.md")) == parsed.metadata
    assert told_metadata(document("no front matter", name="ubuntu.md")) == {}


@pytest.mark.parametrize("written", [".inf", "9" * 30, "2026-01-02 03:04:05"])
def test_a_member_that_no_database_keeps_is_a_text(written):
    [value] = told_metadata(document(f"---\na: {written}\n---\nx", "text/markdown")).values()
    assert isinstance(value, str)
    value.encode()


def test_restructured_text_by_its_lines():
    text = (
        "=====\nGuide\n=====\n\nRun::\n\n    python -m x\n\n    python -m y\n\nThen.\n\n.. comment\n   unseen\n\nPart\n----\n\n"
        "* one\n\n  more\n* two\n\n.. code-block:: python\n\n    a = 1\n\n    b = 2\n\n.. note:: Beware.\n\n=====  ===\nname   n\n"
        "=====  ===\na      1\n=====  ===\n"
    )
    assert structure(text, "text/x-rst") == [
        ("heading", 1, "=====\nGuide\n====="), ("paragraph", 0, "Run::"), ("code", 0, "    python -m x\n\n    python -m y"),
        ("paragraph", 0, "Then."), ("heading", 2, "Part\n----"), ("list", 0, "* one\n\n  more\n* two"),
        ("code", 0, ".. code-block:: python\n\n    a = 1\n\n    b = 2"), ("paragraph", 0, ".. note:: Beware."),
        ("table", 0, "=====  ===\nname   n\n=====  ===\na      1\n=====  ==="),
    ]  # fmt: skip


def test_html_shows_what_a_reader_sees():
    page = b"""<!DOCTYPE html><html><head><title>Returns &amp; more</title><style>x{}</style><script>evil()</script></head><body>
    <nav>menu</nav><h1>Returns</h1><p>Within <b>30</b>
    days.</p><div hidden>secret</div><div style="display: none">no</div><ul><li>one<li>two<ul><li>deep</ul></ul>
    <pre>a = 1\n  b = 2</pre><table><tr><th>name</th><th>n</th></tr><tr><td>a<td>1</table><blockquote>said</blockquote>
    <img alt="a cat">end"""
    assert structure(page, "text/html") == [
        ("heading", 1, "Returns"), ("paragraph", 0, "Within 30 days."), ("list", 0, "- one\n- two\n  - deep"),
        ("code", 0, "a = 1\n  b = 2"), ("table", 0, "name | n\na | 1"), ("quote", 0, "said"), ("paragraph", 0, "a cat end"),
    ]  # fmt: skip
    assert parse(document(page, "text/html")).title == "Returns & more"


def test_html_is_read_in_the_encoding_that_it_names():
    page = '<html><head><meta charset="windows-1251"><title>x</title></head><p>Привет'.encode("cp1251")
    assert structure(page, "text/html; charset=none") == [("paragraph", 0, "Привет")]


def test_source_code_is_cut_at_its_definitions():
    code = "import os\n\n\n@cached\ndef a():\n    x = 1\n\n    return x\n\n\nclass B:\n    pass\n"
    assert [text for _, _, text in structure(code, "", "a.py")] == [
        "import os", "@cached\ndef a():\n    x = 1\n\n    return x", "class B:\n    pass",
    ]  # fmt: skip
    assert parse(document(code, name="core/a.py")).title == "core/a.py"


def test_rows_of_csv_are_lines_under_their_header():
    parsed = parse(document('name;note\na;"two\nlines"\n', name="a.csv"))
    assert parsed.text == "name | note\na | two lines"
    assert [(block.form, block.label) for block in parsed.blocks] == [("table", "name | note")]


def test_json_is_named_values():
    told = json.dumps([{"a": {"b": 1}, "c": [1, "x"]}, {"d": [{"e": None}]}])
    assert structure(told, "application/json") == [("paragraph", 0, "a.b: 1\nc: 1, x"), ("paragraph", 0, "d.e: null")]
    assert structure('{"a": 1}\n{"b": 2}', "", "x.jsonl") == [("paragraph", 0, "a: 1"), ("paragraph", 0, "b: 2")]
    assert parse(document("{no json", "application/json")).warnings == ("it is no JSON, and read as plain text",)


def test_a_picture_is_its_bytes_and_what_is_said_of_it():
    png = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (20).to_bytes(4, "big") + (10).to_bytes(4, "big")
    parsed = parse(document(png, title="A cat", alt="asleep"))
    assert (parsed.text, parsed.title, parsed.metadata) == ("A cat\nasleep", "A cat", {"width": 20, "height": 10})
    assert [block.form for block in parsed.blocks] == ["image"]
    assert parse(document(b"\xff\xd8\xff\xe0", "image/jpeg")).text == ""
    assert refusal(png[:16] + b"\x7f\xff\xff\xff" * 2) == "bomb"
    assert refusal(b"no picture", "image/png") == "unparsable"


@pytest.mark.parametrize(
    ("data", "text", "n_warnings"),
    [
        (b"\xef\xbb\xbfa\r\nb\rc", "a\nb\nc", 0),
        ("Prüfung läuft".encode("utf-16"), "Prüfung läuft", 0),
        ("Prüfung läuft".encode("utf-16-le"), "Prüfung läuft", 1),
        ("Prüfung läuft".encode("utf-32"), "Prüfung läuft", 0),
        ("Prüfung läuft".encode("cp1252"), "Prüfung läuft", 1),
        ("Prüfung läuft über".encode() + b"\xff", "Prüfung läuft über\ufffd", 1),
    ],
)
def test_encodings_are_found_and_guesses_are_told(data, text, n_warnings):
    parsed = parse(document(data, "text/plain"))
    assert (parsed.text, len(parsed.warnings)) == (text, n_warnings)


def test_what_is_no_text_is_told_with_its_code():
    assert refusal(b"") == "empty"
    assert refusal(b" \n\t ") == "empty"
    assert refusal(b"\x7fELF\x01\x02" + bytes(range(32)) * 40) == "binary"
    assert refusal(b"\x81\x8d\x8f" * 10) == "encoding"
    assert refusal(b"a" * 20_000_001, "text/plain") == "too_large"
    assert refusal(b"\n" * 300_001 + b"a", "text/markdown") == "too_large"
    assert refusal(b"x", "application/x-unknown") == "unparsable"
    assert refusal(b"<script>1</script>", "text/html") == "empty"
    assert refusal(b"<div>" * 6000 + b"x", "text/html") == "bomb"
    assert refusal(b'a,b\n"' + b"x" * 200_000, "text/csv") == "unparsable"


def test_bytes_are_believed_before_names():
    assert media_type_of("a.md", b"%PDF-1.7") == "application/pdf"
    assert media_type_of("a", b"<!-- x -->\n<!DOCTYPE HTML><p>") == "text/html"
    assert media_type_of("a.webp"), media_type_of("a") == ("image/webp", "application/octet-stream")
    assert media_type_of("notes.txt", b"Plain\n\ntext") == "text/plain"
    assert parser_for("text/x-unheard-of; charset=utf-8").media_types == ("text/plain",)


def test_a_page_that_json_would_blow_up_is_told_as_a_bomb(monkeypatch):
    monkeypatch.setattr(records, "MOST_BYTES", 10_000)
    inner = json.dumps({"k" * 190: [[1]] * 200})
    assert refusal(inner, "application/json") == "bomb"


def test_the_fingerprint_of_all_parsers_stays():
    assert parsers_fingerprint() == parsers_fingerprint()
    assert len(parsers_fingerprint()) == 16


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a | b\n:-|-:\n1|2", "table"), ("| a | |\n|---|---|\n| 1 |", "table"), ("| a \\| b | c |\n|---|---|", "table"),
        ("|a|\n|-|", "table"), ("a\n-\n", "heading"), ("a | b\n---\n", "heading"), ("a | b\n|-|\n", "paragraph"), ("x\n- | -", "paragraph"),
    ],
)  # fmt: skip
def test_a_table_of_markdown_is_what_the_library_takes_for_one(text, form):
    library = MarkdownIt("commonmark").enable("table").parse(text)
    assert structure(text, "text/markdown")[0][0] == form
    assert library[0].type == f"{form}_open"
