"""The record of one version of an index in its SQLite file: generations and documents. The stores of chunks stand on it.

A generation exists when its row is committed: that is the one instant at which it becomes visible, wherever chunks are kept.

What surprised us: a transaction that only reads keeps its snapshot as long as it is open, so an iteration with a connection of its
own sees one generation whole, whatever is applied or pruned meanwhile; pages by key would not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import starmap
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

import msgspec

from perdure.core.errors import BadIndex, Conflict, Corrupt, NotFound, NotReady, Refused, StoreError
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import SqliteFormat, open_file, transaction
from perdure.stores.vectors.matching import holds, may_read
from perdure.stores.vectors.protocols import Change, Damage, DocumentRow, Generation, Query, RecordedRow
from perdure.stores.vectors.recording import all_recorded, as_document, as_told, name_of, shown_of
from perdure.stores.vectors.sqlite_damage import lives_damage, mend_lives

RECORD_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS generations (
        number INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, reason TEXT NOT NULL, n_documents INTEGER NOT NULL,
        n_chunks INTEGER NOT NULL, seen_us INTEGER NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS documents (
        revision INTEGER PRIMARY KEY, born INTEGER NOT NULL, died INTEGER NOT NULL DEFAULT 0, id TEXT NOT NULL, told BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS documents_by_id ON documents (id, born)",
    "CREATE UNIQUE INDEX IF NOT EXISTS documents_alive ON documents (id) WHERE died = 0",
    "CREATE INDEX IF NOT EXISTS documents_dead ON documents (died) WHERE died > 0",
)
ANEW = "They were written by another version of perdure: perdure index build NAME --anew, or install that version."
"""Vectors that are known are not made again then."""
ALIVE = "born <= :at AND (died = 0 OR died > :at)"
_READER_BUSY_S = 2.0
_AT_ONCE = 150
"""Rows of so many chunks lie in a processor's own memory: 2,000 at once take a fifth longer."""
_LOG_BYTES = 64_000_000
"""The log of a first generation is as large as the file; SQLite would keep that room for ever."""
_GENERATION = "SELECT number, at_us, reason, n_documents, n_chunks, seen_us FROM generations"
_NEWEST = f"{_GENERATION} ORDER BY number DESC LIMIT 1"
_DOCUMENTS = f"""
SELECT id, told FROM documents WHERE {ALIVE} AND (:last IS NULL OR id > :last) ORDER BY id
"""  # noqa: S608 - of our own words
_FOUND = f"""
SELECT id, told FROM documents WHERE {ALIVE} AND id IN (SELECT value FROM json_each(:ids))
"""  # noqa: S608
_SINCE = "SELECT id, told, max(revision) FROM documents WHERE born > :at GROUP BY id"
"""The last that the record says of each document that changed after a generation; columns beside `max` are of its row."""
_INSERT = "INSERT INTO documents (id, told, born) VALUES (?, ?, ?)"


