"""What censuses and resyncs leave behind: the newest census of a version as a blob named by a cursor, and both in the audit.

A census that says what the one before it said is kept, so that it is known when it was last so, and not told again in the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.core.clock import from_us
from perdure.core.errors import Corrupt, NotFound
from perdure.core.ids import Digest
from perdure.engines.retrieval.skew import Census
from perdure.loop.protocols import Workplace
from perdure.stores.ledger.protocols import LedgerSession

CENSUS = "index.census"
"""Action of the audit's entries."""
RESYNC = "index.resync"


class Resynced(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan did."""

    index: str
    version: str
    step: str
    """Under which it was run; empty: following the source."""
    at_us: int
    before: int
    """Generation that it found."""
    generation: int
    """Generation that it left; the same where nothing had to be done."""
    done: Mapping[str, int] = {}
    """Verb → documents."""
    n_chunks_made: int = 0
    n_chunks_dropped: int = 0
    n_embedded: int = 0
    """Texts that were embedded; the others' vectors were known."""
    changed: int = 0
    """Documents whose text is another than before, or that went."""
    troubles: Mapping[str, str] = {}
    """Document → code of why it could not be indexed."""
    held_back: int = 0
    held_back_why: str = ""
    n_left: int = 0
    """Findings of the census of what was touched, taken after."""
    verified: bool = False
    """Whether that census found nothing."""
    detect_s: float | None = None
    """Longest time from a change at the source to the plan; None: the source tells no instants."""
    repair_s: float = 0.0
    """On the machine's clock, the census after it included."""


def keep_census(place: Workplace, census: Census) -> Census:
    """Keep it as the newest of its version, and tell it where it says something else than the one before."""
    before = newest_census(place, census.index, census.version)
    _, deep_us = census_instants(place, census.index, census.version)
    digest = place.stores.blobs.put(msgspec.json.encode(census))
    # The first counts as deep: a week after it the next is due.
    deep_us = census.at_us if census.deep or deep_us is None else deep_us
    with place.transaction(from_us(census.at_us), "census") as session:
        told = {"blob": digest, "at_us": census.at_us, "deep_us": deep_us, "before": _before(session, census)}
        told["whole"] = census.whole
        session.cursors.put(_cursor("census", census.index, census.version), told)
        if before is None or _told(before) != _told(census):
            session.audit.append(CENSUS, census.index, {**_told(census), "blob": digest})
    return census


def newest_census(place: Workplace, index: str, version: str) -> Census | None:
    """The newest of a version; None where none was taken, or its blob is gone."""
    with place.stores.ledger.read() as session:
        cursor = session.cursors.get(_cursor("census", index, version))
    if cursor is None:
        return None
    try:
        return msgspec.json.decode(place.stores.blobs.get(Digest(cursor["blob"])), type=Census)
    except (NotFound, Corrupt, msgspec.ValidationError):
        return None


def newest_census_digest(place: Workplace, index: str, version: str) -> str:
    """Of the blob of the newest census of a version, by which a plan says what it rests on; empty where none was taken."""
    with place.stores.ledger.read() as session:
        cursor = session.cursors.get(_cursor("census", index, version))
    return "" if cursor is None else str(cursor["blob"])


def census_before(place: Workplace, index: str, version: str) -> Census | None:
    """The one before the newest of a version; None where there was none, or its blob is gone."""
    with place.stores.ledger.read() as session:
        cursor = session.cursors.get(_cursor("census", index, version)) or {}
    try:
        return get_census(place, cursor["before"]) if cursor.get("before") else None
    except (NotFound, Corrupt, msgspec.ValidationError):
        return None


def get_census(place: Workplace, digest: str) -> Census:
    """The census of a blob.

    Raises:
        NotFound, Corrupt: it is not there, or not what was written.
    """
    return msgspec.json.decode(place.stores.blobs.get(Digest(digest)), type=Census)


def census_instants(place: Workplace, index: str, version: str) -> tuple[int | None, int | None]:
    """Domain time of the newest census of a version, and of the newest deep one; None where none was taken."""
    with place.stores.ledger.read() as session:
        cursor = session.cursors.get(_cursor("census", index, version)) or {}
    return cursor.get("at_us"), cursor.get("deep_us")


def newest_is_whole(place: Workplace, index: str, version: str) -> bool:
    """Whether the source answered whole to the newest census of a version; True where none was taken."""
    with place.stores.ledger.read() as session:
        cursor = session.cursors.get(_cursor("census", index, version)) or {}
    return bool(cursor.get("whole", True))


def keep_resync(session: LedgerSession, report: Resynced) -> None:
    """Tell in the audit what a plan did, within a transaction of it; move the cursor by which answers are outdated."""
    told: dict[str, Any] = msgspec.to_builtins(report)
    troubles = report.troubles
    told["troubles"] = dict(list(troubles.items())[:20])
    session.audit.append(RESYNC, report.index, {**told, "n_troubles": len(troubles)})
    session.cursors.put(_cursor("resync", report.index, report.version), told)
    if report.changed:
        session.cursors.put(_cursor("texts", report.index, report.version), report.generation)


def newest_resync(place: Workplace, index: str, version: str) -> Resynced | None:
    """What the newest plan of a version did; None where none was run."""
    with place.stores.ledger.read() as session:
        told = session.cursors.get(_cursor("resync", index, version))
    return None if told is None else msgspec.convert(told, type=Resynced, strict=False)


def texts_generation(session: LedgerSession, index: str, version: str) -> int:
    """The newest generation that changed what documents say; 0: none did."""
    return int(session.cursors.get(_cursor("texts", index, version)) or 0)


def _before(session: LedgerSession, census: Census) -> str:
    """Digest of the one that was the newest; of a census that is kept again, the one before it still."""
    cursor = session.cursors.get(_cursor("census", census.index, census.version)) or {}
    same = cursor.get("at_us") == census.at_us
    return str(cursor.get("before" if same else "blob", ""))


def _told(census: Census) -> dict[str, Any]:
    """What of a census is worth an entry: figures, no instants."""
    return {
        "version": census.version,
        "whole": census.whole,
        "deep": census.deep,
        "skews": {kind: n for kind, n in census.counts().items() if n},
        "n_troubles": len(census.troubles),
    }


def _cursor(what: str, index: str, version: str) -> str:
    return f"index/{index}/{what}/{version}"
