"""Every source of documents passes the suite: folders, repositories, SQL, tables, pushed documents, functions."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from perdure.assets.documents import Folder, GitFiles, Iterated, Pushed, SqlRows, TableRows
from perdure.core.documents import DocumentRef, RawDocument
from perdure.core.errors import StoreError
from perdure.stores.documents.opening import open_documents
from perdure.stores.documents.protocols import Documents
from perdure.stores.documents.pushed import PushedDocuments
from perdure.testing.conformance.documents import PNG, DocumentsConformance, DocumentsWorld, read, refs


class World:
    """A source below a folder, opened as it is declared."""

    noticed_s = 0.4

    def __init__(self, root: Path, declared: object) -> None:
        self.root = root
        self.documents: Documents = open_documents(declared, root, pushed=root / "pushed.db", environment={})  # type: ignore[arg-type]

    def put(self, documents: dict[str, bytes]) -> None:
        raise AssertionError

    def delete(self, id_: str) -> None:
        raise AssertionError

    def fail(self) -> None:
        """What the source is in is gone."""
        (self.root / "source").rename(self.root / "gone")


class FolderWorld(World):
    """Files."""

    def __init__(self, root: Path) -> None:
        (root / "source").mkdir()
        super().__init__(root, Folder("source"))

    def put(self, documents: dict[str, bytes]) -> None:
        """Write them in place, as an editor may."""
        for id_, data in documents.items():
            path = self.root / "source" / id_
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def delete(self, id_: str) -> None:
        """Delete its file."""
        (self.root / "source" / id_).unlink()


class GitWorld(World):
    """Commits on a branch of a bare repository, made without a work tree."""

    def __init__(self, root: Path) -> None:
        self._there: dict[str, bytes] = {}
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(root / "source")], check=True)
        super().__init__(root, GitFiles("source", ref="main"))
        self._commit()

    def put(self, documents: dict[str, bytes]) -> None:
        """Commit them."""
        self._there |= documents
        self._commit()

    def delete(self, id_: str) -> None:
        """Commit its deletion."""
        del self._there[id_]
        self._commit()

    def _commit(self) -> None:
        told = b"commit refs/heads/main\ncommitter a <a@example.org> 1700000000 +0000\ndata 0\ndeleteall\n"
        for id_, data in self._there.items():
            told += f"M 100644 inline {id_}\n".encode() + b"data %d\n" % len(data) + data + b"\n"
        importing = ["git", "-C", str(self.root / "source"), "fast-import", "--quiet", "--force"]
        subprocess.run(importing, input=told, check=True, capture_output=True)


class SqlWorld(World):
    """Rows of a SQLite file; without a column of tokens rows are digested."""

    noticed_s = 2.5

    def __init__(self, root: Path, token: str = "") -> None:
        (root / "source").mkdir()
        self._file = sqlite3.connect(root / "source" / "rows.db", isolation_level=None, check_same_thread=False)
        self._file.execute("pragma synchronous=off")
        self._file.execute("create table pages (id text, version integer, body blob)")
        query = "select id, version, body from pages where id <> ':none';"
        super().__init__(root, SqlRows(query, id="id", text="body", token=token, url="sqlite:///source/rows.db"))

    def put(self, documents: dict[str, bytes]) -> None:
        """Each with a version that no row had before."""
        self._file.execute("begin")
        for id_, data in documents.items():
            newest = self._file.execute("select coalesce(max(version), 0) from pages").fetchone()[0]
            self._file.execute("delete from pages where id = ?", (id_,))
            self._file.execute("insert into pages values (?, ?, ?)", (id_, newest + 1, data))
        self._file.execute("commit")

    def delete(self, id_: str) -> None:
        """Delete its row."""
        self._file.execute("delete from pages where id = ?", (id_,))


class TableWorld(World):
    """Rows of a Delta table, or of a Parquet file."""

    noticed_s = 0.8
    path = "source"

    def __init__(self, root: Path) -> None:
        self._rows: dict[str, bytes] = {}
        (root / "source").mkdir()
        super().__init__(root, TableRows(self.path, id="id", text="body"))
        self._write()

    def put(self, documents: dict[str, bytes]) -> None:
        """Write the table anew."""
        self._rows |= documents
        self._write()

    def delete(self, id_: str) -> None:
        """Write the table without it."""
        del self._rows[id_]
        self._write()

    def frame(self) -> pl.DataFrame:
        """All rows."""
        columns = {"id": list(self._rows), "body": list(self._rows.values())}
        return pl.DataFrame(columns, schema={"id": pl.String, "body": pl.Binary})

    def _write(self) -> None:
        self.frame().write_delta(str(self.root / "source"), mode="overwrite")


class ParquetWorld(TableWorld):
    """One file, replaced at once."""

    path = "source/*.parquet"

    def _write(self) -> None:
        self.frame().write_parquet(self.root / "new")
        (self.root / "new").rename(self.root / "source" / "rows.parquet")


class PushedWorld(World):
    """Documents that another opening of the same file pushes."""

    noticed_s = 0.3

    def __init__(self, root: Path) -> None:
        (root / "source").mkdir()
        self.documents = PushedDocuments(root / "source" / "pushed.db")
        self.root = root
        self._hook = PushedDocuments(root / "source" / "pushed.db")

    def put(self, documents: dict[str, bytes]) -> None:
        """Push them."""
        self._hook.put([RawDocument(DocumentRef(id_, ""), data, "text/markdown") for id_, data in documents.items()])

    def delete(self, id_: str) -> None:
        """Push its deletion."""
        assert self._hook.delete([id_]) == [id_]


class IteratedWorld(World):
    """A function's documents, given in the order in which they were made."""

    noticed_s = 1.0

    def __init__(self, root: Path) -> None:
        self._there: dict[str, bytes] = {}
        self._failed = False
        super().__init__(root, Iterated(self._given, check_s=0.2))

    def _given(self) -> Sequence[RawDocument]:
        if self._failed:
            raise TimeoutError
        return [RawDocument(DocumentRef(id_, ""), data, "text/markdown") for id_, data in self._there.items()]

    def put(self, documents: dict[str, bytes]) -> None:
        """Give them from now on."""
        self._there = {**self._there, **documents}

    def delete(self, id_: str) -> None:
        """Give it no more."""
        self._there = {each: data for each, data in self._there.items() if each != id_}

    def fail(self) -> None:
        """The function raises."""
        self._failed = True


