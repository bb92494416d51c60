"""Upkeep, a step of a round: tables of many small commits are compacted, a few a round.

Every append is a file and a commit; opening and reading a table costs by their number. No row and no
version is lost by it. The ledger's cursor `upkeep/<table>` has the version at which a table was last
compacted, so that a new process does not do it again.
"""

from __future__ import annotations

from datetime import datetime

from perdure.core.errors import Conflict
from perdure.loop.failures import Failures
from perdure.loop.protocols import Workplace
from perdure.stores.ledger.protocols import Lease

COMMITS = 200
"""So many commits make a table due; reading it takes 0.4 s by then, and 6 ms after upkeep, which costs 0.1 s."""
_AT_MOST = 2
"""Tables a round: a round stays short, and the next one goes on."""
_GROWING = (
    *(
        "sources",
        "captures",
        "labels",
        "quarantine",
        "calls",
        "attempts",
        "guarded",
        "feedback",
        "searches",
        "compared",
    ),
    *("runs", "run_steps"),
)
"""First parts of the names of tables that grow by small appends; a dataset is written once."""
_CURSOR = "upkeep/"


class Upkeep:
    """Compacts the tables of a lake as they grow."""

    def __init__(self, place: Workplace) -> None:
        self._place = place

    def run(self, now: datetime, lease: Lease, failures: Failures) -> list[str]:
        """Compact at most two tables that are due; returns their names.

        One that another process compacts is left to it. Cost: a look at each table's version.
        """
        lake = self._place.stores.lake
        with self._place.stores.ledger.read() as session:
            done = session.cursors.list(_CURSOR)
        versions = {table: lake.version(table) or 0 for table in lake.tables() if table.partition("/")[0] in _GROWING}
        due = [table for table, version in versions.items() if version - done.get(_CURSOR + table, 0) >= COMMITS]
        kept = []
        for table in sorted(due, key=lambda name: -versions[name])[:_AT_MOST]:
            with failures.kept():
                try:
                    lake.maintain(table)
                except Conflict:
                    continue
                self._record(table, now, lease)
                kept.append(table)
        return kept

    def _record(self, table: str, now: datetime, lease: Lease) -> None:
        stores = self._place.stores
        with stores.ledger.transaction(actor=self._place.actor, at=now, reason="upkeep", lease=lease) as session:
            session.cursors.put(_CURSOR + table, stores.lake.version(table))
