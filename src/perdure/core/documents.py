"""What passes between sources of documents, engines of retrieval, and stores of indexes: documents, chunks, hits.

Identity: a document is known by its id in its source. A chunk is a stretch of its document's text, `text == parsed[start:end]`,
and is known by its document, its place there and the digest of what is embedded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

Scalar = str | int | float | bool
"""What a member of a document's metadata may be."""
Content = str | bytes
"""What is embedded: a text, or the bytes of a picture, a sound …"""
ChunkForm = Literal["text", "code", "table", "image"]


class DocumentRef(msgspec.Struct, frozen=True, gc=False):
    """A document as its source lists it, before anything of it is read. A listing makes as many as there are: cost 40 ns."""

    id: str
    """Unique in its source, and the same for as long as the document is: a relative path, a primary key."""
    token: str
    """Version token: equal tokens are equal documents, as far as the source can tell without reading."""
    changed_us: int | None = None
    """When it changed last, as its source says; None: the source does not know."""


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document as it was read."""

    ref: DocumentRef
    data: bytes
    media_type: str
    """Such as `text/markdown`; `application/octet-stream` where nobody knows."""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    readers: Sequence[str] | None = None
    """Groups that may find it; None: everybody may."""

    @property
    def digest(self) -> str:
        """Of its bytes, metadata and readers, 32 hex digits: equal digests are the same document for an index."""
        told = hashlib.blake2b(self.data, digest_size=16)
        told.update(
            repr((self.media_type, sorted(self.metadata.items()), self.readers and sorted(self.readers))).encode()
        )
        return told.hexdigest()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why one document could not be listed, read, parsed or embedded. The rest goes on."""

    id: str
    code: str
    """`unreadable`, `vanished`, `empty`, `too_large`, `binary`, `encrypted`, `encoding`, `loop`, `twice`, `bomb`, `unparsable`, `not_embedded`."""
    message: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a document that is found as one."""

    document: str
    position: int
    """0 for the first of its document."""
    text: str
    """Exactly `parsed[start:end]`; of a picture what is known of it in words, perhaps nothing."""
    start: int
    """In characters of the parsed text."""
    end: int
    context: str = ""
    """What is put before it where it is embedded and matched, such as the document's title and the headings above."""
    form: ChunkForm = "text"
    parent: tuple[int, int] | None = None
    """Start and end of the section that it is part of; None: itself."""
    data: bytes = b""
    """What is embedded instead of the text: a picture's bytes."""

    @property
    def content(self) -> Content:
        """What is embedded."""
        return self.data or (f"{self.context}\n\n{self.text}" if self.context else self.text)

    @property
    def digest(self) -> str:
        """Of what is embedded, 32 hex digits: equal digests have equal vectors by one embedder."""
        content = self.content
        return hashlib.blake2b(content.encode() if isinstance(content, str) else content, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Between:
    """A range of a member of the metadata; None: without an end."""

    least: Scalar | None = None
    most: Scalar | None = None


Where = Mapping[str, Scalar | Sequence[Scalar] | Between]
"""Members of the metadata that must hold, all of them: a value, one of several, or a range."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One chunk that was found, as far as ranking knows it."""

    key: int
    """Of the chunk in its store."""
    score: float
    """Higher is better; comparable within one answer only."""
    dense: float | None = None
    """Cosine to the query; None: it was not found by its vector."""
    lexical: float | None = None
    """BM25 of the query; None: it was not found by its words."""
