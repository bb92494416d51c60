"""How runs lie in SQLite: tables, statements, and records as bytes. `stores.runs.sqlite` calls it.

A record is msgpack of its members that differ from their defaults, by name: members may be added later, and bytes of before are read.

What surprised us: rewriting a row costs by all its bytes. So a run's record lies apart from what changes at every claim, and its
journal is never counted in it: the entries of one write are one row, whose number holds the run's and the first entry's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from perdure.core.runs import RunRecord, RunStatus, StepRecord, Wait, WaitAnswer
from perdure.stores.runs.protocols import Told, Wanted
from perdure.stores.sqlite_files import SqliteFormat

NEVER = 2**62
"""An instant that does not come."""
MOST_ENTRIES = 2**20
"""Of one run's journal."""
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS runs (
        seq INTEGER PRIMARY KEY, project TEXT NOT NULL, id TEXT NOT NULL, asset TEXT NOT NULL, kind TEXT NOT NULL,
        team TEXT NOT NULL, parent TEXT NOT NULL, key TEXT NOT NULL, idempotency TEXT NOT NULL, replay INTEGER NOT NULL,
        status TEXT NOT NULL, worker TEXT NOT NULL, epoch INTEGER NOT NULL, ready_us INTEGER, ended_us INTEGER,
        deaths INTEGER NOT NULL DEFAULT 0, entries INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE UNIQUE INDEX IF NOT EXISTS runs_id ON runs (project, id)",
    "CREATE INDEX IF NOT EXISTS runs_asset ON runs (project, asset, id)",
    """CREATE UNIQUE INDEX IF NOT EXISTS runs_idempotency ON runs (project, asset, key, idempotency)
        WHERE idempotency <> ''""",
    "CREATE INDEX IF NOT EXISTS runs_ready ON runs (project, ready_us) WHERE ready_us IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS runs_ended ON runs (project, ended_us) WHERE ended_us IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS runs_parent ON runs (project, parent) WHERE parent <> ''",
    "CREATE TABLE IF NOT EXISTS records (run INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS journal (place INTEGER PRIMARY KEY, n INTEGER NOT NULL, entries BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS waits (
        seq INTEGER PRIMARY KEY, project TEXT NOT NULL, id TEXT NOT NULL, run INTEGER NOT NULL, open INTEGER NOT NULL,
        expires_us INTEGER NOT NULL, record BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX IF NOT EXISTS waits_id ON waits (project, id)",
    "CREATE INDEX IF NOT EXISTS waits_run ON waits (run, seq)",
)
FORMAT = SqliteFormat("runs", 1, _SCHEMA, private=True)

_DEFAULTS: dict[type, dict[str, Any]] = {
    kind: {
        each.name: each.default_factory() if callable(each.default_factory) else each.default
        for each in msgspec.structs.fields(kind)
        if not each.required
    }
    for kind in (RunRecord, StepRecord, Wait)
}
_encode = msgspec.msgpack.Encoder().encode
decode_run = msgspec.msgpack.Decoder(RunRecord).decode
decode_steps = msgspec.msgpack.Decoder(list[StepRecord]).decode
decode_wait = msgspec.msgpack.Decoder(Wait).decode


def encode_record(record: RunRecord | Wait) -> bytes:
    """A record without what is as usual."""
    return _encode(_told(record))


def encode_steps(steps: Iterable[StepRecord]) -> bytes:
    """Entries of a journal, together."""
    return _encode([_told(step) for step in steps])


def _told(record: RunRecord | StepRecord | Wait) -> dict[str, Any]:
    usual = _DEFAULTS[type(record)]
    return {
        name: value
        for name in record.__struct_fields__
        if (value := getattr(record, name)) != usual.get(name, msgspec.UNSET)
    }


def places(seq: int) -> tuple[int, int]:
    """The numbers `first <= place < end` of a run's rows in `journal`."""
    return seq * MOST_ENTRIES, (seq + 1) * MOST_ENTRIES


def n_written(connection: sqlite3.Connection, seq: int) -> int:
    """Entries of a run's journal."""
    query = "SELECT place + n FROM journal WHERE place >= ? AND place < ? ORDER BY place DESC LIMIT 1"
    row = connection.execute(query, places(seq)).fetchone()
    return 0 if row is None else int(row[0]) - places(seq)[0]


def deaths(connection: sqlite3.Connection, seq: int) -> tuple[int, int]:
    """Claims of a run that ran out one after the other without a new entry, the one that is taken now too; and its entries.

    What waits has no worker, nor has what was given back: that counts for nothing.
    """
    query = "SELECT worker, deaths, entries FROM runs WHERE seq = ?"
    worker, n_deaths, n_then = connection.execute(query, (seq,)).fetchone()
    if not worker:
        return n_deaths, n_then
    n_now = n_written(connection, seq)
    return (n_deaths + 1 if n_now == n_then else 1), n_now


