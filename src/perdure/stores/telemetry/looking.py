"""Reads readings for people who look: the newest of all, what is new, one series for a picture.

On a connection of its own, which only reads: what is looked at may be large, and must not hold up the loop, which puts readings.
Called by `sqlite`. What surprised us: `+project` in the query of what is new. With the plain column SQLite takes the index by
project and sorts a million rows; the plus sign keeps it on the row ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock

from perdure.core.clock import to_us
from perdure.core.errors import NotFound, StoreError
from perdure.stores.sqlite_errors import translated
from perdure.stores.telemetry.protocols import Buckets, Newest, Wanted

_BUSY_S = 5.0
_THIN = (
    "signal, slice, window_end_us - window_start_us, at_us, value, low, high, n, unit, version, asset, "
    "json_extract(facts, '$.harm_low')"
)
# The newest instants are found in the index alone, and then their rows by it: `CROSS JOIN` keeps SQLite to that order.
_NEWEST = f"""
SELECT {_THIN.replace("asset", "readings.asset", 1)} FROM (
    SELECT asset AS a, signal AS s, slice AS part, window_end_us - window_start_us AS width, max(at_us) AS newest
    FROM readings WHERE project = :project GROUP BY a, s, part, width
) CROSS JOIN readings
WHERE project = :project AND asset = a AND signal = s AND slice = part
AND window_end_us - window_start_us = width AND at_us = newest
ORDER BY asset, signal, slice, version, window_start_us
"""  # noqa: S608 - constants only
_MARK = "SELECT coalesce(max(rowid), 0) FROM readings"
_CHANGED = f"SELECT rowid, {_THIN} FROM readings WHERE rowid > ? AND +project = ? ORDER BY rowid LIMIT ?"  # noqa: S608 - constants only
_OF_SERIES = """
FROM readings WHERE project = :project AND asset = :asset AND signal = :signal AND slice = :slice
AND window_end_us - window_start_us = :width_us AND at_us >= :since AND at_us < :until
"""
_SPAN = f"SELECT min(at_us), max(at_us), count(*) {_OF_SERIES}"
_WHOLE = f"SELECT at_us, value, low, high, value, value, n {_OF_SERIES} ORDER BY at_us, version, window_start_us"
_BUCKETS = f"""
SELECT max(at_us), avg(value), min(low), max(high), min(value), max(value), sum(n) {_OF_SERIES}
GROUP BY (at_us - :first) / :each ORDER BY 1
"""
_UNIT = f"SELECT unit {_OF_SERIES} ORDER BY at_us DESC LIMIT 1"
_ALWAYS_US = 2**62


class Looking:
    """Reads of one project; safe to use from several threads, which take turns.

    Args:
        path: the file, which is there.
        project: whose readings are seen.
    """

    def __init__(self, path: Path, project: str) -> None:
        self._path = path
        self._project = project
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def newest(self) -> tuple[int, Sequence[Newest]]:
        """See `Readings.newest`."""
        with self._snapshot() as connection:
            mark: int = connection.execute(_MARK).fetchone()[0]
            return mark, [Newest(*row) for row in connection.execute(_NEWEST, {"project": self._project})]

    def changed(self, after: int, limit: int) -> tuple[int, Sequence[Newest]]:
        """See `Readings.changed`."""
        with self._snapshot() as connection:
            mark: int = connection.execute(_MARK).fetchone()[0]
            if mark < after:
                raise NotFound(
                    f"There is no reading {after} in {self._path}: it is another file, or an older one.",
                    hint="Begin with the newest readings.",
                )
            rows = connection.execute(_CHANGED, (after, self._project, limit)).fetchall()
        return (rows[-1][0] if len(rows) == limit else mark), [Newest(*row[1:]) for row in rows]

    def series(self, wanted: Wanted, since: datetime | None, until: datetime | None, n_buckets: int) -> Buckets:
        """See `Readings.series`."""
        given = {
            "project": self._project,
            "asset": wanted.asset,
            "signal": wanted.signal,
            "slice": wanted.slice,
            "width_us": wanted.width_us,
            "version": wanted.version,
            "since": -_ALWAYS_US if since is None else to_us(since),
            "until": _ALWAYS_US if until is None else to_us(until),
        }
        only = "" if wanted.version is None else " AND version = :version"
        with self._snapshot() as connection:
            first, last, n_whole = connection.execute(_of(_SPAN, only), given).fetchone()
            if not n_whole:
                return Buckets((), (), (), (), (), (), (), 0, "")
            given |= {"first": first, "each": (last - first) // max(n_buckets, 1) + 1}
            rows = connection.execute(_of(_WHOLE if n_whole <= n_buckets else _BUCKETS, only), given).fetchall()
            unit: str = connection.execute(_of(_UNIT, only), given).fetchone()[0]
        at_us, value, low, high, least, most, n = zip(*rows, strict=True)
        return Buckets(at_us, value, low, high, least, most, n, n_whole, unit)

    def close(self) -> None:
        """Close the connection; the next look opens another."""
        with self._lock:
            self._close()

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """One state of the file, whatever is put meanwhile."""
        with self._lock, translated(self._path):
            connection = self._opened()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def _opened(self) -> sqlite3.Connection:
        """The connection to the file that is there now.

        Raises:
            StoreError: there is none.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            self._close()
            raise StoreError(
                f"The readings {self._path} cannot be found: {error.strerror}.",
                hint="Check `stores.root` in perdure.toml.",
                path=str(self._path),
            ) from error
        if self._connection is None or self._identity != (found.st_dev, found.st_ino):
            self._close()
            address = f"{self._path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(
                address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._identity = found.st_dev, found.st_ino
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _of(query: str, only: str) -> str:
    """The query of one version, where one is wanted."""
    return query.replace("AND at_us <", f"{only} AND at_us <", 1) if only else query