class TestFolder(DocumentsConformance):
    """Files below a folder."""

    @pytest.fixture
    def world(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DocumentsWorld:
        """An empty folder; the times of this file system are fine enough to be trusted sooner."""
        monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 200_000)
        return FolderWorld(tmp_path)

    def test_pictures_are_told_by_their_media_type(self, world: DocumentsWorld) -> None:
        """So that who cuts documents knows what to do with them."""
        world.put({"a.md": b"a", "folder/b.png": PNG})
        text, picture = read(world, refs(world))
        assert (text.media_type, picture.media_type, picture.data) == ("text/markdown", "image/png", PNG)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
class TestGit(DocumentsConformance):
    """Files of a repository at a branch."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> DocumentsWorld:
        """A branch without files."""
        return GitWorld(tmp_path)


class TestSql(DocumentsConformance):
    """Rows of a query with a column that changes with them."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> DocumentsWorld:
        """An empty table."""
        return SqlWorld(tmp_path, token="version")


class TestSqlDigested(DocumentsConformance):
    """Rows of a query without such a column."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> DocumentsWorld:
        """An empty table."""
        return SqlWorld(tmp_path)


class TestDelta(DocumentsConformance):
    """Rows of a Delta table."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> DocumentsWorld:
        """An empty table."""
        return TableWorld(tmp_path)


class TestParquet(DocumentsConformance):
    """Rows of a Parquet file."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> DocumentsWorld:
        """A file without rows."""
        return ParquetWorld(tmp_path)


class TestPushed(DocumentsConformance):
    """Documents that are pushed."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> DocumentsWorld:
        """A file without documents."""
        return PushedWorld(tmp_path)


class TestIterated(DocumentsConformance):
    """Documents of a function."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> DocumentsWorld:
        """A function that gives none."""
        return IteratedWorld(tmp_path)


def test_what_is_declared_as_pushed_is_opened_where_it_is_told_to_be(tmp_path: Path) -> None:
    """The file is made, for its owner alone."""
    documents = open_documents(Pushed(), tmp_path, pushed=tmp_path / "in" / "pushed.db", environment={})
    assert list(documents.list()) == []
    assert (tmp_path / "in" / "pushed.db").stat().st_mode & 0o077 == 0
    documents.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """By our error."""
    (tmp_path / "pushed.db").write_bytes(b"no database at all, but some text")
    with pytest.raises(StoreError):
        open_documents(Pushed(), tmp_path, pushed=tmp_path / "pushed.db", environment={})
