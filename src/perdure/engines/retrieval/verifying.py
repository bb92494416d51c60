"""Whether a hit is what it was found as, by what stands in the store and in the record now.

Servers ask before they give anything, and so do searches by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from perdure.core.documents import Hit
from perdure.engines.retrieval.census_chunks import content_digest
from perdure.engines.retrieval.protocols import Standing

Reason = Literal["", "missing", "ghost", "stale", "corrupt", "wrong_embedder", "forbidden"]
"""Why a hit is not what it was found as; empty: it is."""
NEVER_GIVEN = ("missing", "forbidden")
"""Marked or not: of the first there is nothing to give, and the second is not for whoever asks."""


class Kept(Standing, Protocol):
    """A chunk as it stands in an index, with its life."""

    @property
    def born(self) -> int:
        """First generation that has it."""
        ...

    @property
    def died(self) -> int:
        """First generation that has it no more; 0: it is alive."""
        ...


@dataclass(frozen=True, slots=True)
class Vouched:
    """What is known of a chunk beside its row.

    Args:
        recorded: its document is in the record of the generation that was asked.
        present: and in the newest one.
        readable: whoever asks may read it, by the readers of then and of now.
        fitting: the filter holds of it.
        intact: it is what its checksum says, and what was ranked.
    """

    recorded: bool
    present: bool
    readable: bool = True
    fitting: bool = True
    intact: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked.

    Args:
        at: generation as of which; 0: the newest.
        generation: that was searched.
        embedder: fingerprint of what embedded the question; empty: nothing did.
    """

    at: int
    generation: int
    embedder: str = ""


def reason_of(hit: Hit, row: Kept | None, vouched: Vouched, asked: Asked) -> Reason:
    """Why a hit is not what it was found as. Cost: 3 µs, most of it the digest of its text."""
    if row is None or row.key != hit.key:
        return "missing"
    # Nobody's document is a ghost, whoever asks; who gives must see to it that it is for whoever may read all.
    if not vouched.readable and (vouched.recorded or vouched.present):
        return "forbidden"
    if not vouched.recorded or not _is_alive(row, asked.at):
        # A document that is gone is a ghost; of one that is still there this was replaced.
        return "ghost" if not vouched.present or row.died <= asked.generation else "stale"
    if not vouched.intact or content_digest(row) != row.digest:
        return "corrupt"
    if asked.embedder and hit.dense is not None and row.embedder != asked.embedder:
        return "wrong_embedder"
    return "" if vouched.fitting else "stale"


def _is_alive(row: Kept, at: int) -> bool:
    return row.born <= at and (row.died == 0 or row.died > at) if at else row.died == 0
