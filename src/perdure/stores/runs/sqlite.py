"""Runs in a SQLite file of their own, which the processes of one machine share: write-ahead log, one transaction for many runs.

Written by `serve.runs`, answered by `surface`, pruned by `loop.upkeep`.

What is durable: a killed process loses nothing that returned. Against a power cut, what tells of effects is on the disk when `write`
returns: entries that are begun, wait or are unknown, entries with an idempotency key, questions, and with them all that was written
before. The rest of the last second may go with the power: it is asked again, and does nothing twice. So are answers of people and
runs under a caller's idempotency key durable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import msgspec

from perdure.core.errors import Conflict, Corrupt, LostLease, NotFound
from perdure.core.runs import ENDED, Claim, RunRecord, RunStatus, Wait, WaitAnswer
from perdure.stores.runs import sqlite_rows as rows
from perdure.stores.runs.protocols import Progress, Told, Wanted
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import open_file, transaction

_OF_EFFECTS = frozenset({"begun", "waiting", "unknown"})
_FIND = "SELECT seq FROM runs WHERE project = ? AND id = ?"
_OVER = _FIND + " AND ended_us IS NOT NULL"
_ENDED = "SELECT seq FROM runs WHERE seq = ? AND ended_us IS NOT NULL"
_HELD = _FIND + " AND epoch = ? AND worker = ?"
_KNOWN = """SELECT records.record, runs.status FROM runs JOIN records ON records.run = runs.seq
    WHERE project = ? AND asset = ? AND key = ? AND idempotency = ? AND idempotency <> ''"""
_BEGIN = """INSERT OR IGNORE INTO runs (project, id, asset, kind, team, parent, key, idempotency, replay, status, worker, epoch,
    ready_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"""
_CLAIM = """UPDATE runs SET epoch = epoch + 1, worker = ?, ready_us = ?, status = 'running', deaths = ?, entries = ?
    WHERE seq = ? RETURNING id, epoch"""
_RENEW = "UPDATE runs SET ready_us = ? WHERE project = ? AND id = ? AND epoch = ? AND worker = ?"
_LET_GO = "UPDATE runs SET ready_us = ?, worker = '' WHERE project = ? AND id = ? AND epoch = ? AND worker = ?"
_STATE = "UPDATE runs SET status = ?, ended_us = ?, ready_us = ?, worker = '', deaths = 0 WHERE seq = ?"
_OLD = """SELECT seq FROM runs WHERE project = ? AND ended_us < ? AND NOT EXISTS (SELECT 1 FROM runs AS above
    WHERE above.project = runs.project AND above.id = runs.parent AND above.ended_us IS NULL) ORDER BY ended_us LIMIT ?"""


class SqliteRuns:
    """Runs of one project; safe to use from several threads and processes.

    Cost: 37 µs of CPU a step of 3 kB where 20 runs are written together, effects or not; alone 36 µs, and 100 µs for an effect.

    Args:
        path: the file; it and its folders are made where missing, for its owner alone.
        project: whose runs are seen.

    Raises:
        StoreError: the file cannot be opened, or is of another format.
        Corrupt: the file is no database.
    """

    def __init__(self, path: Path, *, project: str = "default") -> None:
        self._path = path
        self._project = project
        self._writer_lock, self._reader_lock = Lock(), Lock()
        self._full = False
        with translated(path):
            self._writer = open_file(path, rows.FORMAT)
            self._reader = open_file(path, rows.FORMAT)

    def begin(self, run: RunRecord, worker: str, until_us: int) -> tuple[RunRecord, Claim | None]:
        """A new run with the claim of who began it; see `Runs.begin`.

        Raises:
            Conflict: another run has this id.
            LostLease: the run above it is over.
            StoreFull: no room left.
        """
        with self._writing(full=bool(run.idempotency)) as connection:
            known = connection.execute(_KNOWN, (self._project, run.asset, run.key, run.idempotency)).fetchone()
            if known is not None:
                return self._run(*known), None
            if run.parent and connection.execute(_OVER, (self._project, run.parent)).fetchone() is not None:
                raise LostLease(
                    f"The run {run.parent} is over, and nothing is begun below it any more.", run=run.parent
                )
            given = (run.id, run.asset, run.kind, run.team, run.parent, run.key, run.idempotency, bool(run.replay_of))
            made = connection.execute(_BEGIN, (self._project, *given, run.status, worker, until_us))
            if not made.rowcount:
                raise Conflict(f"There is a run {run.id} already.", hint="Give each run an id of its own.")
            connection.execute("INSERT INTO records VALUES (?, ?)", (made.lastrowid, rows.encode_record(run)))
        return run, Claim(run.id, worker, 1, until_us)

    def write(self, progress: Sequence[Progress]) -> Sequence[bool]:
        """Append to journals, all in one transaction; see `Runs.write`."""
        if not progress:
            return []
        with self._writing(full=any(_tells_of_effects(each) for each in progress)) as connection:
            return [self._append(connection, each) for each in progress]

    def claim(
        self, worker: str, now_us: int, until_us: int, assets: Sequence[str], most: int, run: str = ""
    ) -> Sequence[Claim]:
        """Runs that nobody drives, oldest first; see `Runs.claim`. Cost: 20 µs where there is none, and no lock."""
        values: tuple[str | int, ...]
        if run:
            query, values = _FIND + " AND ended_us IS NULL", (self._project, run)
        else:
            marks = ", ".join("?" * len(assets))
            query = (
                f"SELECT seq FROM runs WHERE project = ? AND ready_us <= ? AND asset IN ({marks}) ORDER BY seq LIMIT ?"  # noqa: S608
            )
            values = (self._project, now_us, *assets, most)
        with self._reading() as connection:
            if connection.execute(query, values).fetchone() is None:
                return []
        claims = []
        with self._writing() as connection:
            for (seq,) in connection.execute(query, values).fetchall():
                rows.expire(connection, seq, now_us)
                deaths, entries = rows.deaths(connection, seq)
                id_, epoch = connection.execute(_CLAIM, (worker, until_us, deaths, entries, seq)).fetchone()
                claims.append(Claim(id_, worker, epoch, until_us, deaths))
        return claims

    def renew(self, claims: Sequence[Claim], until_us: int) -> Sequence[bool]:
        """Hold claims for longer; see `Runs.renew`."""
        return self._held(_RENEW, claims, until_us)

    def let_go(self, claims: Sequence[Claim], from_us: int) -> Sequence[bool]:
        """Give claims back; see `Runs.let_go`."""
        return self._held(_LET_GO, claims, from_us)

    def get(self, run: str) -> Told:
        """A run with its journal, all of one instant.

        Raises:
            NotFound: there is none.
            Corrupt: what is kept of it cannot be read.
        """
        with self._reading() as connection:
            connection.execute("BEGIN")
            try:
                return self._told(connection, run)
            finally:
                connection.execute("COMMIT")

    def list(self, wanted: Wanted) -> Sequence[RunRecord]:
        """Runs, newest first."""
        with self._reading() as connection:
            return [self._run(*row) for row in connection.execute(*rows.query_runs(self._project, wanted))]

    def answer(self, wait: str, answer: WaitAnswer) -> Wait:
        """Answer a question; the first answer counts, and comes back; see `Runs.answer`."""
        with self._writing(full=True) as connection:
            query = "SELECT seq, run, record FROM waits WHERE project = ? AND id = ?"
            found = connection.execute(query, (self._project, wait)).fetchone()
            if found is None:
                raise NotFound(
                    f"There is no question {wait!r} of a run.", hint="See `perdure inbox` for those that are open."
                )
            seq, run, record = found
            with self._readable(wait):
                asked = rows.decode_wait(record)
            if asked.answer is not None:
                return asked
            if connection.execute(_ENDED, (run,)).fetchone() is not None:
                raise Conflict(
                    f"The run {asked.run} is over, and asks nothing any more.", hint="Nothing came of this answer."
                )
            late = 0 < asked.expires_us <= answer.at_us
            said = rows.too_late(asked) if late else msgspec.structs.replace(asked, answer=answer)
            rows.close_wait(connection, seq, said)
            rows.wake(connection, run)
            return said

    def prune(self, before_us: int, most: int) -> int:
        """Remove runs that ended before an instant, with their journals; one below a run that is not over stays."""
        with self._writing() as connection:
            old = connection.execute(_OLD, (self._project, before_us, most)).fetchall()
            connection.executemany(
                "DELETE FROM journal WHERE place >= ? AND place < ?", [rows.places(seq) for (seq,) in old]
            )
            for table, column in (("records", "run"), ("waits", "run"), ("runs", "seq")):
                connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", old)  # noqa: S608 - our own names
        return len(old)

    def close(self) -> None:
        """Close the file; what was written stays."""
        with self._writer_lock, self._reader_lock:
            self._writer.close()
            self._reader.close()

    def _held(self, statement: str, claims: Sequence[Claim], at_us: int) -> Sequence[bool]:
        if not claims:
            return []
        with self._writing() as connection:
            held = [(at_us, self._project, each.run, each.epoch, each.worker) for each in claims]
            return [connection.execute(statement, each).rowcount == 1 for each in held]

    def _append(self, connection: sqlite3.Connection, progress: Progress) -> bool:
        claim = progress.claim
        held = connection.execute(_HELD, (self._project, claim.run, claim.epoch, claim.worker)).fetchone()
        if held is None:
            return False
        (seq,) = held
        kept = progress.kept
        if kept is not None and len(kept.steps) != rows.n_written(connection, seq) + len(progress.steps):
            return False
        if progress.steps:
            first = rows.n_written(connection, seq)
            if [step.n for step in progress.steps] != list(range(first, first + len(progress.steps))):
                return False
            entry = (rows.places(seq)[0] + first, len(progress.steps), rows.encode_steps(progress.steps))
            connection.execute("INSERT INTO journal VALUES (?, ?, ?)", entry)
        if progress.waits:
            rows.put_waits(connection, self._project, seq, progress.waits)
        if progress.run is not None:
            self._keep(connection, seq, progress.run)
        if kept is not None:
            rows.put_kept(connection, self._project, seq, kept)
        return True

    def _keep(self, connection: sqlite3.Connection, seq: int, run: RunRecord) -> None:
        """A run's new state. One that waits or is over is nobody's; the run above it may go on then."""
        connection.execute("UPDATE records SET record = ? WHERE run = ?", (rows.encode_record(run), seq))
        if run.status == "waiting":
            connection.execute(_STATE, (run.status, None, rows.ready_us(connection, seq), seq))
        elif run.status in ENDED:
            connection.execute(_STATE, (run.status, run.ended_us, None, seq))
            above = connection.execute(_FIND, (self._project, run.parent)).fetchone() if run.parent else None
            if above is not None:
                rows.wake(connection, above[0])

    def _told(self, connection: sqlite3.Connection, run: str) -> Told:
        query = (
            """SELECT seq, record, status FROM runs JOIN records ON records.run = seq WHERE project = ? AND id = ?"""
        )
        found = connection.execute(query, (self._project, run)).fetchone()
        if found is None:
            raise NotFound(f"There is no run {run!r}.", hint="It may have been pruned: then it stands in the lake.")
        seq, record, status = found
        journal = "SELECT entries FROM journal WHERE place >= ? AND place < ? ORDER BY place"
        with self._readable(run):
            steps = [
                step
                for (entries,) in connection.execute(journal, rows.places(seq))
                for step in rows.decode_steps(entries)
            ]
            asked = connection.execute("SELECT record FROM waits WHERE run = ? ORDER BY seq", (seq,))
            return Told(self._run(record, status), steps, [rows.decode_wait(each) for (each,) in asked])

    def _run(self, record: bytes, status: RunStatus) -> RunRecord:
        with self._readable("a run"):
            return rows.run_of(record, status)

    @contextmanager
    def _readable(self, what: str) -> Iterator[None]:
        try:
            yield
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Corrupt(f"What {self._path} keeps of {what} cannot be read: {error}.") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._reader_lock, translated(self._path):
            yield self._reader

    @contextmanager
    def _writing(self, *, full: bool = False) -> Iterator[sqlite3.Connection]:
        with self._writer_lock, translated(self._path):
            if full != self._full:
                self._writer.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
                self._full = full
            with transaction(self._writer):
                yield self._writer


def _tells_of_effects(progress: Progress) -> bool:
    return bool(progress.waits) or any(step.key or step.state in _OF_EFFECTS for step in progress.steps)
