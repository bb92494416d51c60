"""What rows of another tool's index tell of themselves, against documents as they are now."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from perdure.engines.retrieval.foreign_census import KINDS, ForeignLook
from perdure.engines.retrieval.foreign_naming import ROW_ID, guess
from perdure.engines.retrieval.foreign_words import DocumentText, folded, words

RETURNS = "# Returns\n\nA parcel goes back within **30 days** of its arrival.\n\n" + "Whoever sends it pays. " * 12
TAXES = "# Taxes\n\nThe rate is 19 %, of books 7 %."


def vector(seed: int, n: int = 8) -> bytes:
    told = np.random.default_rng(seed).standard_normal(n)
    return (told / np.linalg.norm(told)).astype("<f4").tobytes()


@dataclass
class Row:
    id: str
    text: str | None
    metadata: dict = field(default_factory=dict)
    vector: bytes = b""
    trouble: str = ""

    def __post_init__(self):
        self.vector = self.vector or vector(sum(map(ord, self.id)))


def look_at(rows, documents, **options):
    documents = {id_: DocumentText(text) for id_, text in documents.items()}
    naming = guess([(row.id, row.metadata) for row in rows], documents, options.pop("member", ""))
    look = ForeignLook(documents, options.pop("troubles", {}), naming, 8, **options)
    look.add(rows)
    return look


def found(rows, documents, **options):
    return [(skew.kind, skew.document, skew.row) for skew in look_at(rows, documents, **options).finish()]


def whole(source="source"):
    return [
        Row("1", RETURNS, {source: "/srv/kb/guide/returns.md"}),
        Row("2", "The rate is 19 %, of books 7 %.", {source: "/srv/kb/taxes.md"}),
    ]


DOCUMENTS = {"guide/returns.md": RETURNS, "taxes.md": TAXES}


def test_rows_that_stand_in_their_documents_are_no_findings():
    look = look_at(whole(), DOCUMENTS)
    assert (look.finish(), look.notes(), look.naming.member) == ([], [], "source")


def test_folded_space_and_lost_marks_are_the_same_text():
    row = Row("1", "Returns A parcel goes back within 30 days\nof its arrival. " + "Whoever sends it pays. " * 12, {"source": "guide/returns.md"})  # fmt: skip
    look = look_at([row, whole()[1]], DOCUMENTS)
    assert look.finish() == []
    assert look.notes() == ["1 rows have the words of their documents and other marks: they count as they are."]


@pytest.mark.parametrize(
    "text", ["A parcel goes back within 14 days of its arrival.", "The rate is 16 %, of books 7 %."]
)
def test_a_changed_figure_is_stale_and_how_much_still_stands_is_told(text):
    name = "guide/returns.md" if "parcel" in text else "taxes.md"
    look = look_at([Row("9", text, {"source": f"/srv/kb/{name}"}), *whole()], DOCUMENTS)
    [skew] = look.finish()
    assert (skew.kind, skew.document, skew.row) == ("stale", name, "9")
    assert "% of it still does" in skew.why


def test_a_document_without_rows_is_missing_and_one_whose_paragraph_is_in_no_row_too():
    rows = [
        Row("1", "# Returns\n\nA parcel goes back within **30 days** of its arrival.", {"source": "guide/returns.md"})
    ]
    assert found(rows, DOCUMENTS) == [("missing", "guide/returns.md", ""), ("missing", "taxes.md", "")]


def test_an_emptied_document_makes_its_rows_stale_and_is_itself_not_missing():
    assert found(whole(), {**DOCUMENTS, "taxes.md": "", "new.md": " "}) == [("stale", "taxes.md", "2")]


def test_rows_of_a_document_that_is_gone_are_ghosts_but_not_where_the_source_is_not_whole():
    rows = [*whole(), Row("3", "Old words.", {"source": "/srv/kb/old.md"})]
    assert found(rows, DOCUMENTS) == [("ghost", "old.md", "3")]
    assert found(rows, DOCUMENTS, whole=False) == []


def test_nothing_is_said_of_rows_of_another_source_but_that_they_are_there():
    look = look_at([*whole(), Row("3", "Words.", {"source": "https://elsewhere.example/README.md"})], DOCUMENTS)
    assert look.finish() == []
    assert look.notes() == ["1 rows name documents of another source: nothing is said of them."]


def test_nothing_is_said_of_rows_of_documents_that_cannot_be_read():
    rows = [
        *whole(),
        Row("3", "Words.", {"source": "/srv/kb/scan.pdf"}),
        Row("4", "W.", {"source": "/srv/kb/locked/a.md"}),
    ]
    assert found(rows, DOCUMENTS, troubles={"scan.pdf": "encrypted", "locked": "unreadable"}) == []


def test_a_text_is_a_duplicate_only_where_its_document_says_it_less_often():
    twice = [Row(id_, "The rate is 19 %, of books 7 %.", {"source": "taxes.md"}) for id_ in "ab"]
    assert found(twice, {"taxes.md": TAXES}) == [("duplicate", "taxes.md", "b")]
    assert found(twice, {"taxes.md": f"{TAXES}\n\n{TAXES}"}) == []


def test_rows_without_text_or_document_are_orphans():
    rows = [*whole(), Row("3", None, {"source": "/srv/kb/taxes.md"}), Row("4", "Words.", {})]
    assert found(rows, DOCUMENTS) == [("orphan", "", "4"), ("orphan", "taxes.md", "3")]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (np.full(8, np.nan, "<f4").tobytes(), "not finite"),
        (np.zeros(8, "<f4").tobytes(), "zero"),
        (vector(1, 7), "7 dimensions, not 8"),
        ((np.frombuffer(vector(1), "<f4") * 3).tobytes(), "length 3"),
    ],
)
def test_a_vector_that_is_none_is_corrupt(broken, why):
    rows = [Row(str(i), "The rate is 19 %, of books 7 %.", {"source": "taxes.md"}) for i in range(20)]
    rows[4].vector = broken
    skews = [skew for skew in look_at(rows, {"taxes.md": f"{TAXES}\n" * 20}).finish() if skew.kind == "corrupt"]
    assert [skew.row for skew in skews] == ["4"]
    assert why in skews[0].why


def test_vectors_of_any_length_are_right_where_most_are_of_other_lengths():
    rows = [Row(str(i), "The rate is 19 %, of books 7 %.", {"source": "taxes.md"}) for i in range(4)]
    for i, row in enumerate(rows):
        row.vector = (np.frombuffer(row.vector, "<f4") * (i + 1)).tobytes()
    assert found(rows, {"taxes.md": f"{TAXES}\n" * 4}) == []


def test_one_vector_for_all_texts_is_told():
    rows = whole()
    rows[1].vector = rows[0].vector
    assert look_at(rows, DOCUMENTS).notes() == ["1 rows share their vector with a row of another text: look at what embedded them."]  # fmt: skip


def test_where_most_rows_look_stale_and_mostly_stand_another_parser_is_named():
    text = "one two three four five six seven eight nine ten eleven twelve"
    rows = [Row(str(i), f"{text} {i}", {"source": "a.md"}) for i in range(5)]
    assert "rather another parser" in look_at(rows, {"a.md": text}).notes()[0]


def test_a_row_is_unreachable_where_neither_it_nor_its_like_is_found_by_its_vector():
    look = look_at(whole(), DOCUMENTS)
    ids = [row.id for row in look.sample]
    assert look.unreachable([[id_] for id_ in ids]) == []
    assert [skew.row for skew in look.unreachable([["7", "8"], [ids[1]]])] == [ids[0]]
    look.sample[1].vector = look.sample[0].vector
    assert look.unreachable([[ids[1]], [ids[0]]]) == []


def test_every_kind_is_counted():
    assert len(set(KINDS)) == 7


# ---------------------------------------------------------------------------------------------------- naming


def test_the_member_whose_values_name_most_documents_is_taken():
    rows = [("1", {"title": "taxes.md", "loc": "/a/guide/returns.md"}), ("2", {"title": "Taxes", "loc": "/a/taxes.md"})]
    naming = guess(rows, DOCUMENTS)
    assert (naming.member, naming.before) == ("loc", frozenset({"/a/"}))


def test_the_rows_own_ids_name_documents_where_nothing_else_does():
    naming = guess([("guide/returns.md#0", {}), ("taxes.md::1", {"page": 3})], DOCUMENTS)
    assert naming.member == ROW_ID
    assert [naming.of(id_, {}, DOCUMENTS) for id_ in ("guide/returns.md#7", "old.md#1")] == [
        "guide/returns.md",
        "old.md",
    ]


def test_bare_file_names_name_documents_where_only_one_has_each():
    documents = {"a/x.md": 0, "b/x.md": 0, "a/y.md": 0, "b/z.md": 0}
    naming = guess([("1", {"file_name": "y.md"}), ("2", {"file_name": "z.md"})], documents)
    assert [naming.of("", {"file_name": name}, documents) for name in ("y.md", "gone.md")] == ["a/y.md", "gone.md"]


def test_windows_paths_and_dots_are_the_same_names():
    rows = [("1", {"source": r".\guide\returns.md"}), ("2", {"source": "./taxes.md"})]
    naming = guess(rows, DOCUMENTS)
    assert [naming.of(id_, metadata, DOCUMENTS) for id_, metadata in rows] == ["guide/returns.md", "taxes.md"]


def test_a_member_that_a_person_named_is_taken_though_it_names_no_document_of_the_source():
    naming = guess([("1", {"topic": "x"})], DOCUMENTS, "topic")
    assert naming.of("1", {"topic": "x"}, DOCUMENTS) == "x"
    assert guess([("1", {"topic": "x"})], DOCUMENTS) is None


def test_a_file_of_another_place_with_a_name_of_this_one_is_of_another_source():
    rows = [(str(i), {"source": "/srv/kb/taxes.md"}) for i in range(40)]
    naming = guess([*rows, ("x", {"source": "/other/taxes.md"})], DOCUMENTS)
    assert naming.of("x", {"source": "/other/taxes.md"}, DOCUMENTS) == ""


def test_one_letter_has_one_form():
    assert folded("Pru\u0308fung\n  ja") == "Prüfung ja"
    assert words("Pru\u0308fung, ja!") == " Prüfung ja "
