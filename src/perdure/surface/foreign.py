"""Censuses of indexes that other tools keep: nothing of ours is needed, no project and no record, and nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.errors import BadIndex, StoreError

if TYPE_CHECKING:
    from perdure.core.documents import RawDocument
    from perdure.engines.retrieval.foreign_census import ForeignCensus
    from perdure.engines.retrieval.foreign_naming import Naming
    from perdure.engines.retrieval.foreign_words import DocumentText
    from perdure.stores.vectors.foreign import ForeignIndex

N_SAMPLE = 64
"""Rows of a census that are searched by their own vectors."""
_K = 10
_LEARNT_FROM = 5_000
"""Rows by which it is learnt how they name their documents."""


@dataclass(frozen=True, slots=True)
class ForeignAsked:
    """How an index of others is to be understood.

    Args:
        include: patterns of the files that should be in it.
        member: of the rows' metadata, that names their documents; empty: it is found.
        text: member of a row that holds its text, where the tool knows none (Qdrant); empty: by the names that are usual.
        n_sample: so many rows are searched by their own vectors; 0: none.
    """

    include: Sequence[str] = ("**/*",)
    member: str = ""
    text: str = ""
    n_sample: int = N_SAMPLE


def census_foreign(address: str, source: Path, asked: ForeignAsked | None = None) -> ForeignCensus:
    """Hold an index of Chroma or Qdrant against the files that it was made from; neither is changed.

    Args:
        address: `chroma:FOLDER#COLLECTION` or `qdrant:FOLDER#COLLECTION`, of a tool's local mode.
        source: folder of the documents.
        asked: how the index is to be understood; None: as most are.

    Raises:
        BadIndex: it is no such address; or nothing in its rows names a document of the source.
        NotFound: there is no such folder or collection.
        MissingExtra: the tool's own client is not installed.
        UntrustedArtifact: the index's files hold what runs when it is read.
        StoreError: index or source cannot be read.
    """
    from perdure.core.clock import cpu_s
    from perdure.engines.retrieval.foreign_census import ForeignCensus, ForeignLook
    from perdure.stores.vectors.foreign import open_foreign

    asked, began = asked or ForeignAsked(), cpu_s()
    documents, troubles, whole = _documents(source, asked.include)
    if not documents:
        raise BadIndex(f"{source} has no documents.", hint="Give the folder that the index was made from, and --include.")  # fmt: skip
    with closing(open_foreign(address, text=asked.text)) as index:
        told, naming = index.describe(), _naming(index, documents, asked.member)
        look = ForeignLook(
            documents, troubles, naming, told.dimensions, whole=whole, n_sample=asked.n_sample, seed=address
        )
        for page in index.rows():
            look.add(page)
        sample = [] if told.metric in ("ip", "dot") else look.sample
        found = index.find([row.vector for row in sample], _K) if sample else []
        skews = [*look.finish(), *(look.unreachable(found) if sample else ())]
        return ForeignCensus(
            tool=told.tool,
            collection=told.collection,
            source=str(source),
            n_source=len(documents),
            n_rows=look.n_rows,
            n_told=told.n_rows,
            mapped_by=naming.member,
            metric=told.metric,
            n_asked=len(sample),
            skews=skews,
            troubles=troubles,
            whole=whole,
            notes=[*told.notes, *_of_metric(told.metric), *look.notes()],
            cpu_s=cpu_s() - began,
        )


def _documents(source: Path, include: Sequence[str]) -> tuple[dict[str, DocumentText], dict[str, str], bool]:
    """Documents of a folder as they are compared, those in trouble, and whether it was listed whole."""
    from perdure.assets.documents import Folder
    from perdure.core.documents import DocumentRef, Trouble
    from perdure.engines.retrieval.foreign_words import DocumentText
    from perdure.stores.documents.folder import FolderDocuments

    found: dict[str, DocumentText] = {}
    troubles: dict[str, str] = {}
    with closing(FolderDocuments(Folder(source.resolve(), include=tuple(include)), Path())) as folder:
        try:
            listed = list(folder.list())
        except StoreError as error:
            raise StoreError(f"The source does not answer: {error.message}", hint=error.hint) from error
        troubles |= {each.id: each.code for each in listed if isinstance(each, Trouble)}
        for raw in folder.read([each for each in listed if isinstance(each, DocumentRef)]):
            forms = raw.code if isinstance(raw, Trouble) else _forms(raw)
            id_ = raw.id if isinstance(raw, Trouble) else raw.ref.id
            if forms == "empty":
                found[id_] = DocumentText("")
            elif isinstance(forms, str):
                troubles[id_] = forms
            else:
                found[id_] = DocumentText(*forms)
    return found, troubles, not any(code in ("unreadable", "vanished") for code in troubles.values())


def _forms(raw: RawDocument) -> list[str] | str:
    """A document's text, parsed and as its bytes say it; or the code of its trouble."""
    from perdure.engines.retrieval.parsing.decoding import decoded
    from perdure.engines.retrieval.parsing.registry import parse
    from perdure.engines.retrieval.protocols import Unparsable

    try:
        forms = [parse(raw).text]
    except Unparsable as error:
        return error.code
    try:
        return [*forms, decoded(raw.data)[0]]
    except Unparsable:  # a PDF, a picture: its bytes are no text
        return forms


def _naming(index: ForeignIndex, documents: dict[str, DocumentText], member: str) -> Naming:
    from perdure.engines.retrieval.foreign_naming import Naming, guess

    rows = list(islice(((row.id, row.metadata) for page in index.rows() for row in page), _LEARNT_FROM))
    found = guess(rows, documents, member)
    if member and rows and not any(member in metadata for _, metadata in rows):
        found = None
    if found is None and rows:
        members = sorted({name for _, metadata in rows for name in metadata})
        raise BadIndex(
            "No member of the rows' metadata names a document of the source.",
            hint=f"Name it: --map MEMBER. Members: {', '.join(members[:20]) or 'none'}.",
        )
    return found or Naming("", frozenset({""}), {})


def _of_metric(metric: str) -> list[str]:
    if metric not in ("ip", "dot"):
        return []
    return ["It compares by dot product, where a longer vector comes first: no row was searched by its own vector."]
