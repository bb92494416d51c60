"""Answers that rest on a source are outdated when it changes: told at the end of a round, to caches and to servers.

Of each source that a route names, the ledger's cursor `changed/<source>` holds what the source was: the last batch
that brought it good rows, and the revision of its quarantine; of an index the version that answers, and the generation that
changed what its documents say. When that differs, answers are dropped from the cache that
servers share, and then the cursor is moved with an entry of the audit chain. Servers whose cache is their own memory see the
new sequence number, read the cursors, and drop what they have. A crash in between drops again, which is nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from perdure.assets.version import CHAMPION
from perdure.core.canonical import plain
from perdure.loop.intake import table_of
from perdure.loop.protocols import Workplace
from perdure.loop.work.indexes.kept import texts_generation
from perdure.loop.work.ranges import all_ranges
from perdure.stores.ledger.protocols import LedgerSession

CHANGED = "changed/"
"""What the names of the cursors begin with. Serve's watcher reads them."""
DROPPED = "answers.outdated"
"""Action of the audit's entries."""


class Answers(Protocol):
    """A cache that servers share."""

    def drop(self, tags: Sequence[str]) -> int:
        """Forget answers that have one of the tags; how many there were."""
        ...


class Outdated:
    """Drops answers whose source has changed.

    Args:
        sources: those that routes name.
        answers: the cache that servers share; None: each has its own.
        indexes: those that routes name.
    """

    def __init__(self, sources: Sequence[str], answers: Answers | None, indexes: Sequence[str] = ()) -> None:
        self._sources = sources
        self._answers = answers
        self._indexes = indexes

    def run(self, place: Workplace, now: datetime) -> None:
        """Drop what is outdated. Cost: two looks at the ledger and one at each source's table.

        Raises:
            StoreError: the cache cannot be reached; the next round tries again.
            LostLease: another worker took over, and drops again.
        """
        with place.stores.ledger.read() as session:
            known = session.cursors.list(CHANGED)
            marks = {name: _index_mark(session, name) for name in self._indexes}
        marks |= _source_marks(place, self._sources)
        for name, mark in marks.items():
            if known.get(CHANGED + name) == mark:
                continue
            n = self._answers.drop([f"source:{name}"]) if self._answers is not None else None
            with place.transaction(now, "source changed") as session:
                session.cursors.put(CHANGED + name, plain(mark))
                session.audit.append(DROPPED, name, {**mark, "dropped": n})


def _source_marks(place: Workplace, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    if not names:
        return {}
    ranges, lake = all_ranges(place.stores.ledger), place.stores.lake
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        table = table_of(name)
        batch = 0 if lake.version(table) is None else lake.last_transaction(table, "intake") or 0
        found[name] = {"batch": batch, "quarantine": ranges[name].revision if name in ranges else 0}
    return found


def _index_mark(session: LedgerSession, name: str) -> dict[str, Any]:
    """A row that was mended moves nothing: the text that answers rest on is the same."""
    version = next((each.version for each in session.pointers.list(name) if each.name == CHAMPION), "")
    return {"version": version, "generation": texts_generation(session, name, version)}
