"""Rows of a real PostgreSQL pass the suite of sources of documents."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa

from perdure.assets.documents import SqlRows
from perdure.core.documents import RawDocument
from perdure.core.errors import StoreError
from perdure.stores.documents.sql import SqlDocuments
from perdure.testing.conformance.documents import DocumentsConformance, DocumentsWorld

pytest.importorskip("psycopg", reason="The extra `postgres` is not installed.")

_QUIET = "-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off -k"


def _absent(why: str) -> NoReturn:
    """In CI what is not tested is a failure: nobody reads there what was skipped."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of its own, reached by a socket of the file system. It refuses to run for root, and takes another user there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))])
    initdb, pg_ctl = shutil.which("initdb", path=path), shutil.which("pg_ctl", path=path)
    if initdb is None or pg_ctl is None:
        _absent("No PostgreSQL here. On Debian and Ubuntu: sudo apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        done = subprocess.run(command, user=user, cwd=folder, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        if done.returncode:
            _absent(f"{Path(command[0]).name} failed: PostgreSQL cannot be started here.")

    run(initdb, "-D", str(folder / "data"), "-U", "perdure", "-A", "trust", "--no-sync", "-E", "UTF8")
    run(pg_ctl, "-D", str(folder / "data"), "-o", f"{_QUIET} {folder}", "-l", str(folder / "log"), "-w", "start")
    yield f"postgresql+psycopg://perdure@/postgres?host={folder}"
    run(pg_ctl, "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def pages(address: str) -> Iterator[sa.Engine]:
    """An empty table."""
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("drop table if exists pages"))
        connection.execute(
            sa.text(
                "create table pages (id text primary key, at timestamptz default clock_timestamp(), body bytea, n numeric)"
            )
        )
    yield engine
    engine.dispose()


class PostgresWorld:
    """Rows with the instant of their change."""

    noticed_s = 2.5

    def __init__(self, address: str, pages: sa.Engine) -> None:
        self._pages = pages
        query = "select id, at, body from pages where at > '2000-01-01 00:00:00'::timestamptz"
        self.documents = SqlDocuments(SqlRows(query, id="id", text="body", token="at", url=address), Path(), {})

    def put(self, documents: dict[str, bytes]) -> None:
        """In one transaction."""
        rows = [{"id": id_, "body": data} for id_, data in documents.items()]
        asked = (
            "insert into pages values (:id, default, :body) on conflict (id) do update set at = default, body = :body"
        )
        with self._pages.connect() as connection:
            connection.execute(sa.text(asked), rows)

    def delete(self, id_: str) -> None:
        """Delete its row."""
        with self._pages.connect() as connection:
            connection.execute(sa.text("delete from pages where id = :id"), {"id": id_})

    def fail(self) -> None:
        """The table is gone."""
        with self._pages.connect() as connection:
            connection.execute(sa.text("drop table pages"))


class TestPostgres(DocumentsConformance):
    """Rows of a query."""

    @pytest.fixture
    def world(self, address: str, pages: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> DocumentsWorld:
        """An empty table; its clock is fine enough to be trusted sooner."""
        monkeypatch.setattr("perdure.stores.documents.rows._RACY_US", 200_000)
        return PostgresWorld(address, pages)


def test_numbers_and_ids_of_other_types_are_asked_for_as_such(address: str, pages: sa.Engine) -> None:
    """A UUID is no text to PostgreSQL; a numeric becomes a number."""
    id_ = "00000000-0000-0000-0000-00000000000a"
    with pages.connect() as connection:
        connection.execute(sa.text("insert into pages values (:id, default, 'x', 2.5)"), {"id": id_})
    query = "select cast(id as uuid) as id, convert_from(body, 'UTF8') as body, n, 5 % 3 as two from pages"
    documents = SqlDocuments(SqlRows(query, id="id", text="body", metadata=["n", "two"], url=address), Path(), {})
    [ref] = documents.list()
    [raw] = documents.read([ref])
    assert isinstance(raw, RawDocument)
    assert (raw.ref.id, raw.data, raw.metadata) == (id_, b"x", {"n": 2.5, "two": 2})
    documents.close()


def test_a_failure_in_the_midst_of_the_rows_is_a_failure_of_the_source(address: str, pages: sa.Engine) -> None:
    """Rows come as they are asked for: what came before it is no listing."""
    query = "select i as id, 1 / (i - 9000) as body from generate_series(1, 10000) as i"
    documents = SqlDocuments(SqlRows(query, id="id", text="body", url=address), Path(), {})
    with pytest.raises(StoreError, match="division by zero"):
        next(iter(documents.list()))
    documents.close()


def test_a_server_that_comes_back_is_asked_again(address: str, pages: sa.Engine) -> None:
    """A connection that was cut while nobody used it is made anew."""
    documents = SqlDocuments(SqlRows("select id, body from pages", id="id", text="body", url=address), Path(), {})
    assert list(documents.list()) == []
    with pages.connect() as connection:
        connection.execute(
            sa.text("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        )
    assert list(documents.list()) == []
    documents.close()
