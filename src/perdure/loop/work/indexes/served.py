"""What servers found in their memory that is not what their store has: the lake's table `compared`, as skews and as a cause.

Servers mend it themselves within the same round. It is told for as long as such a round's time, and a half: nobody was given what the
store does not vouch for, but what memory lacked was not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.core.errors import NotFound
from perdure.core.units import minutes
from perdure.engines.retrieval.skew import Skew, SkewKind
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.captured_searches import COMPARED
from perdure.loop.work.versions import find_champion
from perdure.stores.lake.protocols import Lake, Span

TOLD_FOR = minutes(15)
SERVED_DIFFERED = "served_differed"
_COLUMNS = ("index", "version", "process", "served_at", "n_differing", "keys", "documents", "kinds", "healed")
_KINDS = get_args(SkewKind)


def served_skews(lake: Lake, index: str, version: str, now: datetime) -> list[Skew]:
    """What rounds of the last quarter of an hour found in memory of servers of a version."""
    found = []
    for row in _rounds(lake, index, version, now):
        ending = "It was read anew." if row["healed"] else "It still is after it was read anew."
        why = f"Memory of the server {row['process']} was not what its store has. {ending}"
        rows = zip(row["kinds"], row["documents"], row["keys"], strict=True)
        found += [Skew(kind, name, key, why, part="served") for kind, name, key in rows if kind in _KINDS]
    return found


class ServedDiffered:
    """The cause that memory of a server was not what its store has."""

    name = SERVED_DIFFERED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """The cause with what was found; None where nothing is broken, or nothing was."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or all(each.state is not State.BROKEN for each in findings):
            return None
        rounds = _rounds(place.stores.lake, asset.name, champion.id, now)
        if not rounds:
            return None
        healed = all(row["healed"] for row in rounds)
        n, servers = sum(row["n_differing"] for row in rounds), sorted({row["process"] for row in rounds})
        told = "they read it anew from their store" if healed else "reading it anew did not help: start them again"
        text = f"Memory of {', '.join(servers)} was not what their store has, in {n} rows; {told}."
        return RankedCause(self.name, 0.89, {"n_rows": n, "servers": servers, "healed": healed}, text)


def _rounds(lake: Lake, index: str, version: str, now: datetime) -> list[dict[str, Any]]:
    try:
        rows = lake.read(COMPARED, columns=_COLUMNS, span=Span("served_at", now - TOLD_FOR, now))
    except NotFound:
        return []
    found = [row for row in rows.iter_rows(named=True) if row["n_differing"]]
    return [row for row in found if (row["index"], row["version"]) == (index, version)]
