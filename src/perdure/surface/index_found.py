"""What a search by hand finds, from the store alone: every chunk is read from it and checked, as servers do.

Called by `indexing`. Whoever asks may read the whole store, so nothing is forbidden to him.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perdure.core.documents import Content, Hit
from perdure.core.errors import BadRequest
from perdure.engines.retrieval.protocols import Unparsable
from perdure.engines.retrieval.verifying import NEVER_GIVEN, Asked, Reason, Vouched, reason_of
from perdure.loop.work.indexes.opening import OpenIndex
from perdure.stores.vectors.protocols import ChunkRow, IndexStore, Query, checksum_of

_SPARE = 8
"""Hits beside those that are asked for: they move up for what is left out."""


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A chunk that was found, as `index search` tells it."""

    document: str
    position: int
    score: float
    text: str
    start: int
    end: int
    generation: int
    """As of which it was found."""
    skew: str = ""
    """Why it is not what it was found as, such as `stale`, where the index marks such chunks; empty: it is."""


def found_in(
    opened: OpenIndex, asked: tuple[str, bytes | None], k: int, generation: int, *, past: bool
) -> list[FoundChunk]:
    """The k best that the store vouches for, or that the index marks.

    Args:
        opened: the version.
        asked: words, and a picture that is asked by; None: the words are embedded.
        k: so many at most.
        generation: as of which.
        past: it was asked as of an instant: what was replaced since is no skew.

    Raises:
        BadRequest: the embedder cannot read what is asked.
    """
    text, picture = asked
    query = Query(k + _SPARE, _vector_of(opened, picture or text), text, as_of=generation)
    hits = opened.store.search(query)
    rows = opened.store.fetch([hit.key for hit in hits])
    embedder = opened.embedder.fingerprint if query.vector else ""
    reasons = _reasons(opened.store, hits, rows, Asked(generation if past else 0, generation, embedder))
    marks = opened.index.unverified == "mark"
    return [
        FoundChunk(row.document, row.position, hit.score, row.text, row.start, row.end, generation, reason)
        for hit, row, reason in zip(hits, rows, reasons, strict=True)
        if row is not None and (not reason or (marks and reason not in NEVER_GIVEN))
    ][:k]


def _reasons(store: IndexStore, hits: Sequence[Hit], rows: Sequence[ChunkRow | None], asked: Asked) -> list[Reason]:
    names = list(dict.fromkeys(row.document for row in rows if row is not None))
    now = dict(zip(names, store.find_documents(names), strict=True))
    then = dict(zip(names, store.find_documents(names, asked.at), strict=True)) if asked.at else now
    reasons = []
    for hit, row in zip(hits, rows, strict=True):
        name = "" if row is None else row.document
        vouched = Vouched(
            recorded=then.get(name) is not None,
            present=now.get(name) is not None,
            intact=row is None or checksum_of(row) == row.checksum,
        )
        reasons.append(reason_of(hit, row, vouched, asked))
    return reasons


def _vector_of(opened: OpenIndex, asked: Content) -> bytes:
    """Of a question, in the bytes of a store; none of what its embedder knows nothing of."""
    try:
        [vector] = opened.embedder.embed([asked], "query")
    except Unparsable as error:
        what = "words" if isinstance(asked, str) else "a picture"
        raise BadRequest(
            f"Index {opened.index.name!r} cannot be asked by {what}: {error.message}",
            hint="Ask by what its embedder reads: a text, or a picture that is whole.",
        ) from error
    return vector.astype("<f4").tobytes() if vector.any() else b""
