"""The source's half of a census: what it lists and says against what an index's record says. Pure; `loop.work.indexes.counting` looks.

A token that is equal is an equal document: nothing of it is read. Where it differs the bytes decide, so a file that was only
touched is no finding. Nothing is said of what a source lacks unless it answered whole, twice: a rename between two looks at a
folder is seen as neither a loss nor a ghost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.engines.retrieval.protocols import Recorded
from perdure.engines.retrieval.skew import Skew, Waiting

_DAMAGED = "What the record says of it is not what was written."
UNSETTLED = "vanished"
"""Code of the trouble of a document that went, or moved, while it was read."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What every chunk of a version should be."""

    embedder: str
    """Fingerprint."""
    chunker: str
    """Fingerprint."""
    dimensions: int
    checksum: Callable[[Any], int]
    """Of a row, as its store computes it."""
    digest_at: Callable[[int], str]
    """Of the row with a key; asked only of two at one place."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a source listed."""

    refs: Mapping[str, DocumentRef]
    troubles: Mapping[str, str]
    """Document → code, of what could not be listed."""
    whole: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What reading a document gave: its token and digest then, or the code of its trouble."""

    token: str = ""
    digest: str = ""
    trouble: str = ""


@dataclass(slots=True)
class SourceFindings:
    """The source's half of a census."""

    skews: list[Skew] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)


def note(listed: Iterable[DocumentRef | Trouble], refs: dict[str, DocumentRef], troubles: dict[str, str]) -> None:
    """Add what a source lists to what was seen, until it ends or raises; of a second document of an id the first counts."""
    for each in listed:
        if isinstance(each, Trouble):
            troubles.setdefault(each.id, each.code)
        else:
            refs.setdefault(each.id, each)


def read_of(found: RawDocument | Trouble) -> Read:
    """What is kept of a document that was read: its bytes are not."""
    if isinstance(found, Trouble):
        return Read(trouble=found.code)
    return Read(found.ref.token, found.digest)


def to_read(record: Mapping[str, Recorded], seen: Seen, *, deep: bool) -> list[DocumentRef]:
    """Documents whose bytes must be looked at: tokens differ, or everything is read."""
    return [
        ref
        for id_, ref in seen.refs.items()
        if (row := record.get(id_)) is not None and (deep or ref.token != row.token) and not row.damaged
    ]


def compare_source(
    record: Mapping[str, Recorded], seen: Seen, again: Seen | None, read: Mapping[str, Read]
) -> SourceFindings:
    """What the source says against what the record says.

    Args:
        record: by id.
        seen: what the source listed.
        again: a second listing, made where the first lacked or had more documents than the record; None: it was not needed.
        read: of the documents of `to_read`.
    """
    found = SourceFindings(troubles=dict(seen.troubles))
    for id_, row in record.items():
        if row.trouble and id_ in seen.refs:
            found.troubles[id_] = row.trouble
        if row.damaged and not lacks(seen, id_):
            found.skews.append(Skew("corrupt", id_, why=_DAMAGED, part="record"))
    _missing(record, seen, again, found)
    _gone(record, seen, again, found)
    for id_, told in read.items():
        _changed(record[id_], seen.refs[id_], told, found)
    return found


def differs(record: Mapping[str, Recorded], seen: Seen) -> bool:
    """Whether source and record name different documents, so that a second look is due before anything is said of it."""
    if seen.refs.keys() == record.keys():
        return False
    return not seen.refs.keys() <= record.keys() or any(lacks(seen, id_) for id_ in record.keys() - seen.refs.keys())


def _missing(record: Mapping[str, Recorded], seen: Seen, again: Seen | None, found: SourceFindings) -> None:
    if seen.refs.keys() <= record.keys():
        return
    for id_, ref in seen.refs.items():
        if id_ in record:
            continue
        if again is not None and again.whole and id_ not in again.refs:
            found.unsettled.append(id_)
            continue
        found.skews.append(Skew("missing", id_, why="It was never indexed.", since_us=ref.changed_us))
        _waits(ref, found)


def _gone(record: Mapping[str, Recorded], seen: Seen, again: Seen | None, found: SourceFindings) -> None:
    if not seen.whole or (again is not None and not again.whole):
        return
    for id_ in record:
        if id_ in seen.refs or not lacks(seen, id_):
            continue
        if again is not None and not lacks(again, id_):
            found.unsettled.append(id_)
        else:
            found.skews.append(Skew("ghost", id_, why="Its source has it no more."))


def lacks(seen: Seen, id_: str) -> bool:
    """Whether a source says nothing of a document; one that is, or lies below, what could not be listed may be there."""
    if id_ in seen.refs or id_ in seen.troubles:
        return False
    ends = [place for place, letter in enumerate(id_) if letter == "/"]
    return not any(id_[:end] in seen.troubles or id_[: end + 1] in seen.troubles for end in ends)


def _changed(row: Recorded, ref: DocumentRef, told: Read, found: SourceFindings) -> None:
    if told.trouble == UNSETTLED:
        found.unsettled.append(row.id)
    elif told.trouble:
        found.troubles[row.id] = told.trouble
        if told.trouble == row.trouble and ref.token != row.token:
            found.touched.append(row.id)
        elif told.trouble != row.trouble:
            why = f"It cannot be read any more ({told.trouble}): what is found of it is what it was before."
            found.skews.append(Skew("stale", row.id, why=why, since_us=ref.changed_us))
    elif row.trouble and ref.token == row.token:
        return
    elif told.digest != row.digest:
        why = "It has other bytes than those that were indexed."
        found.troubles.pop(row.id, None)
        found.skews.append(Skew("stale", row.id, why=why, since_us=ref.changed_us))
        _waits(ref, found)
    elif row.trouble or told.token == ref.token != row.token:
        # What keeps it from being indexed is looked at again: it may be over.
        found.touched.append(row.id)


def _waits(ref: DocumentRef, found: SourceFindings) -> None:
    if ref.changed_us is not None:
        found.waiting.append(Waiting(ref.id, ref.changed_us))


def settled(skews: Sequence[Skew], moved: frozenset[str]) -> list[Skew]:
    """Without what was said of documents that moved while the census was taken."""
    return [skew for skew in skews if skew.document not in moved]
