"""What an index in SQLite says of files that are not its own, of a full disk, and of who reads while it is made."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from perdure.core.errors import BadIndex, Conflict, Corrupt, NotReady, StoreError, StoreFull
from perdure.stores.vectors.opening import open_index
from perdure.stores.vectors.protocols import ChunkRow, Query, checksum_of
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.testing.careless import careless
from perdure.testing.conformance.index_world import a_chunk, places, put, standing, step


@pytest.fixture
def path(tmp_path):
    return tmp_path / "indexes" / "handbook" / "3f9a.db"


def by_hand(path, statement, *facts):
    connection = careless(sqlite3.connect(path))
    with connection:
        connection.execute(statement, facts)
    connection.close()


def test_a_file_of_another_format_is_refused_by_readers_and_writers(path):
    SqliteIndex(path).close()
    by_hand(path, "PRAGMA user_version = 99")
    for read_only in (False, True):
        with pytest.raises(StoreError, match="format 99"):
            SqliteIndex(path, read_only=read_only)


def test_a_file_of_the_format_before_is_told_with_what_mends_it(path):
    """Its records have no checksums; once it was opened, and failed at the first question with `no such column`."""
    SqliteIndex(path).close()
    by_hand(path, "ALTER TABLE documents DROP COLUMN told")
    by_hand(path, "PRAGMA user_version = 1")
    for read_only in (False, True):
        with pytest.raises(StoreError, match="format 1") as refused:
            SqliteIndex(path, read_only=read_only)
        assert "perdure index build NAME --anew" in refused.value.hint


def test_a_file_that_is_no_database_is_corrupt(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all" * 100)
    for read_only in (False, True):
        with pytest.raises(Corrupt):
            SqliteIndex(path, read_only=read_only)


def test_who_only_reads_makes_no_file(path):
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteIndex(path, read_only=True)
    assert not path.parent.exists()


def test_what_documents_say_is_for_the_owner_of_the_file_alone(path):
    index = SqliteIndex(path)
    step(index)
    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}
    index.close()


def test_who_only_reads_can_look_for_damage(path):
    index = SqliteIndex(path)
    step(index)
    by_hand(path, "DELETE FROM words WHERE rowid = 5")
    reader = SqliteIndex(path, read_only=True)
    assert [(each.kind, each.part, each.key) for each in reader.damage(deep=True)] == [("missing", "words", 5)]
    reader.close()
    index.mend()
    assert index.damage(deep=True) == []
    index.close()


def test_a_file_that_is_being_made_is_not_ready(path):
    path.parent.mkdir(parents=True)
    by_hand(path, "PRAGMA journal_mode = WAL")
    with pytest.raises(NotReady):
        SqliteIndex(path, read_only=True)


def test_a_full_disk_leaves_the_old_generation_whole(path):
    index = SqliteIndex(path)
    step(index)
    writer = index._record._writer
    n_pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {n_pages + 4}")
    with pytest.raises(StoreFull):
        put(index, *(a_chunk("big", "word " * 1000, i) for i in range(50)))
    assert index.generation().number == 1
    assert places(index) == standing(1)
    writer.execute("PRAGMA max_page_count = 1000000")
    step(index)
    assert places(index) == standing(2)
    index.close()


def test_readers_never_wait_for_a_generation_that_is_being_written(path):
    index, reader = SqliteIndex(path), SqliteIndex(path, read_only=True)
    step(index)
    with index._record.writing() as connection:
        connection.execute("UPDATE chunks SET died = 2")
        connection.execute("DELETE FROM documents")
        for each in (index, reader):
            assert places(each) == standing(1)
            assert len(list(each.documents())) == 23
            assert len(each.search(Query(5, words="stands"))) == 5
    index.close()
    reader.close()


def test_a_writer_that_holds_the_file_for_too_long_is_a_conflict(path, monkeypatch):
    index = SqliteIndex(path)
    other = sqlite3.connect(path, isolation_level=None)
    index._record._writer.execute("PRAGMA busy_timeout = 20")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Conflict):
        step(index)
    other.execute("ROLLBACK")
    other.close()
    assert step(index).number == 1
    index.close()


def test_rows_that_were_damaged_come_as_they_stand(path):
    index = SqliteIndex(path)
    put(index, a_chunk("a", "one"), a_chunk("b", "two"), a_chunk("c", "three"))
    by_hand(path, "UPDATE chunks SET packed = changed(packed, 'text', 'other') WHERE document = 'a'")
    by_hand(path, "UPDATE chunks SET packed = changed(packed, 'vector', x'00ff') WHERE document = 'b'")
    by_hand(path, "DELETE FROM chunks WHERE document = 'c'")
    rows = list(index.chunks())
    assert [(row.document, row.checksum == checksum_of(row)) for row in rows] == [("a", False), ("b", False)]
    assert index.fetch([1, 2, 3]) == [*rows, None]
    assert [hit.key for hit in index.search(Query(5, rows[0].vector))] == [1]
    assert [hit.key for hit in index.search(Query(5, words="one two three"))] == [1, 2]
    index.close()


@pytest.mark.parametrize(
    "member",
    [
        "document",
        "position",
        "start",
        "end",
        "text",
        "context",
        "digest",
        "form",
        "vector",
        "embedder",
        "chunker",
        "parent",
        "data",
    ],
)
def test_a_checksum_tells_of_each_member_of_a_chunk(member):
    row = a_chunk("a", "text", context="context", parent=(0, 9), data=b"data")
    value = getattr(row, member)
    other = {str: f"{value}!", int: 77, bytes: b"\x01" * 64, tuple: (0, 8)}[type(value)]
    assert checksum_of(row) != checksum_of(msgspec.structs.replace(row, **{member: other}))


def test_text_that_moves_from_context_to_text_is_another_checksum():
    one = ChunkRow(0, "a", 0, 0, 2, "bc", "a", "d", "text", b"", "e", "c")
    assert checksum_of(one) != checksum_of(msgspec.structs.replace(one, text="c", context="ab"))


@pytest.mark.parametrize("store", ["lancedb:", "redis:x", "lancedb"])
def test_an_unknown_store_is_refused(path, store):
    with pytest.raises(BadIndex):
        open_index(path, store)
