"""Results of evals in a SQLite file of their own: write-ahead log, NORMAL sync.

A power cut may take the last second, which is asked again; a killed process loses nothing that a `put` returned from. Written by
`loop.work.evals`, read by `surface`. Answers lie in it as they were given, so it deserves the care that captured calls get.

What surprised us: a row of SQLite costs 5 µs of CPU whatever it holds, as much as all the rest of a case. So a batch of a run is
one row, and `list_run` lets the later of two equal cases stand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import msgspec

from perdure.core.errors import Corrupt
from perdure.stores.results.protocols import RunRow
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import SqliteFormat, open_file, transaction

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS batches (
        id INTEGER PRIMARY KEY, project TEXT NOT NULL, run TEXT NOT NULL, rows BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS batches_run ON batches (project, run, id)",
)
_FORMAT = SqliteFormat("results", 1, _SCHEMA, private=True)
_AT_ONCE = 500
"""Keys of one query: SQLite takes 999 variables in its oldest versions."""
_PUT = "INSERT OR IGNORE INTO {} (key, body) VALUES (?, ?)"
_REPLACE = "INSERT INTO answers (key, body) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body"
_LIST = "SELECT rows FROM batches WHERE project = ? AND run = ? ORDER BY id"
_FORGET_SCORES = "DELETE FROM scores WHERE key > ? || ':' AND key < ? || ';'"
"""The character after `:` is `;`: all that begins with an answer's key and a colon."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[RunRow]).decode


class SqliteResults:
    """Results of one project; safe to use from several threads and processes.

    Cost: 6 µs an answer or score that is put, 3 µs one that is found, 1 µs a row of a run.

    Args:
        path: the file; it and its folders are made where missing, for its owner alone.
        project: whose runs are seen; answers and scores go by content, whoever asked.

    Raises:
        StoreError: the file cannot be opened, or is of another format.
        Corrupt: the file is no database.
    """

    def __init__(self, path: Path, *, project: str = "default") -> None:
        self._path = path
        self._project = project
        self._lock = Lock()
        with translated(path):
            self._connection = open_file(path, _FORMAT)

    def find_answers(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those that are known, of any number of keys."""
        return self._find("answers", keys)

    def put_answers(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep answers, all or none; of one key the first stands.

        Raises:
            Conflict: another writer held the file for longer than 10 s.
            StoreFull: no room left; none was kept.
        """
        with self._writing() as connection:
            connection.executemany(_PUT.format("answers"), rows)

    def replace_answers(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep answers in the place of those of their keys, all or none; of one key the last stands.

        Raises: as `put_answers`.
        """
        with self._writing() as connection:
            self._forget_scores(connection, [key for key, _ in rows])
            connection.executemany(_REPLACE, rows)

    def find_scores(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those that are known, of any number of keys."""
        return self._find("scores", keys)

    def put_scores(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep scores, all or none; of one key the first stands.

        Raises: as `put_answers`.
        """
        with self._writing() as connection:
            connection.executemany(_PUT.format("scores"), rows)

    def put_run(self, run: str, rows: Sequence[RunRow]) -> None:
        """Add rows to a run, all or none; a row of the same case, sample and subject replaces the former.

        Raises: as `put_answers`.
        """
        if not rows:
            return
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO batches (project, run, rows) VALUES (?, ?, ?)", (self._project, run, _encode(rows))
            )

    def list_run(self, run: str) -> Iterator[RunRow]:
        """Its rows in the order of cases as they were first put, then subjects and samples.

        Raises:
            Corrupt: what is kept of it cannot be read.
        """
        with self._reading() as connection:
            batches = connection.execute(_LIST, (self._project, run)).fetchall()
        cases: dict[str, dict[tuple[str, int], RunRow]] = {}
        try:
            for (rows,) in batches:
                for row in _decode(rows):
                    cases.setdefault(row.case, {})[row.subject, row.sample] = row
        except msgspec.MsgspecError as error:
            raise Corrupt(f"Rows of the run {run!r} in {self._path} cannot be read: {error}.") from error
        for found in cases.values():
            yield from (row for _, row in sorted(found.items(), key=lambda each: each[0]))

    def forget(self, answers: Sequence[str]) -> int:
        """Drop answers by key with the scores of them; how many answers."""
        with self._writing() as connection:
            gone = connection.executemany("DELETE FROM answers WHERE key = ?", [(key,) for key in answers]).rowcount
            self._forget_scores(connection, answers)
        return max(0, gone)

    def close(self) -> None:
        """Close the file; what was put stays."""
        with self._lock:
            self._connection.close()

    @staticmethod
    def _forget_scores(connection: sqlite3.Connection, answers: Sequence[str]) -> None:
        """Most projects keep none: without a judge that is asked there is nothing to look for, answer by answer."""
        if connection.execute("SELECT EXISTS (SELECT 1 FROM scores)").fetchone()[0]:
            connection.executemany(_FORGET_SCORES, [(key, key) for key in answers])

    def _find(self, table: str, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        with self._reading() as connection:
            for begin in range(0, len(keys), _AT_ONCE):
                part = keys[begin : begin + _AT_ONCE]
                marks = ", ".join("?" * len(part))
                query = f"SELECT key, body FROM {table} WHERE key IN ({marks})"  # noqa: S608 - one of two names
                found.update(connection.execute(query, tuple(part)))
        return found

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection, transaction(connection):
            yield connection