class SqliteRecord:
    """Generations and documents in one file, with what a store of chunks adds to it.

    Reading and writing have a connection each, so that who reads never waits for a generation that is being written.

    Args:
        path: made where missing, unless it is only read.
        form: of the file, with `RECORD_SCHEMA` and the tables of the chunks.
        read_only: nothing is ever written; another process may write meanwhile.

    Raises:
        StoreError: the file cannot be opened, or is of another format.
        NotReady: it is only read, and somebody is making it just now.
    """

    def __init__(self, path: Path, form: SqliteFormat, *, read_only: bool = False) -> None:
        self.path = path
        self._form = form
        self._reads = Lock()
        self._writes = Lock()
        self._writer: sqlite3.Connection | None = None
        with translated(path):
            if not read_only:
                self._writer = open_file(path, form)
                self._writer.execute("PRAGMA synchronous = FULL")
                self._writer.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            try:
                self._reader = self._open_reader()
            except (sqlite3.Error, StoreError, NotReady):
                self.close_writer()
                raise

    @property
    def writable(self) -> bool:
        """Whether it was opened to be written."""
        return self._writer is not None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The shared connection of readers, one at a time, for what is quickly read."""
        with self._reads, translated(self.path):
            yield self._reader

    @contextmanager
    def snapshot(self, as_of: int = 0) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A connection of one's own that sees one state, and the generation that is meant. Cost: 0.2 ms.

        Raises:
            NotFound: that generation is not there.
        """
        with translated(self.path):
            own = self._open_reader()
            try:
                own.execute("BEGIN")
                yield own, self.resolve(own, as_of)
            finally:
                own.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writer's transaction: whole where the body ends, nothing where it raises.

        Raises:
            Refused: it was opened to be read.
            BadIndex: something that no file can keep.
        """
        if self._writer is None:
            raise Refused(f"{self.path} was opened to be read only.", hint="Write where it was opened to be written.")
        try:
            with self._writes, translated(self.path), transaction(self._writer) as connection:
                yield connection
        except (UnicodeEncodeError, OverflowError) as error:
            raise BadIndex(
                f"A document or chunk cannot be kept: {type(error).__name__}.",
                hint="It holds a lone surrogate, or a number of more than 64 bits.",
            ) from error

    def generation(self) -> Generation:
        """The newest."""
        with self.reading() as connection:
            return newest(connection)

    def generations(self) -> list[Generation]:
        """Those that can be asked, oldest first."""
        with self.reading() as connection:
            return [_as_generation(row) for row in connection.execute(f"{_GENERATION} ORDER BY number")]

    def resolve(self, connection: sqlite3.Connection, as_of: int) -> int:
        """Number of the generation that is meant.

        Raises:
            NotFound: it is not there.
        """
        if as_of == 0:
            return newest(connection).number
        if connection.execute("SELECT 1 FROM generations WHERE number = ?", (as_of,)).fetchone() is None:
            raise NotFound(
                f"{self.path} has no generation {as_of}: it was pruned, or never was.",
                hint="Ask for one of `generations()`, or begin anew with the newest.",
            )
        return as_of

    def documents(self, as_of: int = 0) -> Iterator[DocumentRow]:
        """Documents of a generation, by id."""
        with self.snapshot(as_of) as (connection, at):
            for rows in batches_of(connection, _DOCUMENTS, {"at": at}):
                yield from starmap(as_document, rows)

    def recorded(self, as_of: int = 0) -> dict[str, RecordedRow]:
        """Documents of a generation, as a census compares them."""
        found: dict[str, RecordedRow] = {}
        with self.snapshot(as_of) as (connection, at):
            for rows in batches_of(connection, _DOCUMENTS, {"at": at}):
                found.update(all_recorded(rows))
        return found

    def find_documents(self, ids: Sequence[str], as_of: int = 0) -> list[DocumentRow | None]:
        """Those documents of a generation, in order; None where it has none of that id.

        Raises:
            NotFound: that generation is not there.
        """
        with self.reading() as connection:
            facts = {"at": self.resolve(connection, as_of), "ids": json.dumps(list(ids))}
            found = {row[0]: as_document(*row) for row in connection.execute(_FOUND, facts)}
        return [found.get(id_) for id_ in ids]

    def findable(self, connection: sqlite3.Connection, query: Query, at: int) -> frozenset[str]:
        """Ids of the documents that filter and readers leave, those of later generations too. Cost: 2 µs a document."""
        rows = connection.execute(f"SELECT id, told FROM documents WHERE {ALIVE}", {"at": at})  # noqa: S608
        where, groups = query.where, query.groups
        if not where and groups is None:
            return frozenset(row[0] for row in rows)
        shown = ((id_, *shown_of(id_, told)) for id_, told in rows)
        found = frozenset(
            id_
            for id_, metadata, readers in shown
            if may_read(readers, groups) and (not where or holds(where, metadata))
        )
        if groups is None:
            return found
        # Who was let out since finds nothing in the past either, nor of what was deleted after that.
        since = connection.execute(_SINCE, {"at": at})
        return found - {id_ for id_, told, _ in since if not may_read(shown_of(id_, told)[1], groups)}

    def write_documents(self, connection: sqlite3.Connection, change: Change) -> int:
        """Documents of the next generation, within the writer's transaction; its number.

        Raises:
            Conflict: another generation was made meanwhile.
        """
        found = newest(connection).number
        if found != change.after:
            raise Conflict(
                f"{self.path} is at generation {found}, and the change was made from {change.after}.",
                hint="Compare anew with the newest generation.",
            )
        number = found + 1
        bury = "UPDATE documents SET died = ? WHERE id = ? AND died = 0"
        connection.executemany(bury, [(number, each.id) for each in change.documents])
        unknown = {id_ for id_ in change.dead_documents if not connection.execute(bury, (number, id_)).rowcount}
        if unknown:
            _bury_nameless(connection, number, unknown)
        latest = {each.id: each for each in change.documents}
        connection.executemany(_INSERT, [(each.id, as_told(each), number) for each in latest.values()])
        return number

    def damage(self, connection: sqlite3.Connection) -> Iterator[Damage]:
        """Documents that live in generations that are not there."""
        return lives_damage(connection, "documents")

    def mend(self, connection: sqlite3.Connection) -> None:
        """Set their lives right, within the writer's transaction."""
        mend_lives(connection, "documents")

    def finish(self, connection: sqlite3.Connection, change: Change, number: int, n_chunks: int) -> Generation:
        """The generation's own row: with its commit it is there."""
        [n_documents] = connection.execute("SELECT count(*) FROM documents WHERE died = 0").fetchone()
        made = Generation(number, change.at_us, change.reason, n_documents, n_chunks, change.seen_us)
        connection.execute("INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(made))
        return made

    def forget(self, connection: sqlite3.Connection, before: int) -> int:
        """Generations and dead documents before one, within the writer's transaction; the one that is the oldest then."""
        oldest = min(before, newest(connection).number)
        connection.execute("DELETE FROM generations WHERE number < ?", (oldest,))
        connection.execute("DELETE FROM documents WHERE died > 0 AND died <= ?", (oldest,))
        return oldest

    def close(self) -> None:
        """Close the file."""
        with self._reads:
            self._reader.close()
        self.close_writer()

    def close_writer(self) -> None:
        """Write no more."""
        with self._writes:
            if self._writer is not None:
                self._writer.close()

    def _open_reader(self) -> sqlite3.Connection:
        address = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        reader = sqlite3.connect(
            address, uri=True, timeout=_READER_BUSY_S, isolation_level=None, check_same_thread=False
        )
        # Bytes that are no text any more are read as what they are: who compares checksums sees them.
        reader.text_factory = _text
        try:
            self._check_format(reader)
        except (sqlite3.Error, StoreError, NotReady):
            reader.close()
            raise
        return reader

    def _check_format(self, reader: sqlite3.Connection) -> None:
        found = reader.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            raise NotReady(f"{self.path} is being made.", hint="Try again in a second.")
        if found != self._form.number:
            raise StoreError(
                f"The {self._form.holds} in {self.path} have format {found}, but {self._form.number} was expected.",
                hint=self._form.otherwise,
            )


def batches_of(
    connection: sqlite3.Connection, query: str, facts: Mapping[str, object]
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a query in some thousands at once, on a connection of one's own.

    Text is read the quick way until some of it is none: from there on as it stands. Cost: 2 µs a row less than the careful way.

    Args:
        connection: of `snapshot`.
        query: ordered by its first column, and with `:last`: only rows after it, all where it is NULL.
        facts: the other parameters.
    """
    last = None
    connection.text_factory = str
    try:
        reading = connection.execute(query, {**facts, "last": last})
        while rows := reading.fetchmany(_AT_ONCE):
            yield rows
            last = rows[-1][0]
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    else:
        return
    connection.text_factory = _text
    reading = connection.execute(query, {**facts, "last": last})
    while rows := reading.fetchmany(_AT_ONCE):
        yield rows


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def newest(connection: sqlite3.Connection) -> Generation:
    """The newest generation; 0 where none was written."""
    row: tuple[Any, ...] | None = connection.execute(_NEWEST).fetchone()
    return _as_generation(row) if row else Generation(0, 0)


def _as_generation(row: tuple[Any, ...]) -> Generation:
    if tuple(map(type, row)) != (int, int, str, int, int, int):
        raise Corrupt("A generation of the index is not what was written.", hint="Build the index anew.")
    return Generation(*row)


def _bury_nameless(connection: sqlite3.Connection, number: int, names: AbstractSet[str]) -> None:
    """Rows whose ids are no text any more, by the names that they are told under."""
    rows = connection.execute("SELECT revision, CAST(id AS BLOB) FROM documents WHERE died = 0").fetchall()
    told = [(number, revision) for revision, id_ in rows if name_of(id_) in names]
    connection.executemany("UPDATE documents SET died = ? WHERE revision = ?", told)
