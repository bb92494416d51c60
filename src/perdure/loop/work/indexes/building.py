"""Documents to rows of an index: read, cut, and given vectors, of which as many as can be are those of before.

A vector is known by the digest of what was embedded: of a sound row of the same document, else of the cache, which outlives a kill
and holds those of every version of the same embedder. What is left is embedded in batches, each kept as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Chunk, RawDocument
from perdure.core.errors import UpstreamBad
from perdure.engines.retrieval.census_chunks import content_digest, content_of, vector_faults
from perdure.engines.retrieval.embedders.batching import OnProgress, Refusal, embedded
from perdure.engines.retrieval.protocols import Unparsable
from perdure.loop.work.indexes.opening import OpenIndex
from perdure.stores.vectors.protocols import Change, ChunkRow, DocumentRow, checksum_of

_EMBED_AT_ONCE = 64
_WIDE = 2**63
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written down of a document that is not indexed as it was read."""

    id: str
    token: str
    """As it was read."""
    code: str = ""
    """Of what keeps it from being indexed; empty: nothing does."""
    digest: str = ""
    """Of the bytes that were read, by which a file that is only touched is known; empty: nobody could read them."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What of a document stays as it is where it cannot be embedded."""

    row: DocumentRow | None
    token: str
    """As it was read, like its digest."""
    digest: str
    dead: frozenset[int]
    """Its chunks that were to go."""
    at_us: int


@dataclass(slots=True)
class Draft:
    """The next generation while it is made."""

    documents: list[DocumentRow] = field(default_factory=list)
    chunks: list[ChunkRow] = field(default_factory=list)
    """Their vectors are filled in by `embed`."""
    dead_chunks: set[int] = field(default_factory=set)
    dead_documents: list[str] = field(default_factory=list)
    known: dict[str, bytes] = field(default_factory=dict)
    """Digest → vector, of sound rows that are there."""
    unsure: set[str] = field(default_factory=set)
    """Digests whose vectors are to be made anew whatever is known of them."""
    before: dict[str, _Standing] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    """Document → code, of those that could not be embedded."""

    def change(self, at_us: int, seen_us: int, reason: str, after: int) -> Change | None:
        """As the store applies it; None where nothing is to be done."""
        if not (self.documents or self.chunks or self.dead_chunks or self.dead_documents):
            return None
        return Change(
            at_us, seen_us, reason, after, self.documents, self.chunks, sorted(self.dead_chunks), self.dead_documents
        )


def draft_document(
    opened: OpenIndex, raw: RawDocument, before: DocumentRow | None, there: Sequence[ChunkRow], at_us: int, draft: Draft
) -> str:
    """Add what makes the index say of a document what its source says; what is right already stays as it is.

    Args:
        opened: the version.
        raw: as it was read.
        before: what the record says of it; None: nothing.
        there: its chunks that are alive, as they stand.
        at_us: domain time at which this becomes visible.
        draft: to add to.

    Returns: the code of what keeps it from being indexed; empty: it is.
    """
    try:
        title, chunks = opened.chunker.chunk(raw)
        _check_keepable(raw, title, chunks)
    except Unparsable as error:
        draft_mark(Mark(raw.ref.id, raw.ref.token, error.code, raw.digest), before, at_us, draft)
        return error.code
    sound = _sound(opened, there)
    kept = _kept(opened, chunks, sound, draft.unsure)
    dead = frozenset(row.key for row in there) - {row.key for row in kept.values()}
    draft.before[raw.ref.id] = _Standing(before, raw.ref.token, raw.digest, dead, at_us)
    draft.dead_chunks |= dead
    draft.known.update({row.digest: row.vector for row in sound if row.digest not in draft.unsure})
    draft.chunks += [_as_row(opened, chunk) for chunk in chunks if chunk.position not in kept]
    row = _as_document(opened, raw, title, len(chunks), before, at_us)
    if row != before:
        draft.documents.append(row)
    return ""


def _check_keepable(raw: RawDocument, title: str, chunks: Sequence[Chunk]) -> None:
    """See that a store can keep a document: one that it cannot would keep all others of its generation out.

    Raises:
        Unparsable: it has half a character, or a number of more than 64 bits.
    """
    told = [*raw.metadata, *raw.metadata.values(), *(raw.readers or ()), raw.media_type, title]
    if any(isinstance(each, int) and not -_WIDE <= each < _WIDE for each in told):
        raise Unparsable("unparsable", "its metadata has a number of more than 64 bits")
    texts = [each for each in told if isinstance(each, str)]
    for text in (*texts, *(part for chunk in chunks for part in (chunk.text, chunk.context))):
        if not text.isascii() and _HALF.search(text):
            raise Unparsable("encoding", "it has half a character: a lone surrogate")


