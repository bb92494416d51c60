"""Indexes that others keep, read and never changed: the Protocol, what passes through it, and how one is opened by its address.

An address is `chroma:FOLDER#COLLECTION` or `qdrant:FOLDER#COLLECTION`: a collection of a folder that the tool keeps in its local
mode. Every adapter reads a copy in a temporary folder: to open a folder by its own tool takes its lock, may bring its format up to
date, and makes it where it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from perdure.core.documents import Scalar
from perdure.core.errors import BadIndex, NotFound

KINDS = ("chroma", "qdrant")
_ADDRESS = re.compile(rf"({'|'.join(KINDS)}):([^#]+)(?:#(.+))?")


class ForeignTold(msgspec.Struct, frozen=True):
    """What an index says of itself."""

    tool: str
    collection: str
    n_rows: int
    """As the tool counts them; what is really read is counted apart."""
    dimensions: int
    """0: it does not say."""
    metric: str
    """`cosine`, `l2`, `dot`, or another word of the tool's."""
    notes: Sequence[str] = ()
    """What of it is not looked at, and why."""


class ForeignRow(msgspec.Struct, frozen=True):
    """A row as it stands there."""

    id: str
    text: str | None
    metadata: Mapping[str, Scalar]
    """Members of members are named with dots between: `metadata.source`."""
    vector: bytes
    """Little-endian float32; empty: it has none."""
    trouble: str = ""
    """Why it cannot be read, in words; nothing else of it is known then."""


class ForeignIndex(Protocol):
    """A collection of another tool. It is read as it was when it was opened, and nothing of it changes."""

    def describe(self) -> ForeignTold:
        """What it says of itself."""
        ...

    def rows(self) -> Iterator[Sequence[ForeignRow]]:
        """Every row, in pages. A row that cannot be read has `trouble`; the others come all the same.

        Raises:
            StoreError: it cannot be read at all.
        """
        ...

    def find(self, vectors: Sequence[bytes], k: int) -> list[list[str]]:
        """Ids of the k rows that the tool's own search finds for each vector, best first; none where it fails.

        Args:
            vectors: little-endian float32, each of the collection's dimensions.
            k: so many at most.
        """
        ...

    def close(self) -> None:
        """Let go of the copy."""
        ...


def is_foreign(address: str) -> bool:
    """Whether it is the address of an index of others.

    >>> is_foreign("chroma:data/chroma#docs"), is_foreign("handbook")
    (True, False)
    """
    return _ADDRESS.fullmatch(address) is not None


def open_foreign(address: str, *, text: str = "") -> ForeignIndex:
    """The index at an address.

    Args:
        address: `chroma:FOLDER#COLLECTION` or `qdrant:FOLDER#COLLECTION`; without the collection where there is but one.
        text: member of a row's payload that holds its text, where the tool knows none (Qdrant); empty: by the names that are usual.

    Raises:
        BadIndex: it is no such address.
        NotFound: there is no such folder or collection.
        MissingExtra: the tool's own client is not installed.
        UntrustedArtifact: its files hold what runs when it is read.
        StoreError: it cannot be read, or not copied.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise BadIndex(f"{address!r} is no address of an index.", hint="Such as chroma:FOLDER#COLLECTION, qdrant:FOLDER#COLLECTION.")  # fmt: skip
    kind, folder, collection = found[1], Path(found[2]), found[3] or ""
    if not folder.is_dir():
        raise NotFound(f"There is no folder {str(folder)!r}.", hint="Give the folder that the tool keeps its files in.")
    if kind == "chroma":
        from perdure.stores.vectors.foreign_chroma import ChromaIndex

        return ChromaIndex(folder, collection)
    from perdure.stores.vectors.foreign_qdrant import QdrantIndex

    return QdrantIndex(folder, collection, text)


def named(collection: str, there: Sequence[str], where: Path) -> str:
    """The collection that is meant: the one of that name, or the only one.

    Raises:
        NotFound: there is none of that name, or it was not named and there are several.
    """
    if collection in there:
        return collection
    if not collection and len(there) == 1:
        return there[0]
    told = ", ".join(sorted(there)) or "none"
    what = (
        f"There is no collection {collection!r} in {where}." if collection else f"{where} has {len(there)} collections."
    )
    raise NotFound(what, hint=f"Name one after a #. Collections: {told}.", what="collection", name=collection)


def flat(metadata: Mapping[str, object] | None, prefix: str = "", depth: int = 4) -> dict[str, Scalar]:
    """The scalar members of nested metadata, named with dots.

    >>> flat({"source": "a.md", "metadata": {"page": 3, "tags": ["x"]}})
    {'source': 'a.md', 'metadata.page': 3}
    """
    found: dict[str, Scalar] = {}
    for name, value in (metadata or {}).items():
        if isinstance(value, str | int | float | bool):
            found[f"{prefix}{name}"] = value
        elif isinstance(value, Mapping) and depth:
            found |= flat(value, f"{prefix}{name}.", depth - 1)
    return found
