"""Readings in a SQLite file of their own: write-ahead log, NORMAL sync.

A crash of the machine may lose the last second, never the file; kill −9 of a process loses nothing
that `put` returned from. Written by the loop, read by the surface. Plain driver calls: one table,
no history to migrate.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from perdure.assets.health import Reading
from perdure.core.canonical import canonical_json
from perdure.core.clock import from_us, to_us
from perdure.stores.sqlite_errors import translated
from perdure.stores.sqlite_files import SqliteFormat, open_file, transaction
from perdure.stores.telemetry.looking import Looking
from perdure.stores.telemetry.protocols import Buckets, Newest, Wanted

_TABLE = """
CREATE TABLE IF NOT EXISTS readings (
    project TEXT NOT NULL, actor TEXT NOT NULL,
    asset TEXT NOT NULL, signal TEXT NOT NULL, slice TEXT NOT NULL, version TEXT NOT NULL,
    window_start_us INTEGER NOT NULL, window_end_us INTEGER NOT NULL, at_us INTEGER NOT NULL,
    value REAL, low REAL, high REAL, n INTEGER NOT NULL, unit TEXT NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (project, asset, signal, slice, version, window_start_us, window_end_us)
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS readings_by_at ON readings (project, asset, at_us)"
_SERIES = """
CREATE INDEX IF NOT EXISTS readings_series
ON readings (project, asset, signal, slice, window_end_us - window_start_us, at_us)
"""
_FORMAT = SqliteFormat("readings", 1, (_TABLE, _INDEX))
_COLUMNS = "asset, signal, slice, version, window_start_us, window_end_us, at_us, value, low, high, n, unit, facts"
_PUT = f"INSERT OR REPLACE INTO readings (project, actor, {_COLUMNS}) VALUES ({', '.join('?' * 15)})"  # noqa: S608 - constants only
_ORDER = "at_us {0}, asset {0}, signal {0}, slice {0}, version {0}, window_start_us {0}"
_LIST = f"SELECT {_COLUMNS} FROM readings WHERE project = :project"  # noqa: S608 - constants only
_NEWEST = f" AND at_us >= :since AND at_us <= :until ORDER BY {_ORDER.format('DESC')} LIMIT :limit"
# Ranked by rowid alone: sorting whole rows, facts and all, takes three times as long.
_LATEST = f"""
SELECT {_COLUMNS} FROM readings WHERE rowid IN (
    SELECT id FROM (
        SELECT rowid AS id,
            rank() OVER (PARTITION BY signal, slice, window_end_us - window_start_us ORDER BY at_us DESC) AS age
        FROM readings WHERE project = ? AND asset = ?
    ) WHERE age = 1
) ORDER BY signal, slice, version, window_start_us
"""  # noqa: S608 - constants only
_FIRST_US = -(2**62)


class SqliteReadings:
    """Readings of one project; safe to use from several threads and processes.

    Args:
        path: the file; it and its folders are made where missing.
        project: name on every record; only this project's readings are seen.
        actor: who measures, on every record.

    Raises:
        StoreError: the file cannot be opened, or is of another format.
        Corrupt: the file is no database.
    """

    def __init__(self, path: Path, *, project: str = "default", actor: str = "local") -> None:
        self._path = path
        self._project = project
        self._actor = actor
        self._lock = Lock()
        with translated(path):
            self._connection = open_file(path, _FORMAT)
            # Files of before have it not: made once, a second a million readings.
            self._connection.execute(_SERIES)
        self._looking = Looking(path, project)

    def put(self, readings: Sequence[Reading]) -> None:
        """Keep the readings, all or none; an equal (asset, signal, slice, version, window) is replaced.

        Raises:
            Conflict: another writer held the file for longer than 10 s.
            StoreFull: no room left; none was kept.
        """
        rows = [(self._project, self._actor, *_row(reading)) for reading in readings]
        with self._driver() as connection, transaction(connection):
            connection.executemany(_PUT, rows)

    def latest(self, asset: str) -> list[Reading]:
        """The newest reading of each signal and slice; several where they were taken at one instant."""
        with self._driver() as connection:
            rows = connection.execute(_LATEST, (self._project, asset)).fetchall()
        return [_reading(row) for row in rows]

    def newest(self) -> tuple[int, Sequence[Newest]]:
        """The newest readings of each asset, signal, slice and width, without their facts; and a mark for `changed`.

        Cost: every reading is looked at, some 1.5 s a million; `put` does not wait for it.

        Raises:
            StoreError: the file is gone.
        """
        return self._looking.newest()

    def changed(self, after: int, *, limit: int = 10_000) -> tuple[int, Sequence[Newest]]:
        """What was put since a mark, at most `limit` in the order in which they were put; and the next mark.

        Raises:
            NotFound: the mark is of another file.
            StoreError: the file is gone.
        """
        return self._looking.changed(after, limit)

    def series(
        self, wanted: Wanted, *, since: datetime | None = None, until: datetime | None = None, n_buckets: int = 500
    ) -> Buckets:
        """A series from `since` up to `until`, in at most `n_buckets` stretches of equal length.

        Cost: some 1 µs a reading of it; `put` does not wait for it.

        Raises:
            StoreError: the file is gone.
        """
        return self._looking.series(wanted, since, until, n_buckets)

    def close(self) -> None:
        """Close the file; what was put stays."""
        self._looking.close()
        with self._lock:
            self._connection.close()

    @contextmanager
    def _driver(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            yield self._connection

    def list(
        self,
        asset: str | None = None,
        signal: str | None = None,
        slice: str | None = None,  # noqa: A002 - as a reading calls it
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100_000,
    ) -> list[Reading]:
        """The newest `limit` readings taken at or after `since` and not after `until`, oldest first."""
        given = {
            "project": self._project,
            "asset": asset,
            "signal": signal,
            "slice": slice,
            "since": _FIRST_US if since is None else to_us(since),
            "until": -_FIRST_US if until is None else to_us(until),
            "limit": limit,
        }
        # Said only where it is given: `asset = ? OR ? IS NULL` would read every asset's readings.
        wanted = [f" AND {name} = :{name}" for name in ("asset", "signal", "slice") if given[name] is not None]
        with self._driver() as connection:
            rows = connection.execute(_LIST + "".join(wanted) + _NEWEST, given).fetchall()
        return [_reading(row) for row in reversed(rows)]


def _row(reading: Reading) -> tuple[Any, ...]:
    return (
        reading.asset,
        reading.signal,
        reading.slice,
        reading.version,
        to_us(reading.window_start),
        to_us(reading.window_end),
        to_us(reading.at),
        reading.value,
        reading.low,
        reading.high,
        reading.n,
        reading.unit,
        canonical_json(reading.facts).decode(),
    )


def _reading(row: tuple[Any, ...]) -> Reading:
    return Reading(
        asset=row[0],
        signal=row[1],
        slice=row[2],
        version=row[3],
        window_start=from_us(row[4]),
        window_end=from_us(row[5]),
        at=from_us(row[6]),
        value=row[7],
        low=row[8],
        high=row[9],
        n=row[10],
        unit=row[11],
        facts=msgspec.json.decode(row[12]),
    )
