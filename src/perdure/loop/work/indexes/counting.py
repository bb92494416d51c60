"""Takes a census: source, record and index are really read, and held against each other. See `engines.retrieval.skew`.

The index is read as it stood at one generation, and the source is listed after it. Whatever was written to the index meanwhile, or
moved at the source between two looks, is left out: a census that runs beside the sync says nothing that is not so.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from zlib import crc32

from perdure.core.clock import cpu_s
from perdure.core.documents import DocumentRef
from perdure.core.errors import Corrupt, NotFound, NotReady, StoreError, UpstreamError
from perdure.engines.retrieval.census import (
    Expected,
    Read,
    Seen,
    SourceFindings,
    compare_source,
    differs,
    note,
    read_of,
    settled,
    to_read,
)
from perdure.engines.retrieval.census_chunks import TURNS, ChunkCensus, compare_embedded
from perdure.engines.retrieval.protocols import Unparsable
from perdure.engines.retrieval.skew import Census, Skew
from perdure.loop.work.indexes.building import vectors_now
from perdure.loop.work.indexes.opening import OpenIndex
from perdure.stores.vectors.protocols import ChunkRow, RecordedRow, checksum_of
from perdure.stores.vectors.standing import ChunkBatch, batch_of

_EMBED_AT_ONCE = 64
N_SAMPLE = 8
"""Chunks of a census that are embedded anew: of a silently changed embedder every one tells."""


@dataclass(frozen=True, slots=True)
class Look:
    """How far a census looks; by default at everything."""

    only: Collection[str] | None = None
    """Something is said of these documents alone, as after a repair of them."""
    chunks: bool = True
    """False: at source and record alone, which is what following a source takes."""
    n_sample: int = N_SAMPLE
    """So many chunks are embedded anew; of a deep census all."""
    seen: Seen | None = None
    """What the source listed just now; None: it is listed."""


def take_census(opened: OpenIndex, at_us: int, deep: bool = False, *, look: Look | None = None) -> Census:
    """Hold source, record and index against each other.

    Args:
        opened: the version.
        at_us: domain time.
        deep: read every document whatever its token says, compare every word and every text's digest, and embed every chunk anew.
        look: how far to look; None: at everything.

    Cost: some 6 µs a document and 3 µs a chunk; what changed is read.

    Raises:
        StoreError: the index's own store does not answer. A source that does not, and a store that is damaged, are told in the census:
            `whole` is False.
    """
    try:
        # A deep census embeds, which may take hours and leave cycles behind.
        with nullcontext() if deep else _uncollected():
            return _taken(opened, at_us, look or Look(), deep=deep)
    except Corrupt as error:
        damage = Skew("corrupt", "", why=error.message, part="store")
        why = "The index's own store is damaged, so nothing is compared with it."
        name = opened.index.name
        return Census(name, opened.version, 0, at_us, 0, 0, 0, skews=[damage], whole=False, why_not=why, deep=deep)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Rows hold no cycles, and Python's collector would look through all of them: a quarter of a census."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _taken(opened: OpenIndex, at_us: int, look: Look, *, deep: bool) -> Census:
    only = look.only
    began, generation = cpu_s(), opened.store.generation().number
    record = _record(opened, generation, only)
    looked = _Looked(opened, record, generation, only)
    found = _source(opened, record, look, deep=deep)
    if look.chunks:
        looked.at_chunks(at_us, deep=deep, n_sample=look.n_sample)
    moved = _moved(opened, record, generation, only)
    return Census(
        index=opened.index.name,
        version=opened.version,
        generation=generation,
        at_us=at_us,
        n_source=found.n_source,
        n_documents=len(record),
        n_chunks=looked.n_chunks,
        skews=settled([*found.told.skews, *looked.skews], moved),
        troubles=found.told.troubles,
        waiting=[each for each in found.told.waiting if each.document not in moved],
        whole=found.seen.whole,
        why_not=found.seen.why_not,
        n_embedded=looked.n_embedded,
        cpu_s=cpu_s() - began,
        deep=deep,
        touched=[id_ for id_ in found.told.touched if id_ not in moved],
        unsettled=sorted({*found.told.unsettled, *moved}),
        notes=[*found.notes, *looked.notes],
    )


class _Looked:
    """What was found of the chunks of a generation."""

    def __init__(
        self, opened: OpenIndex, record: Mapping[str, RecordedRow], generation: int, only: Collection[str] | None
    ) -> None:
        self._opened = opened
        self._record = record
        self._generation = generation
        self._only = only
        self.n_chunks = 0
        self.n_embedded = 0
        self.skews: list[Skew] = []
        self.notes: list[str] = []

    def at_chunks(self, at_us: int, *, deep: bool, n_sample: int) -> None:
        seed = f"{self._opened.version}:{at_us}"
        census: ChunkCensus[ChunkRow] = ChunkCensus(
            self._record,
            _expected(self._opened),
            sample=(0 if deep else n_sample, seed),
            turn=None if deep or self._only is not None else crc32(seed.encode()) % TURNS,
        )
        try:
            for batch in self._batches():
                sound = census.add(batch)
                if deep:
                    self._embed_anew([batch.row(place) for place in sound])
        except Corrupt as error:
            # What could not be read is unknown, not missing.
            self.n_chunks, self.skews = census.n_chunks, [*self.skews, *census.skews]
            self.skews.append(Skew("corrupt", "", why=error.message, part="store"))
            return
        self.n_chunks = census.n_chunks
        self.skews += census.finish()
        self._embed_anew(census.sample)
        if self._only is None:
            damage = self._opened.store.damage(deep=deep)
            self.skews += [Skew(each.kind, each.document, each.key, each.why, part=each.part) for each in damage]

    def _batches(self) -> Iterator[ChunkBatch]:
        store = self._opened.store
        if self._only is None:
            return store.standing(self._generation) if self._generation else iter(())
        rows = store.chunks_of(sorted(self._only))
        return iter([batch_of(rows)] if rows else [])

    def _embed_anew(self, rows: Sequence[ChunkRow]) -> None:
        for begin in range(0, len(rows), _EMBED_AT_ONCE):
            part = rows[begin : begin + _EMBED_AT_ONCE]
            try:
                again = vectors_now(self._opened, part)
            except (UpstreamError, NotReady, Unparsable) as error:
                if not self.notes:
                    self.notes.append(f"Nothing was embedded anew: {error.message}")
                return
            self.n_embedded += len(part)
            self.skews += compare_embedded(part, again)


class _Found:
    """What was found at the source."""

    def __init__(self, seen: Seen, told: SourceFindings, notes: Sequence[str]) -> None:
        self.seen = seen
        self.told = told
        self.notes = notes
        self.n_source = len(seen.refs)


def _source(opened: OpenIndex, record: Mapping[str, RecordedRow], look: Look, *, deep: bool) -> _Found:
    only = look.only
    seen = list_source(opened, only) if look.seen is None else _of_these(look.seen, only)
    again = list_source(opened, only) if differs(record, seen) else None
    read, notes = _read(opened, to_read(record, seen, deep=deep))
    if notes:
        # What was listed is known, and what it holds now is not.
        seen = Seen(seen.refs, seen.troubles, whole=False, why_not=notes[0])
    return _Found(seen, compare_source(record, seen, again, read), notes)


def _of_these(seen: Seen, only: Collection[str] | None) -> Seen:
    if only is None:
        return seen
    return replace(seen, refs={id_: ref for id_, ref in seen.refs.items() if id_ in only})


def list_source(opened: OpenIndex, only: Collection[str] | None = None) -> Seen:
    """What the source lists now; one that does not answer, or only in part, is not `whole`."""
    refs: dict[str, DocumentRef] = {}
    troubles: dict[str, str] = {}
    listed = opened.documents.list()
    try:
        note(listed if only is None else (each for each in listed if each.id in only), refs, troubles)
    except StoreError as error:
        # What came before it failed is kept.
        return Seen(refs, troubles, whole=False, why_not=error.message)
    return Seen(refs, troubles)


def _read(opened: OpenIndex, refs: Sequence[DocumentRef]) -> tuple[dict[str, Read], list[str]]:
    read: dict[str, Read] = {}
    try:
        for ref, found in zip(refs, opened.documents.read(refs), strict=False):
            read[ref.id] = read_of(found)
    except StoreError as error:
        return read, [f"The source could not be read: {error.message}"]
    return read, []


def _record(opened: OpenIndex, generation: int, only: Collection[str] | None) -> dict[str, RecordedRow]:
    if not generation:
        return {}
    record = opened.store.recorded(generation)
    return record if only is None else {id_: row for id_, row in record.items() if id_ in only}


def _moved(
    opened: OpenIndex, record: Mapping[str, RecordedRow], generation: int, only: Collection[str] | None
) -> frozenset[str]:
    """Documents that were indexed anew, or went, while the census was taken."""
    now = opened.store.generation().number
    if now == generation:
        return frozenset()
    newer = _record(opened, now, only)
    changed = {id_ for id_, row in newer.items() if record.get(id_) != row}
    touched: set[str] = set()
    if generation:
        with suppress(NotFound):  # pruned meanwhile: then the records alone tell
            touched = {row.document for row in opened.store.chunks(now, generation)}
    return frozenset(changed | touched | (record.keys() - newer.keys()))


def _expected(opened: OpenIndex) -> Expected:
    embedder = opened.embedder

    def digest_at(key: int) -> str:
        [row] = opened.store.fetch([key])
        return row.digest if row else ""

    return Expected(embedder.fingerprint, opened.chunker.fingerprint, embedder.dimensions, checksum_of, digest_at)
