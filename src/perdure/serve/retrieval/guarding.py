"""The guard at question time: nothing is given that the index's record does not vouch for now.

Every hit is read from the store by its key and compared: with its own checksum and digest, with what memory ranked, with the record of
its document, with who may read that. A process that follows a store is always a little behind it, disks and hands damage
rows, and readers are taken away; so memory decides what is near, and the store what is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perdure.core.documents import Hit, Where
from perdure.engines.retrieval.verifying import Asked, Reason, Vouched, reason_of
from perdure.serve.retrieval.held import Held
from perdure.stores.vectors.matching import holds, may_read
from perdure.stores.vectors.protocols import ChunkRow, DocumentRow, IndexStore, checksum_of

_ThenAndNow = tuple[DocumentRow | None, DocumentRow | None]
_LEAST_ALIKE = 0.99
"""Cosine of a vector to itself in 8 bits: 0.9995 and more, of 64 dimensions."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A hit as it was found, with what stands in the store."""

    hit: Hit
    row: ChunkRow | None
    document: DocumentRow | None
    reason: Reason
    alike: bool = True
    """What memory ranked is what the store has."""
    readable: bool = True
    """Whoever asks may read it, by the record; what is gone from there only who may read all."""

    @property
    def name(self) -> str:
        """Of its document; empty where nobody knows."""
        return self.row.document if self.row is not None else ""


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """What hits are held against.

    Args:
        held: what was searched.
        at: generation that was asked as of, that of `held` among them; 0: the newest.
        groups: of whoever asks; None: everything may be found.
        where: the filter.
        embedder: fingerprint of what embedded the question; empty: nothing did.
    """

    held: Held
    at: int = 0
    groups: Sequence[str] | None = None
    where: Where | None = None
    embedder: str = ""


def check(store: IndexStore, hits: Sequence[Hit], bounds: Bounds) -> list[Checked]:
    """Each hit, checked, in order. Cost: 15 µs a hit.

    Raises:
        StoreError: the store cannot be read: nothing is given then.
    """
    keys = [hit.key for hit in hits]
    rows = store.fetch(keys)
    names = list(dict.fromkeys(row.document for row in rows if row is not None))
    now = dict(zip(names, store.find_documents(names), strict=True))
    then = dict(zip(names, store.find_documents(names, bounds.at), strict=True)) if bounds.at else now
    alike = _alike(rows, bounds)
    checked = []
    for hit, row, same in zip(hits, rows, alike, strict=True):
        documents = (None, None) if row is None else (then[row.document], now[row.document])
        readable = row is None or _may_read(documents, bounds.groups)
        vouched = _vouched(row, documents, same, readable, bounds)
        asked = Asked(bounds.at, bounds.held.generation.number, bounds.embedder)
        checked.append(Checked(hit, row, documents[0], reason_of(hit, row, vouched, asked), same, readable))
    return checked


def _alike(rows: Sequence[ChunkRow | None], bounds: Bounds) -> list[bool]:
    """Whether what memory ranked is what the store has: vectors in 8 bits point where the store's do.

    Of what was found by its words alone the digest tells.
    """
    searcher = bounds.held.searcher
    if searcher is None or bounds.at not in (0, bounds.held.generation.number):
        return [True] * len(rows)
    held = searcher.vectors_of([0 if row is None else row.key for row in rows])
    size = 4 * held.shape[1]
    fits = [row is not None and len(row.vector) == size for row in rows]
    zeros = b"\0" * size
    told = b"".join(row.vector if row is not None and fit else zeros for row, fit in zip(rows, fits, strict=True))
    own = np.frombuffer(told, dtype="<f4").reshape(held.shape)
    products, squares = np.einsum("ij,ij->i", held, own), np.einsum("ij,ij->i", held, held)
    squares *= np.einsum("ij,ij->i", own, own)
    # A comparison with what is no number is false: that is nobody's vector.
    found: list[bool] = ((squares == 0.0) | (products >= _LEAST_ALIKE * np.sqrt(squares))).tolist()
    return found


def is_doubtful(checked: Sequence[Checked], bounds: Bounds) -> bool:
    """Whether memory is not what the store has, though nothing was written since: it must be read anew."""
    return not bounds.at and any(each.row is None or not each.alike for each in checked)


def is_behind(checked: Sequence[Checked], bounds: Bounds) -> bool:
    """Whether a hit died in a later generation than the one that was searched."""
    number = bounds.held.generation.number
    return not bounds.at and any(each.row is not None and each.row.died > number for each in checked)


def _vouched(row: ChunkRow | None, documents: _ThenAndNow, same: bool, readable: bool, bounds: Bounds) -> Vouched:
    document, current = documents
    return Vouched(
        recorded=document is not None,
        present=current is not None,
        readable=readable,
        fitting=document is None or holds(bounds.where or {}, document.metadata),
        intact=row is None or (same and checksum_of(row) == row.checksum),
    )


def _may_read(documents: _ThenAndNow, groups: Sequence[str] | None) -> bool:
    """By the readers of then and of now: who was let out since finds nothing in the past either. Of nobody's document: who may all."""
    told = [each for each in documents if each is not None]
    return all(may_read(each.readers, groups) for each in told) if told else groups is None