def draft_mark(mark: Mark, before: DocumentRow | None, at_us: int, draft: Draft) -> None:
    """Mark a document with the code of what keeps it from being indexed, or with none; what is there of it from before stays."""
    if before is not None:
        digest = mark.digest or before.digest
        row = msgspec.structs.replace(before, token=mark.token, digest=digest, trouble=mark.code)
    else:
        row = DocumentRow(mark.id, mark.token, mark.digest, "", 0, "", None, at_us, at_us, trouble=mark.code)
    if row != before:
        draft.documents.append(row)


def draft_embedded(
    opened: OpenIndex, before: DocumentRow | None, there: Sequence[ChunkRow], at_us: int, draft: Draft
) -> None:
    """Make the vectors of chunks of a document anew, whose texts are what they should be."""
    if before is not None:
        draft.before[before.id] = _Standing(
            before, before.token, before.digest, frozenset(row.key for row in there), at_us
        )
    for row in there:
        draft.dead_chunks.add(row.key)
        draft.unsure.add(row.digest)
        draft.chunks.append(
            msgspec.structs.replace(row, key=0, vector=b"", embedder=opened.embedder.fingerprint, born=0, died=0)
        )


def embed(opened: OpenIndex, draft: Draft, told: OnProgress) -> int:
    """Fill in the vectors of a draft; how many texts were embedded.

    A document that the embedder cannot read stays as it is, and is marked `not_embedded`; the rest goes on.

    Args:
        opened: the version.
        draft: whose chunks have none yet.
        told: called after each batch, when it is in the cache.

    Raises:
        UpstreamError, NotReady: as the embedder; vectors that were made before are in the cache.
    """
    wanted = {row.digest: row for row in draft.chunks}
    vectors = {digest: draft.known[digest] for digest in wanted.keys() & draft.known.keys()}
    asked = [digest for digest in wanted if digest not in vectors and digest not in draft.unsure]
    size = 4 * opened.embedder.dimensions
    found = opened.cache.find(opened.embedder.fingerprint, asked)
    vectors.update({digest: vector for digest, vector in found.items() if len(vector) == size})
    rest = [row for digest, row in wanted.items() if digest not in vectors]
    parts = [rest[begin : begin + _EMBED_AT_ONCE] for begin in range(0, len(rest), _EMBED_AT_ONCE)]
    contents = [content_of(row) for row in rest]
    outcomes = embedded(opened.embedder, contents, batch=_EMBED_AT_ONCE, on_progress=told, workers=opened.workers)
    for part, outcome in zip(parts, outcomes, strict=True):
        if outcome is None:
            continue
        if isinstance(outcome, Refusal):
            made, refused = _made_alone(opened, part)
        else:
            made, refused = _by_digest(opened, part, outcome), {}
        opened.cache.put(opened.embedder.fingerprint, made)
        vectors.update(made)
        _take_back(draft, refused)
    draft.chunks = [msgspec.structs.replace(row, vector=vectors[row.digest]) for row in draft.chunks]
    return len(rest)


def _by_digest(opened: OpenIndex, rows: Sequence[ChunkRow], found: NDArray[np.float32]) -> dict[str, bytes]:
    sound = _checked(opened, len(rows), found)
    return {row.digest: vector.tobytes() for row, vector in zip(rows, sound, strict=True)}


