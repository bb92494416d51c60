"""What the record says of a document as bytes: it comes back whole, no bit of it changes unseen, and nobody reads what is damaged."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.stores.vectors.protocols import Change, ChunkRow, DocumentRow, Query
from perdure.stores.vectors.recording import all_recorded, as_document, as_told, shown_of
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.testing.careless import careless

ROW = DocumentRow(
    "é.md", "t", "d", "text/plain", 2, "c", None, 7, 5, "Title", {"year": 7, "ok": True}, ["staff", "hr"], ""
)


def test_what_is_told_comes_back_whole():
    assert as_document(ROW.id, as_told(ROW)) == ROW
    everybody = msgspec.structs.replace(ROW, readers=None, metadata={}, changed_us=3, trouble="empty")
    assert as_document(ROW.id, as_told(everybody)) == everybody
    assert shown_of(ROW.id, as_told(ROW)) == (ROW.metadata, ROW.readers)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 8 * len(as_told(ROW)) - 1))
def test_whatever_bit_is_another_it_is_damaged_and_nobody_may_read_it(bit):
    """Alone, and among rows that are sound, which are told as if they stood alone."""
    told = bytearray(as_told(ROW))
    told[bit // 8] ^= 1 << bit % 8
    damaged = as_document(ROW.id, bytes(told))
    assert (damaged.id, damaged.damaged, damaged.readers) == (ROW.id, True, ())
    assert shown_of(ROW.id, bytes(told)) == ({}, ())
    other = msgspec.structs.replace(ROW, id="z.md")
    sound = all_recorded([("z.md", as_told(other))])["z.md"]
    found = all_recorded([(ROW.id, bytes(told)), ("z.md", as_told(other))])
    assert (found[ROW.id].damaged, found["z.md"]) == (True, sound)


@pytest.mark.parametrize("told", [None, 7, "text", b"", bytes(4), as_told(ROW)[:-1], as_told(ROW) + b"\x00"])
def test_what_was_never_told_is_damaged(told):
    assert as_document(ROW.id, told).damaged
    assert all_recorded([(ROW.id, told)])[ROW.id].damaged
    assert shown_of(ROW.id, told) == ({}, ())


@pytest.mark.parametrize(("id_", "name"), [("other.md", "other.md"), (b"\xff", "\\xff"), (7, "7")])
def test_what_was_told_of_another_document_is_damaged_and_told_under_the_name_that_stands_there(id_, name):
    assert as_document(id_, as_told(ROW)).id == name
    assert all_recorded([(id_, as_told(ROW))])[name].damaged
    assert shown_of(id_, as_told(ROW)) == ({}, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Another"},
        {"metadata": {"year": 8}},
        {"readers": None},
        {"readers": []},
        {"indexed_us": 8},
        {"first_us": 6},
    ],
)
def test_rows_that_differ_in_anything_differ_in_what_a_census_compares(changes):
    other = msgspec.structs.replace(ROW, **changes)
    assert all_recorded([(ROW.id, as_told(ROW))]) != all_recorded([(ROW.id, as_told(other))])


def test_a_damaged_row_is_found_by_nobody_who_asks_as_somebody(tmp_path):
    """A hand that lets everybody read has no checksum for it."""
    path = tmp_path / "index.db"
    row = DocumentRow("a.md", "t", "d", "text/plain", 1, "c", None, 1, 1, readers=["hr"])
    chunk = ChunkRow(0, "a.md", 0, 0, 5, "salary", "", "d", "text", b"", "e", "c")
    store = SqliteIndex(path)
    store.apply(Change(1, 1, "made", 0, [row], [chunk]))
    asked = Query(3, words="salary", groups=["hr"])
    assert len(store.search(asked)) == 1
    with careless(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE documents SET told = recorded(told, 'readers', x'c0')")
    connection.close()
    assert store.search(asked) == store.search(msgspec.structs.replace(asked, groups=["guests"])) == []
    store.close()
