"""What was measured of a version of a judge: kept as a blob, named by a cursor, told in the ledger.

Three kinds, each the newest of its version: `calibration` (what its figures are corrected by), `check` (its anchor judged
again since), `trial` (asked for a gate). What surprised us: the calibration must outlive the version that it is of, since
figures of past runs are read by it: so nothing here is ever removed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from perdure.core.clock import iso, parse_at
from perdure.core.errors import Corrupt, NotFound
from perdure.core.ids import Digest
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.protocols import Calibration
from perdure.loop.protocols import Workplace

What = Literal["calibration", "check", "trial"]
_ACTIONS = {"calibration": "judge.calibrate", "check": "judge.check", "trial": "judge.measure"}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a judge beside people, at an instant."""

    judge: str
    version: str
    at: str
    """Domain time, ISO 8601."""
    calibration: Calibration
    judgements: dict[str, Judgement]
    """What it said, by the case's id: no text of a case is in it."""
    step: str = ""
    """Under which it was made: asked again under it, it is given again."""

    @property
    def measured_at(self) -> datetime:
        """Domain time."""
        return parse_at(self.at)


def keep(place: Workplace, what: What, measured: Measured, now: datetime, reason: str) -> Measured:
    """Keep it, as the newest of its version."""
    digest = place.stores.blobs.put(msgspec.json.encode(measured))
    found = measured.calibration
    facts = {
        "version": measured.version,
        "verdict": found.verdict,
        "text": found.text,
        "n": found.n,
        "anchor": found.anchor,
        "blob": digest,
    }
    with place.transaction(now, reason) as session:
        session.audit.append(_ACTIONS[what], measured.judge, facts)
        session.cursors.put(_cursor(measured.judge, what, measured.version), {"blob": digest, "at": iso(now)})
    return measured


def find(place: Workplace, judge: str, version: str, what: What = "calibration") -> Measured | None:
    """The newest of a version; None where there is none, or its blob is gone."""
    with place.stores.ledger.read() as session:
        cursor = session.cursors.get(_cursor(judge, what, version))
    if cursor is None:
        return None
    try:
        return msgspec.json.decode(place.stores.blobs.get(Digest(cursor["blob"])), type=Measured)
    except (NotFound, Corrupt):
        return None


def _cursor(judge: str, what: What, version: str) -> str:
    return f"judge/{judge}/{what}/{version}"
