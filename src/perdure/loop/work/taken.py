"""How far each source was taken in: intake's cursor `intake/<source>`, and the batch that was begun."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from perdure.core.clock import parse_at
from perdure.stores.ledger.protocols import Ledger

CURSOR = "intake/"


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that was begun: everything until `until`, under the number `batch`."""

    until: datetime
    batch: int
    seen: str
    """Fingerprint of the source's rows until `until` when the batch was begun. What the source shows
    afterwards differs from it, and is compared with the lake by content the next time."""
    late: bool
    """Rows of the past are to be compared with the lake by content."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How far a source was taken in."""

    until: datetime | None = None
    batch: int = 0
    seen: str = ""
    n_late: int = 0
    """Batches that brought late rows."""
    intent: Begun | None = None

    @classmethod
    def from_json(cls, value: Any | None) -> Self:
        """As the ledger keeps it; nothing was taken in without a value."""
        if value is None:
            return cls()
        intent = value["intent"]
        return cls(
            parse_at(value["until"]) if value["until"] else None,
            value["batch"],
            value["seen"],
            value["n_late"],
            Begun(**{**intent, "until": parse_at(intent["until"])}) if intent else None,
        )


def known_until(ledger: Ledger, source: str) -> datetime | None:
    """The instant up to which the lake has a source's rows; None before the first time."""
    return read_taken(ledger, source).until


def read_taken(ledger: Ledger, source: str) -> Taken:
    """How far a source was taken in."""
    with ledger.read() as session:
        return Taken.from_json(session.cursors.get(CURSOR + source))
