"""Rows of a SQL query as documents, through SQLAlchemy: SQLite by itself, PostgreSQL with the extra `postgres`.

The query is asked as it is, as a subselect: for ids and tokens alone where a listing needs no more, and for those rows that are read.
What surprised us: SQLite makes an empty database of a mistyped path, which looks like a source whose documents were all deleted; so
it is opened to be read only. And a driver's error may repeat the address that it was given: what is told is scrubbed of it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, Subquery, column, create_engine, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from perdure.assets.documents import SqlRows
from perdure.core.clock import monotonic_s
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import BadIndex, MissingExtra, StoreError
from perdure.stores.documents.files import vanished
from perdure.stores.documents.polling import Due
from perdure.stores.documents.rows import Row, RowsAsDocuments, key_of

_AT_ONCE = 500
_FETCH = 2_000
_EVERY_S = 1.0
_ANSWERS_S = 10


class SqlDocuments:
    """The rows of a query. Safe to use from several threads.

    Args:
        declared: the query and its columns.
        root: of the project, which a SQLite file's path is relative to.
        environment: where `url_env` is looked up.

    Raises:
        BadIndex: the address is none, or its variable is not set.
        MissingExtra: the driver of PostgreSQL is not installed.
    """

    def __init__(self, declared: SqlRows, root: Path, environment: Mapping[str, str]) -> None:
        self._rows = RowsAsDocuments(declared)
        self._id = declared.id
        self._url = _address(declared, environment)
        self._engine = _engine(self._url, root)
        self._query = _subselect(declared.query, self._rows.columns)
        self._due = Due(_EVERY_S)
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every row, by id. Cost: the query's; 2 µs CPU a row with a token, else its digest's.

        Raises:
            StoreError: the database does not answer, or not to the end, or the query lacks a column.
        """
        began_s = monotonic_s()
        with self._connected() as connection:
            found = list(self._rows.refs(self._streamed(connection, self._rows.listed)))
        self._due.took(monotonic_s() - began_s)
        yield from found

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """The rows as they are now, some hundred a query.

        Raises: StoreError, as `list`.
        """
        for begin in range(0, len(refs), _AT_ONCE):
            part = refs[begin : begin + _AT_ONCE]
            found = self._found([ref.id for ref in part])
            for ref in part:
                yield self._rows.document(found[ref.id]) if ref.id in found else vanished(ref.id)

    def wait(self, seconds: float) -> bool:
        """A database tells nobody of its changes: it may have changed once a second, more seldom where a listing takes long."""
        return self._due.wait(seconds)

    def close(self) -> None:
        """Let the connections go."""
        self._due.close()
        self._engine.dispose()

    def _found(self, ids: Sequence[str]) -> Mapping[str, Sequence[Row]]:
        found = defaultdict(list)
        with self._connected() as connection:
            keys = self._native(connection, ids)
            asked = select(*self._columns(self._rows.columns)).where(self._query.c[self._id].in_(keys))
            for row in connection.execute(asked).mappings():
                found[key_of(row[self._id])].append(dict(row))
        return found

    def _native(self, connection: Connection, ids: Sequence[str]) -> Sequence[Any]:
        """Ids as the database has them, a number where it is one: those of the last listing, else of one made for them."""
        with self._lock:
            keys = self._keys
        if any(id_ not in keys for id_ in ids):
            for _ in self._streamed(connection, [self._id]):
                pass
            with self._lock:
                keys = self._keys
        return [keys[id_] for id_ in ids if id_ in keys]

    def _streamed(self, connection: Connection, columns: Sequence[str]) -> Iterator[Row]:
        keys: dict[str, Any] = {}
        for row in connection.execute(select(*self._columns(columns))).mappings():
            keys[key_of(row[self._id])] = row[self._id]
            yield dict(row)
        with self._lock:
            self._keys = keys

    def _columns(self, names: Sequence[str]) -> Sequence[Any]:
        return [self._query.c[name] for name in names]

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection.execution_options(stream_results=True, max_row_buffer=_FETCH)
        except SQLAlchemyError as error:
            raise self._failed(error) from None

    def _failed(self, error: SQLAlchemyError) -> StoreError:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        why = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        for secret in (self._url.password, self._url.render_as_string(hide_password=False)):
            why = why.replace(str(secret), "…") if secret else why
        return StoreError(
            f"The rows of {self._shown()} cannot be read: {why}.",
            hint="Is the database up, and has the query every column that SqlRows names?",
        )

    def _shown(self) -> str:
        return str(self._url.database if self._url.host is None else f"{self._url.host}/{self._url.database}")


def _address(declared: SqlRows, environment: Mapping[str, str]) -> URL:
    told = declared.url or environment.get(declared.url_env, "")
    if not told:
        raise BadIndex(
            f"SqlRows takes its address from {declared.url_env}, which is not set.",
            hint=f"Set {declared.url_env} in the environment of whatever builds the index.",
        )
    try:
        return make_url(told)
    except ArgumentError:
        where = f"The variable {declared.url_env} holds" if declared.url_env else "SqlRows has"
        raise BadIndex(
            f"{where} no address of a database.", hint="Such as postgresql+psycopg://user:password@host/database."
        ) from None


def _engine(url: URL, root: Path) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            path = root / (url.database or "")
            return create_engine(
                "sqlite://", creator=partial(_open_sqlite, path), hide_parameters=True, poolclass=NullPool
            )
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 2, "hide_parameters": True}
        if url.get_backend_name() == "postgresql":
            options["connect_args"] = {"connect_timeout": _ANSWERS_S}
        return create_engine(url, **options)
    except NoSuchModuleError:
        raise BadIndex(
            f"{url.drivername!r} is no database that SQLAlchemy knows.", hint="Such as postgresql+psycopg, or sqlite."
        ) from None
    except ImportError as error:
        if url.get_backend_name() == "postgresql":
            raise MissingExtra("postgres", needed_for="Reading documents from PostgreSQL") from error
        raise BadIndex(
            f"The driver of {url.drivername!r} is not installed: {error.name}.", hint=f"Run: pip install {error.name}"
        ) from error


def _open_sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.text_factory = lambda told: told.decode(errors="surrogateescape")
    return connection


def _subselect(query: str, columns: Sequence[str]) -> Subquery:
    """Colons of the query are its own: none is a parameter's."""
    told = text(query.strip().rstrip(";").replace(":", "\\:"))
    return told.columns(*(column(name) for name in columns)).subquery("perdure_rows")
