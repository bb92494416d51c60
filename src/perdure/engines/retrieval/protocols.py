"""Protocols of retrieval's parts: a picture, a sound or a new ranking is another implementation, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Chunk, Content, RawDocument, Scalar

Row_co = TypeVar("Row_co", bound="Standing", covariant=True)
Use = Literal["document", "query"]
"""Some embedders put another prefix before a question than before what is found."""
BlockForm = Literal["heading", "paragraph", "list", "code", "table", "quote", "image"]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a parsed document by its structure: `text[start:end]`."""

    form: BlockForm
    start: int
    end: int
    level: int = 0
    """Of a heading, 1 the highest."""
    label: str = ""
    """Of a heading, what it says without its marks; of a table, its header row."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's text with its structure. Offsets of chunks and citations are into this text."""

    text: str
    blocks: Sequence[Block]
    """In order, without overlaps."""
    title: str = ""
    warnings: Sequence[str] = field(default_factory=tuple)
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    """What the document says of itself, such as the scalar members of its front matter."""


class Parser(Protocol):
    """Bytes of some media types to text with structure."""

    @property
    def media_types(self) -> Sequence[str]:
        """In lower case, without parameters."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes when what it gives for the same bytes changes."""
        ...

    def parse(self, document: RawDocument) -> Parsed:
        """The text and its structure.

        Raises:
            Unparsable: it cannot be read, with the code of its trouble; bounded in time and memory whatever the bytes are.
        """
        ...


class Unparsable(Exception):
    """One document that cannot be parsed, embedded or chunked; becomes a `Trouble`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Chunker(Protocol):
    """Cuts documents."""

    fingerprint: str
    """Over its settings, its version and its parsers': equal fingerprints cut equal bytes alike."""

    def chunk(self, document: RawDocument) -> tuple[str, list[Chunk]]:
        """The document's title and its chunks, in order.

        Raises:
            Unparsable: see `Parser.parse`.
        """
        ...


class Embedder(Protocol):
    """Vectors of contents."""

    fingerprint: str
    """Over weights, tokenizer, prefixes, dimensions, quantisation: equal fingerprints give equal vectors."""
    dimensions: int

    def embed(self, contents: Sequence[Content], use: Use = "document") -> NDArray[np.float32]:
        """A row a content, shape (len(contents), dimensions), of length 1 or all zeros. The same whatever else is in the batch.

        Raises:
            UpstreamError: whoever computes them does not answer.
            NotReady: what it needs is not here.
        """
        ...


class Reranker(Protocol):
    """Orders what was found anew, by looking at question and text together."""

    fingerprint: str

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """How well each text answers, higher is better; comparable within one call."""
        ...


class Rewriter(Protocol):
    """Makes of a question what is really searched: several wordings are searched and fused."""

    def rewrite(self, query: str) -> Sequence[str]:
        """One wording at least; the question itself where nothing is to be changed."""
        ...


class Recorded(Protocol):
    """What an index's record says of a document, as far as a census looks."""

    @property
    def id(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def n_chunks(self) -> int: ...
    @property
    def chunker(self) -> str: ...
    @property
    def trouble(self) -> str: ...
    @property
    def damaged(self) -> bool: ...


class Standing(Protocol):
    """A chunk as it stands in an index."""

    @property
    def key(self) -> int: ...
    @property
    def document(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def context(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def digest(self) -> str: ...
    @property
    def vector(self) -> bytes: ...
    @property
    def embedder(self) -> str: ...
    @property
    def chunker(self) -> str: ...
    @property
    def checksum(self) -> int: ...


class StandingBatch(Protocol[Row_co]):
    """Some chunks as they stand, by columns that are all in the order of `keys`."""

    @property
    def keys(self) -> Sequence[int]: ...
    @property
    def documents(self) -> Sequence[str]: ...
    @property
    def positions(self) -> NDArray[np.int64]:
        """Shape (n,); of chunks that are intact."""
        ...

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Shape (n, dimensions); (0, 0) where their lengths differ, or they are not intact."""
        ...

    @property
    def embedders(self) -> AbstractSet[str]:
        """All that made vectors of these."""
        ...

    @property
    def chunkers(self) -> AbstractSet[str]:
        """All that cut these."""
        ...

    @property
    def intact(self) -> bool:
        """Whether each matches its checksum; where one does not, `row` tells of each what can be told, and the arrays nothing."""
        ...

    @property
    def row(self) -> Callable[[int], Row_co]:
        """The row at a place of the columns."""
        ...