def _made_alone(opened: OpenIndex, rows: Sequence[ChunkRow]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Vectors by digest, and digest → code of what the embedder cannot read, of rows that are embedded one by one."""
    made: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for row in rows:
        try:
            made |= _by_digest(opened, [row], opened.embedder.embed([content_of(row)]))
        except Unparsable as error:
            refused[row.digest] = error.code
    return made, refused


def _take_back(draft: Draft, refused: Mapping[str, str]) -> None:
    """Leave documents with such contents as they are, but for the code of their trouble."""
    if not refused:
        return
    wrong = {row.document: refused[row.digest] for row in draft.chunks if row.digest in refused}
    draft.chunks = [row for row in draft.chunks if row.document not in wrong]
    draft.documents = [row for row in draft.documents if row.id not in wrong]
    for id_, code in wrong.items():
        standing = draft.before.get(id_)
        if standing is not None:
            draft.dead_chunks -= standing.dead
            mark = Mark(id_, standing.token, code, standing.digest)
            draft_mark(mark, standing.row, standing.at_us, draft)
    draft.troubles |= wrong


def vectors_now(opened: OpenIndex, rows: Sequence[ChunkRow]) -> NDArray[np.float32]:
    """What chunks are embedded to now, shape (len(rows), dimensions): of length 1 or all zeros, whatever an embedder gives.

    Raises:
        UpstreamError, NotReady: as the embedder; or what it gives are no vectors of the declared kind.
    """
    return _checked(opened, len(rows), opened.embedder.embed([content_of(row) for row in rows]))


def _checked(opened: OpenIndex, n_rows: int, given: NDArray[np.float32]) -> NDArray[np.float32]:
    found = np.ascontiguousarray(given, "<f4")
    shape = (n_rows, opened.embedder.dimensions)
    if found.shape != shape:
        raise UpstreamBad(
            f"The embedder of {opened.index.name!r} gave vectors of shape {found.shape}, not {shape}.",
            hint="Declare the dimensions that it gives.",
        )
    faults = vector_faults([vector.tobytes() for vector in found], opened.embedder.dimensions)
    wrong = next((fault for fault in faults if fault), "")
    if wrong:
        raise UpstreamBad(
            f"The embedder of {opened.index.name!r} gave what is no vector: {wrong}",
            hint="Vectors are finite, and of length 1.",
        )
    return found


def _sound(opened: OpenIndex, there: Sequence[ChunkRow]) -> list[ChunkRow]:
    """Rows that are what they were when they were written, by the embedder that is declared."""
    faults = vector_faults([row.vector for row in there], opened.embedder.dimensions)
    return [
        row
        for row, fault in zip(there, faults, strict=True)
        if not fault
        and row.embedder == opened.embedder.fingerprint
        and checksum_of(row) == row.checksum
        and content_digest(row) == row.digest
    ]


def _kept(
    opened: OpenIndex, chunks: Sequence[Chunk], sound: Sequence[ChunkRow], unsure: set[str]
) -> dict[int, ChunkRow]:
    """Position → the row that stays, where one stands there already just as it should."""
    wanted = {chunk.position: chunk for chunk in chunks}
    kept: dict[int, ChunkRow] = {}
    for row in sound:
        chunk = wanted.get(row.position)
        if chunk is None or row.position in kept or row.digest in unsure:
            continue
        if _place(opened, chunk) == (row.digest, row.start, row.end, row.form, row.parent, row.chunker, row.text):
            kept[row.position] = row
    return kept


def _place(opened: OpenIndex, chunk: Chunk) -> tuple[object, ...]:
    here = (chunk.digest, chunk.start, chunk.end, chunk.form, chunk.parent)
    return (*here, opened.chunker.fingerprint, chunk.text)


def _as_row(opened: OpenIndex, chunk: Chunk) -> ChunkRow:
    return ChunkRow(
        key=0,
        document=chunk.document,
        position=chunk.position,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        context=chunk.context,
        digest=chunk.digest,
        form=chunk.form,
        vector=b"",
        embedder=opened.embedder.fingerprint,
        chunker=opened.chunker.fingerprint,
        parent=chunk.parent,
        data=chunk.data,
    )


def _as_document(
    opened: OpenIndex, raw: RawDocument, title: str, n_chunks: int, before: DocumentRow | None, at_us: int
) -> DocumentRow:
    same = before is not None and before.digest == raw.digest and before.n_chunks == n_chunks
    return DocumentRow(
        id=raw.ref.id,
        token=raw.ref.token,
        digest=raw.digest,
        media_type=raw.media_type,
        n_chunks=n_chunks,
        chunker=opened.chunker.fingerprint,
        changed_us=before.changed_us if before is not None and same else raw.ref.changed_us,
        indexed_us=before.indexed_us if before is not None and same else at_us,
        first_us=before.first_us if before is not None else at_us,
        title=title,
        metadata=dict(raw.metadata),
        readers=None if raw.readers is None else list(raw.readers),
    )