def put_kept(connection: sqlite3.Connection, project: str, seq: int, kept: Told) -> None:
    """Entries and questions in place of what was written; a question that was answered meanwhile stays as it is."""
    connection.execute("DELETE FROM journal WHERE place >= ? AND place < ?", places(seq))
    if kept.steps:
        connection.execute(
            "INSERT INTO journal VALUES (?, ?, ?)", (places(seq)[0], len(kept.steps), encode_steps(kept.steps))
        )
    connection.executemany(
        "UPDATE waits SET record = ? WHERE project = ? AND id = ? AND run = ? AND open = ?",
        [(encode_record(each), project, each.id, seq, each.answer is None) for each in kept.waits],
    )


def ready_us(connection: sqlite3.Connection, seq: int) -> int:
    """From when on a run that waits can go on: its questions are answered or have expired, and the runs below it are over."""
    below = """SELECT EXISTS (SELECT 1 FROM runs JOIN runs AS below ON below.project = runs.project AND below.parent = runs.id
        AND below.parent <> '' AND below.ended_us IS NULL WHERE runs.seq = ?)"""
    if connection.execute(below, (seq,)).fetchone()[0]:
        return NEVER
    query = "SELECT max(CASE expires_us WHEN 0 THEN ? ELSE expires_us END) FROM waits WHERE run = ? AND open"
    return connection.execute(query, (NEVER, seq)).fetchone()[0] or 0


def wake(connection: sqlite3.Connection, seq: int) -> None:
    """Set anew when a run goes on, where it waits."""
    query = "UPDATE runs SET ready_us = ? WHERE seq = ? AND status = 'waiting' AND worker = ''"
    connection.execute(query, (ready_us(connection, seq), seq))


def put_waits(connection: sqlite3.Connection, project: str, seq: int, waits: Sequence[Wait]) -> None:
    """Questions as they are; one that has an answer stays as it is."""
    connection.executemany(
        """INSERT INTO waits (project, id, run, open, expires_us, record) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (project, id) DO UPDATE SET open = excluded.open, expires_us = excluded.expires_us,
        record = excluded.record WHERE waits.open AND waits.run = excluded.run""",
        [(project, each.id, seq, each.answer is None, each.expires_us, encode_record(each)) for each in waits],
    )


def expire(connection: sqlite3.Connection, seq: int, now_us: int) -> None:
    """Say no to questions of a run whose time is over, so that no later answer differs from what it goes on with."""
    query = "SELECT seq, record FROM waits WHERE run = ? AND open AND expires_us <> 0 AND expires_us <= ?"
    for at, record in connection.execute(query, (seq, now_us)).fetchall():
        close_wait(connection, at, too_late(decode_wait(record)))


def close_wait(connection: sqlite3.Connection, at: int, wait: Wait) -> None:
    """Keep a question with its answer."""
    connection.execute("UPDATE waits SET open = 0, record = ? WHERE seq = ?", (encode_record(wait), at))


def too_late(wait: Wait) -> Wait:
    """A question that nobody answered in time."""
    said = WaitAnswer(actor="perdure", approves=False, reason="Nobody answered in time.", at_us=wait.expires_us)
    return msgspec.structs.replace(wait, answer=said)


def query_runs(project: str, wanted: Wanted) -> tuple[str, list[Any]]:
    """Newest first; its columns are record and status."""
    given: list[tuple[str, Sequence[Any]]] = [("runs.project = ?", [project])]
    for column, value in (("asset", wanted.asset or None), ("team", wanted.team), ("parent", wanted.parent)):
        if value is not None:
            given.append((f"runs.{column} = ?", [value]))
    for column, values in (("kind", wanted.kinds), ("status", wanted.statuses)):
        if values:
            given.append((f"runs.{column} IN ({', '.join('?' * len(values))})", values))
    if wanted.replays is not None:
        given.append(("runs.replay = ?", [int(wanted.replays)]))
    if wanted.waiting:
        given.append(
            ("runs.ended_us IS NULL AND EXISTS (SELECT 1 FROM waits WHERE waits.run = runs.seq AND waits.open)", [])
        )
    if wanted.before:
        given.append(("runs.id < ?", [wanted.before]))
    where = " AND ".join(condition for condition, _ in given)
    query = f"""SELECT records.record, runs.status FROM runs JOIN records ON records.run = runs.seq
        WHERE {where} ORDER BY runs.id DESC LIMIT ?"""  # noqa: S608 - conditions are constants
    return query, [*(value for _, values in given for value in values), wanted.limit]


def run_of(record: bytes, status: RunStatus) -> RunRecord:
    """A run as it stands: who claims one that waited does not write it at once."""
    run = decode_run(record)
    return run if run.status == status else msgspec.structs.replace(run, status=status)
