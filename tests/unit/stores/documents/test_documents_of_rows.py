"""Rows of SQL and of tables as documents: their ids, tokens, instants and groups, and errors without secrets."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from perdure.assets.documents import SqlRows, TableRows
from perdure.core.clock import machine_now
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import BadIndex, StoreError
from perdure.stores.documents.rows import RowsAsDocuments
from perdure.stores.documents.sql import SqlDocuments
from perdure.stores.documents.tables import TableDocuments
from perdure.stores.sqlite_files import transaction


@pytest.fixture
def database(tmp_path: Path):
    """A SQLite file."""
    connection = sqlite3.connect(tmp_path / "pages.db", isolation_level=None)
    connection.execute("pragma synchronous=off")
    connection.execute("create table pages (id integer, at text, title text, body, lang text, price real, who text)")
    yield connection
    connection.close()


def rows_of(root: Path, query: str = "select * from pages", **members) -> SqlDocuments:
    """Documents of it."""
    told = {"id": "id", "text": "body", "url": "sqlite:///pages.db", **members}
    return SqlDocuments(SqlRows(query, **told), root, {})


def codes(found) -> list[tuple[str, str]]:
    return [(each.id, each.code if isinstance(each, Trouble) else "ok") for each in found]


def test_a_row_becomes_a_document(database, tmp_path):
    """Its id is text, whatever the column is; NULL in the metadata is left out."""
    database.execute("insert into pages values (7, '2024-01-01', 'Refunds', 'within 30 days', 'en', null, 'staff, hr')")
    database.execute("insert into pages values (10, '2024-01-02', null, x'89504e', 'de', 2.5, null)")
    documents = rows_of(
        tmp_path, title="title", metadata=["lang", "price"], readers="who", changed="at", media_type="text/markdown"
    )
    listed = list(documents.list())
    assert [each.id for each in listed] == ["10", "7"]
    picture, text = documents.read(listed)
    assert isinstance(text, RawDocument)
    assert isinstance(picture, RawDocument)
    assert (text.data, text.metadata, text.readers) == (
        b"within 30 days",
        {"lang": "en", "title": "Refunds"},
        ("staff", "hr"),
    )
    assert (picture.data, picture.metadata, picture.readers) == (b"\x89PNG"[:3], {"lang": "de", "price": 2.5}, None)
    assert text.ref == listed[1]
    assert text.ref.changed_us == int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1e6)


def test_ids_are_read_without_a_listing_before(database, tmp_path):
    """As who knows them from a record does; 1,001 of them too."""
    with transaction(database):
        database.executemany("insert into pages (id, body) values (?, ?)", [(i, str(i)) for i in range(1_001)])
    asked = [DocumentRef(str(i), "t") for i in range(1_001)]
    assert [raw.data for raw in rows_of(tmp_path).read(asked)] == [str(i).encode() for i in range(1_001)]


def test_two_rows_of_one_id_are_told_and_one_without_an_id_too(database, tmp_path):
    """Always the same row counts, whatever order they come in."""
    for body in ("b", "a"):
        database.execute("insert into pages (id, body, at) values (1, ?, ?)", (body, body))
    database.execute("insert into pages (body) values ('lost')")
    database.execute("insert into pages (id, body, at) values (2, 'c', 'c')")
    documents = rows_of(tmp_path, token="at")
    assert codes(documents.list()) == [("", "unreadable"), ("1", "ok"), ("1", "twice"), ("2", "ok")]
    [ref] = [each for each in documents.list() if isinstance(each, DocumentRef) and each.id == "1"]
    assert [(raw.data, raw.ref.token) for raw in documents.read([ref])] == [(b"a", "a")]


def test_a_token_that_says_nothing_or_is_of_just_now_is_used_once():
    """Two changes within a second have one instant."""
    now = machine_now()
    rows = RowsAsDocuments(SqlRows("q", id="id", text="body", url="u", token="at"))

    def tokens(at):
        return [next(rows.refs([{"id": 1, "at": at}])).token for _ in range(2)]

    for at in (None, now, now.replace(tzinfo=None)):
        first, again = tokens(at)
        assert first != again
    for at in (now - timedelta(seconds=10), now.date() - timedelta(days=1), 7, "v7", b"\x07"):
        first, again = tokens(at)
        assert first == again


def test_colons_and_percents_of_a_query_are_its_own(database, tmp_path):
    database.execute("insert into pages (id, body) values (1, 'a :b ::c %s')")
    documents = rows_of(
        tmp_path, "select id, body, 5 % 3 as m from pages where body like '%:b ::c \\%s' escape '\\';  "
    )
    assert [raw.data for raw in documents.read(list(documents.list()))] == [b"a :b ::c %s"]


def test_text_in_a_broken_encoding_is_read_as_its_bytes(database, tmp_path):
    """The row is told later, by whoever parses it, and not the whole table now."""
    database.execute("insert into pages (id, body) values (1, cast(x'ff41' as text)), (2, 'b')")
    documents = rows_of(tmp_path)
    assert [raw.data for raw in documents.read(list(documents.list()))] == [b"\xffA", b"b"]


def test_a_row_that_is_too_large_is_told(database, tmp_path, monkeypatch):
    monkeypatch.setattr("perdure.stores.documents.rows.MOST_BYTES", 3)
    database.execute("insert into pages (id, body) values (1, 'long'), (2, 'b')")
    documents = rows_of(tmp_path)
    assert codes(each if isinstance(each, Trouble) else each.ref for each in documents.read(list(documents.list()))) == [
        ("1", "too_large"), ("2", "ok"),
    ]  # fmt: skip


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    """An empty one would look like a source whose documents were all deleted."""
    with pytest.raises(StoreError, match="cannot be read"):
        list(rows_of(tmp_path).list())
    assert list(tmp_path.iterdir()) == []


def test_a_query_without_a_column_is_told(database, tmp_path):
    with pytest.raises(StoreError, match="no such column"):
        list(rows_of(tmp_path, text="story").list())


def test_a_database_that_fails_half_way_is_a_failure_of_the_source(database, tmp_path):
    """What was listed until then is no listing."""
    with transaction(database):
        database.executemany("insert into pages (id, body) values (?, ?)", [(i, "x") for i in range(5_000)])
    query = "select id, case when id = 4999 then json('no json') else body end as body from pages"
    with pytest.raises(StoreError, match="malformed JSON"):
        next(iter(rows_of(tmp_path, query).list()))


def test_no_secret_is_told():
    """Neither in messages and hints, nor in what they were raised from."""
    address = "postgresql+psycopg://user:s3cr3tpw@127.0.0.1:1/none"
    documents = SqlDocuments(
        SqlRows("select 1 as id, 'x' as body", id="id", text="body", url_env="PAGES"), Path(), {"PAGES": address}
    )
    with pytest.raises(StoreError, match=r"127\.0\.0\.1/none") as failed:
        list(documents.list())
    assert "s3cr3tpw" not in f"{failed.value!r} {failed.value} {failed.value.__cause__!r} {failed.value.facts}"
    for told in ("no address s3cr3tpw", "s3cr3tpw://x/y", ""):
        with pytest.raises(BadIndex) as refused:
            SqlDocuments(SqlRows("select 1", id="id", text="body", url_env="PAGES"), Path(), {"PAGES": told})
        assert ("s3cr3tpw" in str(refused.value)) == told.startswith("s3cr3tpw")


def test_waiting_for_rows_says_that_they_may_have_changed_once_a_second(database, tmp_path):
    """And more seldom where a listing takes long."""
    documents = rows_of(tmp_path)
    assert documents.wait(0.0)
    assert not documents.wait(0.2)
    assert documents.wait(2.0)
    documents._due.took(60.0)
    assert not documents.wait(1.2)


def test_tables_with_whole_numbers_for_ids_and_instants_for_tokens(tmp_path):
    at = datetime(2024, 1, 1, tzinfo=UTC)
    pl.DataFrame({"id": [3, 12], "body": ["a", "b"], "at": [at, at], "who": [["staff"], None]}).write_delta(
        str(tmp_path / "t")
    )
    documents = TableDocuments(TableRows("t", id="id", text="body", token="at", readers="who"), tmp_path)
    listed = list(documents.list())
    assert [(each.id, each.token) for each in listed] == [("12", at.isoformat()), ("3", at.isoformat())]
    found = list(documents.read([*listed, DocumentRef("no number", "t"), DocumentRef("99", "t")]))
    assert [each.readers if isinstance(each, RawDocument) else each.code for each in found] == [
        None, ("staff",), "vanished", "vanished",
    ]  # fmt: skip


def test_a_table_of_other_ids_or_without_a_column_is_told(tmp_path):
    pl.DataFrame({"id": [1.5], "body": ["a"]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadIndex, match="ids are texts or whole numbers"):
        list(TableDocuments(TableRows("t.parquet", id="id", text="body"), tmp_path).list())
    for columns in ({"id": "key", "text": "body"}, {"id": "body", "text": "story"}):
        with pytest.raises(StoreError, match="cannot be read"):
            list(TableDocuments(TableRows("t.parquet", **columns), tmp_path).list())


def test_a_table_that_lost_a_file_does_not_answer(tmp_path):
    """A part of its rows is no listing."""
    for name in "ab":
        pl.DataFrame({"id": [name], "body": [name]}).write_delta(str(tmp_path / "t"), mode="append")
    next((tmp_path / "t").glob("*.parquet")).unlink()
    with pytest.raises(StoreError):
        list(TableDocuments(TableRows("t", id="id", text="body"), tmp_path).list())


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    for name in "ab":
        pl.DataFrame({"id": [name], "body": [name]}).write_parquet(tmp_path / f"{name}.parquet")
    documents = TableDocuments(TableRows("", id="id", text="body"), tmp_path)
    assert [each.id for each in documents.list()] == ["a", "b"]
