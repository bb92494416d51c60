"""The Protocol of what keeps one version of an index.

Everything of a generation is written in one transaction, so the record of documents, the chunks, their vectors and their words
cannot diverge by a crash: after kill -9 there is the old generation or the new one. What a generation replaced stays until it is
pruned, so a question can be asked as of a past instant.

A generation is named by its number, and 0 is the newest where one is asked as of. A generation that was pruned, or never was,
is `NotFound`: nobody is given half of what he asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from perdure.core.documents import Hit, Scalar, Where
from perdure.stores.vectors.packing import pack

if TYPE_CHECKING:
    from perdure.stores.vectors.standing import ChunkBatch


class Generation(msgspec.Struct, frozen=True):
    """A state of an index."""

    number: int
    """0: nothing was ever written."""
    at_us: int
    """Domain time of the write."""
    reason: str = ""
    n_documents: int = 0
    """Of its record, those in trouble too."""
    n_chunks: int = 0
    seen_us: int = 0
    """Domain time at which the source was listed for it: the index is as fresh as that."""


class DocumentRow(msgspec.Struct, frozen=True, gc=False):
    """What the index's own record says of a document."""

    id: str
    token: str
    digest: str
    """`RawDocument.digest` of what was indexed; of what is in trouble that of its bytes, where they could be read."""
    media_type: str
    n_chunks: int
    chunker: str
    """Fingerprint of the chunker, parsers included."""
    changed_us: int | None
    indexed_us: int
    """Domain time at which this version of it became visible."""
    first_us: int
    """Domain time at which the document was first indexed."""
    title: str = ""
    metadata: Mapping[str, Scalar] = {}
    readers: Sequence[str] | None = None
    trouble: str = ""
    """Code of what keeps it from being indexed, such as `encrypted`; its chunks are none then."""
    damaged: bool = False
    """It is not what was written: its id is all that is told of it, and nobody may read it."""


class RecordedRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Of a `DocumentRow` what a census compares."""

    id: str
    token: str
    digest: str
    n_chunks: int
    chunker: str
    trouble: str
    checksum: int
    """Of all that is not told here: rows that are equal here are equal."""
    damaged: bool = False
    """It is not what was written: its id is all that is told of it."""


class ChunkRow(msgspec.Struct, frozen=True, gc=False):
    """A chunk as it is kept."""

    key: int
    """Never given twice; 0: not kept yet."""
    document: str
    position: int
    start: int
    end: int
    text: str
    context: str
    digest: str
    """`Chunk.digest`: of what was embedded."""
    form: str
    vector: bytes
    """Little-endian float32, of length 1 or all zeros; empty: it is found by its words alone."""
    embedder: str
    """Fingerprint of what made the vector."""
    chunker: str
    checksum: int = 0
    """`checksum_of` when it was written: the store sets it, as it sets `key`, `born` and `died`."""
    parent: tuple[int, int] | None = None
    data: bytes = b""
    born: int = 0
    """First generation that has it."""
    died: int = 0
    """First generation that has it no more; 0: it is alive."""


def checksum_of(row: ChunkRow) -> int:
    """CRC-32 over all that a chunk says: its making, its document, and what is its own (`packing`).

    It finds what disks, crashes and careless hands do, not what somebody forges. Cost: 2 µs for 3 kB.

    >>> row = ChunkRow(1, "a.md", 0, 0, 2, "hi", "", "d1", "text", b"", "e1", "c1")
    >>> checksum_of(row) == checksum_of(msgspec.structs.replace(row, key=2, born=7, died=9, checksum=5))
    True
    >>> checksum_of(row) == checksum_of(msgspec.structs.replace(row, text="ho"))
    False
    """
    return int.from_bytes(pack(row)[-4:], "little")


class Damage(msgspec.Struct, frozen=True):
    """Something that no row tells: what finds chunks by their words does not match them, or the store itself is damaged."""

    kind: Literal["missing", "orphan", "corrupt"]
    part: Literal["words", "record", "store"]
    """Words are made anew by `mend`, and lives of rows set right; a damaged store is built anew."""
    key: int
    """Of the chunk; 0: nobody knows, or all."""
    document: str
    why: str


class Change(msgspec.Struct, frozen=True):
    """What makes the next generation: applied whole, or not at all."""

    at_us: int
    seen_us: int
    reason: str
    after: int
    """Number of the generation that it was made from."""
    documents: Sequence[DocumentRow] = ()
    """New or changed: each replaces what the record says of its id, and leaves the chunks that are there."""
    chunks: Sequence[ChunkRow] = ()
    """New; keys are given by the store."""
    dead_chunks: Sequence[int] = ()
    """Keys; one that is dead or unknown is no error."""
    dead_documents: Sequence[str] = ()
    """Ids; their chunks die with them."""


class Query(msgspec.Struct, frozen=True):
    """What a store is asked that searches itself."""

    k: int
    vector: bytes = b""
    """Little-endian float32; empty: not by vectors."""
    words: str = ""
    """As asked, words and nothing else: there is no syntax in it; empty: not by words."""
    where: Where = {}
    groups: Sequence[str] | None = None
    """Of who asks; None: everything may be found. Of the past, too, what they may read now, or could last."""
    as_of: int = 0
    """Generation; 0: the newest."""


class IndexStore(Protocol):
    """One version of one index. Safe to share between threads; one process writes, others read meanwhile.

    Every method raises `StoreError` where the store is locked, damaged or not there. Generations follow each other by 1.
    """

    resident: bool
    """Whether it is small enough to be held in memory by who searches; else it is asked by `search`."""

    def generation(self) -> Generation:
        """The newest; number 0 where nothing was ever written. Cost: some 10 µs."""
        ...

    def generations(self) -> Sequence[Generation]:
        """Those that can still be asked, oldest first."""
        ...

    def apply(self, change: Change) -> Generation:
        """Make the next generation, in one step, durable when it returns. Keys rise in the order of the chunks.

        Raises:
            Conflict: another generation was made meanwhile; nothing is written.
            StoreFull: the disk is full; nothing is written.
            BadIndex: a row that cannot be kept: a lone surrogate, a number over 64 bits, half a float; nothing is written.
        """
        ...

    def documents(self, as_of: int = 0) -> Iterator[DocumentRow]:
        """The record of documents, by id; one generation whole, whatever is written meanwhile.

        Raises:
            NotFound: that generation is not there.
        """
        ...

    def recorded(self, as_of: int = 0) -> dict[str, RecordedRow]:
        """The record of `documents(as_of)`, for who compares all of it: by id, in its order. Cost: 1 µs a document.

        Raises:
            NotFound: that generation is not there.
        """
        ...

    def find_documents(self, ids: Sequence[str], as_of: int = 0) -> list[DocumentRow | None]:
        """What the record says of those documents, in order; None: it has none of that id. Cost: some 10 µs each.

        Raises:
            NotFound: that generation is not there.
        """
        ...

    def chunks(self, as_of: int = 0, after: int = -1) -> Iterator[ChunkRow]:
        """Chunks that are alive, by key, as they really stand there; one generation whole, whatever is written meanwhile.

        `after`: those born or died in later generations than it, to follow by. Cost: 10 µs a chunk.

        Raises:
            NotFound: the generation `as_of`, or `after`, is not there: who followed must begin anew.
        """
        ...

    def standing(self, as_of: int = 0) -> Iterator[ChunkBatch]:
        """The chunks of `chunks(as_of)` by columns, held against their checksums; for who looks at all of them. Cost: 4 µs a chunk.

        Raises:
            NotFound: that generation is not there.
        """
        ...

    def fetch(self, keys: Sequence[int]) -> list[ChunkRow | None]:
        """By key, alive or dead, in order; None: it is not there. Cost: some 6 µs a row."""
        ...

    def chunks_of(self, documents: Sequence[str]) -> list[ChunkRow]:
        """Chunks that are alive now, of those documents, by key, as they really stand there. Cost: 10 µs a document and a chunk."""
        ...

    def damage(self, *, deep: bool = False) -> list[Damage]:
        """What no row tells of what is alive; `deep`: word by word, which takes the writer's place meanwhile."""
        ...

    def mend(self) -> int:
        """Make anew what is derived from chunks, that is their words; how many chunks. No generation: nothing of them changes.

        Rows that were born or are to die in a generation that is not there yet are alive, or dead, as of now.
        """
        ...

    def search(self, query: Query) -> list[Hit]:
        """The k best by vectors, words or both fused, best first; `Hit.dense` and `Hit.lexical` are told where asked for.

        Only chunks of documents in the record are found, and only those that `where` and `groups` leave are ranked.

        Raises:
            NotFound: that generation is not there.
            BadIndex: the vector is none of this index: another length, or numbers that are none.
        """
        ...

    def prune(self, before: int) -> int:
        """Forget what died before a generation; how many chunks. What was alive in it or later stays; the newest always does."""
        ...

    def close(self) -> None:
        """Let go of what is open; what was applied stays."""
        ...
