"""PDFs are read by a process of their own: pages, headings by the table of contents, and every way in which one can be foul."""

from __future__ import annotations

import zlib

import pytest

from perdure.core.documents import DocumentRef, RawDocument
from perdure.engines.retrieval.parsing import pdf
from perdure.engines.retrieval.parsing.registry import parse
from perdure.engines.retrieval.protocols import Unparsable

pytest.importorskip("pypdfium2")


def stream(content, extra=b""):
    return b"<< /Length %d %s>>\nstream\n%s\nendstream" % (len(content), extra, content)


def written(objects, trailer=b""):
    """A PDF of numbered objects; the first is its catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, rows)
    return out + b"trailer\n<< /Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, start)


def shown(lines):
    return b"BT /F 12 Tf 72 720 Td 14 TL " + b" ".join(b"(%s) Tj T*" % line for line in lines) + b" ET"


def paged(*contents, catalogue=b"", more=(), trailer=b""):
    """A PDF with a page for each content stream; objects: catalogue, pages, font, then page and content of each, then `more`."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R %s>>" % catalogue,
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, each in enumerate(contents):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F 3 0 R >> >> >>"
            % (5 + 2 * number)
        )
        objects.append(each)
    return written([*objects, *more], trailer)


def parsed(data):
    return parse(RawDocument(DocumentRef("a.pdf", "1"), data, "application/pdf"))


def refusal(data):
    with pytest.raises(Unparsable) as told:
        parsed(data)
    return told.value.code


def test_lines_are_put_together_to_paragraphs_below_the_headings_of_the_contents():
    lines = [
        b"Returns",
        b"Goods can be sent back within thirty days",
        b"of their arrival.",
        b"Nothing else is needed for it, but a bill.",
    ]
    pages = [stream(shown([*lines, b"Page 1", b"1"])), stream(shown([b"The second page has words, too.", b"2"]))]
    outline = [
        b"<< /Type /Outlines /First 9 0 R /Last 9 0 R /Count 1 >>",
        b"<< /Title (Returns) /Parent 8 0 R /Dest [4 0 R /Fit] >>",
        b"<< /Title (The handbook) >>",
    ]
    read = parsed(paged(*pages, catalogue=b"/Outlines 8 0 R ", more=outline, trailer=b"/Info 10 0 R "))
    assert (read.title, read.metadata) == ("The handbook", {"pages": 2})
    assert [(block.form, block.level, read.text[block.start : block.end]) for block in read.blocks] == [
        ("heading", 1, "Returns"),
        ("paragraph", 0, "Goods can be sent back within thirty days of their arrival."),
        ("paragraph", 0, "Nothing else is needed for it, but a bill. Page 1"),
        ("paragraph", 0, "The second page has words, too."),
    ]


def test_a_page_that_is_a_picture_is_told():
    read = parsed(paged(stream(shown([b"Words."])), stream(b"0 0 m 10 10 l S")))
    assert read.warnings == ("1 pages of it hold no text",)
    assert refusal(paged(stream(b"0 0 m 10 10 l S"))) == "empty"


def test_a_locked_pdf_is_encrypted():
    locked = b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <%s> /U <%s> >>" % (b"41" * 32, b"42" * 32)
    data = paged(stream(shown([b"secret"])), more=[locked], trailer=b"/Encrypt 6 0 R /ID [<00><00>] ")
    assert refusal(data) == "encrypted"


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"%PDF-1.7\n" + bytes(range(256)) * 20, b"no pdf"])
def test_a_broken_pdf_is_unparsable(data):
    assert refusal(data) == "unparsable"


def test_a_pdf_without_bytes_is_empty():
    assert refusal(b"") == "empty"


def test_a_page_that_takes_long_is_a_bomb(monkeypatch):
    monkeypatch.setattr(pdf, "MOST_SECONDS", 1)
    words = zlib.compress(shown([b"many words of a bomb"]) * 400_000)
    assert refusal(paged(stream(words, b"/Filter /FlateDecode "))) == "bomb"


def test_a_page_that_takes_much_memory_is_a_bomb_or_shows_nothing(monkeypatch):
    monkeypatch.setattr(pdf, "MOST_MEGABYTES", 300)
    nothing = zlib.compress(b" " * 200_000_000)
    assert refusal(paged(stream(nothing, b"/Filter /FlateDecode "))) in ("bomb", "empty", "unparsable")


def test_too_many_pages_are_a_bomb(monkeypatch):
    monkeypatch.setattr(pdf, "MOST_PAGES", 1)
    assert refusal(paged(stream(shown([b"a"])), stream(shown([b"b"])))) == "bomb"


def test_without_its_library_a_pdf_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pdf, "find_spec", lambda name: None)
    with pytest.raises(Unparsable, match=r"pip install 'perdure\[documents\]'"):
        parsed(b"%PDF-1.7")
