"""A small world of documents that change, for the suite of index stores: what each generation holds can be worked out anew.

`change_of(n)` makes generation n + 1 from generation n, and `standing(n)` says what must be there then, so that a process that was
killed anywhere in between can be held against one of the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np

from perdure.core.documents import Hit
from perdure.stores.vectors.protocols import Change, ChunkRow, DocumentRow, Generation, IndexStore

N_DIMENSIONS = 16
N_DOCUMENTS = 24
N_PLACES = 3
_SYLLABLES = ("ka", "lo", "mi", "nu", "re", "sta", "vo", "zen")

Standing = Mapping[tuple[str, int], str]
"""(document, position) → text, of what is alive."""


def vector_of(text: str, dimensions: int = N_DIMENSIONS) -> bytes:
    """A vector of length 1 for a text, the same each time; different texts point in different directions."""
    seed = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    vector = np.random.default_rng(seed).standard_normal(dimensions)
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


def a_document(id_: str = "a.md", **changes: Any) -> DocumentRow:
    """A row of the record."""
    row = DocumentRow(
        id=id_,
        token=f"token of {id_}",
        digest="d" * 32,
        media_type="text/markdown",
        n_chunks=1,
        chunker="chunker-1",
        changed_us=1_000,
        indexed_us=2_000,
        first_us=1_500,
    )
    return msgspec.structs.replace(row, **changes)


def a_chunk(document: str = "a.md", text: str = "some words", position: int = 0, **changes: Any) -> ChunkRow:
    """A chunk, not kept yet."""
    row = ChunkRow(
        key=0,
        document=document,
        position=position,
        start=100 * position,
        end=100 * position + len(text),
        text=text,
        context="",
        digest=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        form="text",
        vector=vector_of(text),
        embedder="embedder-1",
        chunker="chunker-1",
    )
    return msgspec.structs.replace(row, **changes)


def text_of(document: str, position: int, revision: int) -> str:
    """A text of its own for each revision, with a word that no other has."""
    word = "".join(_SYLLABLES[(revision * 5 + position * 3 + i * len(document)) % 8] for i in range(4))
    return f"{word} stands in {document} at {position} revision{revision}x"


def change_of(number: int, keys: Mapping[tuple[str, int], int]) -> Change:
    """The change from generation `number` to the next: some documents written anew, and one gone.

    Args:
        number: of the generation that is there.
        keys: (document, position) → key, of what is alive in it.
    """
    before = standing(number)
    after = standing(number + 1)
    dead = [keys[place] for place, text in before.items() if after.get(place, text) != text]
    born = [place for place, text in after.items() if before.get(place) != text]
    gone = sorted({id_ for id_, _ in before} - {id_ for id_, _ in after})
    return Change(
        at_us=1_000_000 * (number + 1),
        seen_us=1_000_000 * (number + 1) - 500,
        reason=f"step {number + 1}",
        after=number,
        documents=[
            a_document(id_, token=str(number + 1), n_chunks=N_PLACES, metadata={"step": number + 1})
            for id_ in sorted({id_ for id_, _ in born})
        ],
        chunks=[a_chunk(id_, after[id_, position], position) for id_, position in born],
        dead_chunks=dead,
        dead_documents=gone,
    )


@cache
def standing(number: int) -> Standing:
    """What is alive in a generation: six documents are written anew each time, a place of them stays, and one document goes."""
    if number == 0:
        return {}
    alive = dict(standing(number - 1))
    for i in range(6 if number > 1 else N_DOCUMENTS):
        id_ = f"doc{(number * 5 + i) % N_DOCUMENTS:02}.md"
        for position in range(N_PLACES):
            if position != number % N_PLACES or (id_, position) not in alive:
                alive[id_, position] = text_of(id_, position, number)
    gone = f"doc{(number * 7) % N_DOCUMENTS:02}.md"
    return {place: alive[place] for place in sorted(alive) if place[0] != gone}


def put(store: IndexStore, *chunks: ChunkRow, **changes: Any) -> Generation:
    """Make a generation with these chunks, and with the documents that they are of where none are given."""
    documents = changes.pop("documents", None)
    if documents is None:
        documents = [a_document(id_) for id_ in dict.fromkeys(chunk.document for chunk in chunks)]
    after = store.generation().number
    at_us = 1_000 * (after + 1)
    return store.apply(Change(at_us, at_us, "test", after, documents, chunks, **changes))


def texts(store: IndexStore, hits: Sequence[Hit]) -> list[str]:
    """Texts of what was found, in order."""
    return [row.text if row else "?" for row in store.fetch([hit.key for hit in hits])]


def places(store: IndexStore, as_of: int = 0) -> dict[tuple[str, int], str]:
    """(document, position) → text, of what is alive."""
    return {(row.document, row.position): row.text for row in store.chunks(as_of)}


def step(store: IndexStore) -> Generation:
    """Make the next generation of the world of `index_world`."""
    keys = {(row.document, row.position): row.key for row in store.chunks()}
    return store.apply(change_of(store.generation().number, keys))
