"""Secrets, sessions and tries in one SQLite file, `people.db`, which its owner alone can read; several processes share it.

Opened by `surface.compose_people`. A `perdure people add` beside a running console writes here, and the console sees it at once.
What surprised us: SQLite's `-wal` companion takes its permissions from the file, so they are given before anything is written. And
projects that keep their stores in one folder share the file, though their people are not the same: names stand in it behind the project's.
"""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields, replace
from pathlib import Path
from threading import Lock
from typing import Any

from perdure.stores.sessions.protocols import Secret, SecretKind, Session
from perdure.stores.sessions.waiting import FORGET_US, N_FREE, wait_us
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import SqliteFormat, open_file, transaction

_MINUTE_US = 60_000_000
_SECRET = ", ".join(each.name for each in fields(Secret))
_SESSION = ", ".join(each.name for each in fields(Session))
_SCHEMA = (
    """CREATE TABLE secrets (
        id TEXT PRIMARY KEY, person TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,
        made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, label TEXT NOT NULL, used_us INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX secrets_of ON secrets (person, kind)",
    """CREATE TABLE sessions (
        digest TEXT PRIMARY KEY, person TEXT NOT NULL, csrf TEXT NOT NULL, began_us INTEGER NOT NULL,
        seen_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL,
        notice TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX sessions_of ON sessions (person)",
    "CREATE TABLE tries (name TEXT PRIMARY KEY, n INTEGER NOT NULL, last_us INTEGER NOT NULL) WITHOUT ROWID",
)
_FORMAT = SqliteFormat("secrets and sessions of people", 1, _SCHEMA, busy_s=2.0, private=True)


class SqlitePeople:
    """The file; `secrets`, `sessions` and `tries` are its roles. Safe to share between threads.

    Args:
        path: the file; it and its folders are made where missing, for its owner alone.
        project: whose people these are; those of another project in the same file are not seen.

    Raises:
        StoreError: the file cannot be opened, or is of another format.
        Corrupt: the file is no database.
    """

    def __init__(self, path: Path, project: str = "default") -> None:
        self._path = path
        self._before = f"{project}/"
        self._lock = Lock()
        with translated(path):
            self._connection = open_file(path, _FORMAT)
        self.secrets = SqliteSecrets(self)
        self.sessions = SqliteSessions(self)
        self.tries = SqliteTries(self)

    def close(self) -> None:
        """Close the file; what was written stays."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._lock, translated(self._path), transaction(self._connection) as db:
            yield db

    def kept(self, person: str) -> str:
        """A person's name as the file has it."""
        return self._before + person

    def named(self, kept: str) -> str | None:
        """The name of a person of this project; None for another project's."""
        return (
            kept[len(self._before) :]
            if kept.startswith(self._before) and "/" not in kept[len(self._before) :]
            else None
        )

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self._lock, translated(self._path):
            return self._connection.execute(query, values).fetchall()


class SqliteSecrets:
    """Digests of passwords, keys and invites."""

    __slots__ = ("_file",)

    def __init__(self, file: SqlitePeople) -> None:
        self._file = file

    def put(self, secret: Secret) -> None:
        """Keep it; a password takes the place of the person's, and ends all of the person's sessions in one transaction."""
        kept = replace(secret, person=self._file.kept(secret.person))
        with self._file.writing() as db:
            if secret.kind == "password":
                db.execute("DELETE FROM secrets WHERE person = ? AND kind = 'password'", (kept.person,))
                db.execute("DELETE FROM sessions WHERE person = ?", (kept.person,))
            db.execute(f"INSERT OR REPLACE INTO secrets ({_SECRET}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(kept))  # noqa: S608 - constants

    def find(self, kind: SecretKind, digest: str) -> Secret | None:
        """The key or invite with this digest."""
        found = self._read("digest = ? AND kind = ?", digest, kind)
        return found[0] if found else None

    def password(self, person: str) -> Secret | None:
        """The person's."""
        found = self._read("person = ? AND kind = 'password'", self._file.kept(person))
        return found[0] if found else None

    def take(self, secret_id: str, now_us: int) -> bool:
        """Use an invite: True for the first who asks, before it expires."""
        taken = """UPDATE secrets SET used_us = ? WHERE id = ? AND kind = 'invite' AND used_us = 0
            AND (expires_us = 0 OR expires_us > ?)"""
        with self._file.writing() as db:
            return db.execute(taken, (now_us, secret_id, now_us)).rowcount == 1

    def used(self, secret_id: str, now_us: int) -> None:
        """A key was used: `used_us` is written at most once a minute."""
        stale = "id = ? AND kind = 'key' AND used_us <= ?"
        if self._read(stale, secret_id, now_us - _MINUTE_US):
            with self._file.writing() as db:
                db.execute(f"UPDATE secrets SET used_us = ? WHERE {stale}", (now_us, secret_id, now_us - _MINUTE_US))  # noqa: S608 - constants

    def list(self, person: str) -> list[Secret]:
        """In the order in which they were made."""
        return self._read("person = ? ORDER BY made_us, id", self._file.kept(person))

    def drop(self, secret_id: str) -> bool:
        """Forget one; False where there was none."""
        with self._file.writing() as db:
            return db.execute("DELETE FROM secrets WHERE id = ?", (secret_id,)).rowcount == 1

    def _read(self, condition: str, *values: object) -> builtins.list[Secret]:
        rows = self._file.rows(f"SELECT {_SECRET} FROM secrets WHERE {condition}", values)  # noqa: S608 - constants
        read = [Secret(*row) for row in rows]
        return [replace(each, person=name) for each in read if (name := self._file.named(each.person)) is not None]


class SqliteSessions:
    """Browsers that have signed in."""

    __slots__ = ("_file",)

    def __init__(self, file: SqlitePeople) -> None:
        self._file = file

    def begin(self, session: Session) -> None:
        """Keep a new one."""
        kept = replace(session, person=self._file.kept(session.person))
        with self._file.writing() as db:
            db.execute(f"INSERT INTO sessions ({_SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(kept))  # noqa: S608 - constants

    def find(self, digest: str, now_us: int, idle_us: int) -> Session | None:
        """The session; None when it is over or was idle for longer. `seen_us` is written at most once a minute."""
        lives = "digest = ? AND expires_us > ? AND seen_us > ?"
        found = self._read(lives, digest, now_us, now_us - idle_us)
        if not found:
            return None
        if found[0].seen_us <= now_us - _MINUTE_US:
            with self._file.writing() as db:
                db.execute("UPDATE sessions SET seen_us = max(seen_us, ?) WHERE digest = ?", (now_us, digest))
            return replace(found[0], seen_us=now_us)
        return found[0]

    def note(self, digest: str, notice: str) -> None:
        """Leave a text for the next page."""
        with self._file.writing() as db:
            db.execute("UPDATE sessions SET notice = ? WHERE digest = ?", (notice, digest))

    def noted(self, digest: str) -> str:
        """Take the text that was left, once; empty without one. Writes only where there is one."""
        found = self._read("digest = ? AND notice != ''", digest)
        if not found:
            return ""
        with self._file.writing() as db:
            taken = db.execute(
                "UPDATE sessions SET notice = '' WHERE digest = ? AND notice = ?", (digest, found[0].notice)
            )
            return found[0].notice if taken.rowcount else ""

    def end(self, *, digest: str = "", person: str = "") -> int:
        """End one session, or all of a person; how many."""
        with self._file.writing() as db:
            ended = (digest, self._file.kept(person))
            return db.execute("DELETE FROM sessions WHERE digest = ? OR person = ?", ended).rowcount

    def list(self, person: str) -> list[Session]:
        """Those that were seen last first."""
        return self._read("person = ? ORDER BY seen_us DESC, digest", self._file.kept(person))

    def prune(self, now_us: int, idle_us: int) -> int:
        """Forget those that are over; how many."""
        with self._file.writing() as db:
            over = db.execute("DELETE FROM sessions WHERE expires_us <= ? OR seen_us <= ?", (now_us, now_us - idle_us))
            return over.rowcount

    def _read(self, condition: str, *values: object) -> builtins.list[Session]:
        rows = self._file.rows(f"SELECT {_SESSION} FROM sessions WHERE {condition}", values)  # noqa: S608 - constants
        read = [Session(*row) for row in rows]
        return [replace(each, person=name) for each in read if (name := self._file.named(each.person)) is not None]


class SqliteTries:
    """Failed tries to sign in, by name and by address."""

    __slots__ = ("_file",)

    def __init__(self, file: SqlitePeople) -> None:
        self._file = file

    def failed(self, names: Sequence[str], now_us: int) -> float:
        """Count one for each of `names`; seconds to wait from now."""
        with self._file.writing() as db:
            db.execute("DELETE FROM tries WHERE last_us <= ?", (now_us - FORGET_US,))
            for name in names:
                db.execute(
                    """INSERT INTO tries (name, n, last_us) VALUES (?, 1, ?)
                    ON CONFLICT (name) DO UPDATE SET n = n + 1, last_us = max(last_us, excluded.last_us)""",
                    (name, now_us),
                )
        return self.waits(names, now_us)

    def waits(self, names: Sequence[str], now_us: int) -> float:
        """Seconds to wait before the next try; 0: none."""
        marks = ", ".join("?" * len(names))
        rows = self._file.rows(f"SELECT n, last_us FROM tries WHERE name IN ({marks}) AND n >= {N_FREE}", names)  # noqa: S608 - constants
        return max((wait_us(n, last_us, now_us) for n, last_us in rows), default=0) / 1e6

    def clear(self, names: Sequence[str]) -> None:
        """Forget what was counted for them."""
        with self._file.writing() as db:
            db.executemany("DELETE FROM tries WHERE name = ?", [(name,) for name in names])
