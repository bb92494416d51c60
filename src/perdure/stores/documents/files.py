"""What files of folders and of git repositories have in common as documents: their metadata, readers and bounds."""

from __future__ import annotations

from pathlib import PurePosixPath

from perdure.assets.documents import Folder, GitFiles
from perdure.core.documents import DocumentRef, RawDocument, Scalar, Trouble
from perdure.stores.documents.choosing import readers_of
from perdure.stores.documents.media import media_type_of

MOST_BYTES = 20_000_000
"""Of a document whose source declares no other bound."""


def as_document(declared: Folder | GitFiles, ref: DocumentRef, data: bytes) -> RawDocument:
    """A file that was read: `folder` is the first part of its path, `suffix` such as `.md`; what is declared is stronger."""
    own: dict[str, Scalar] = {
        "folder": ref.id.partition("/")[0] if "/" in ref.id else "",
        "suffix": PurePosixPath(ref.id).suffix,
    }
    readers = readers_of(ref.id, declared.readers)
    return RawDocument(ref, data, media_type_of(ref.id), {**own, **declared.metadata}, readers)


def too_large(id_: str, n_bytes: int, most: int) -> Trouble:
    """Of a file of more bytes than are read."""
    return Trouble(id_, "too_large", f"It has {n_bytes:,} bytes, and at most {most:,} are read.")


def vanished(id_: str) -> Trouble:
    """Of a document that the source has no more."""
    return Trouble(id_, "vanished", "It was there when the source was listed, and is no more.")
