"""One version of one index, opened to be worked on: its source, chunker, embedder, store. Compose says how."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from perdure.assets.index import Index
from perdure.engines.retrieval.embedders.batching import Workers
from perdure.engines.retrieval.protocols import Chunker, Embedder
from perdure.stores.documents.protocols import Documents
from perdure.stores.vectors.embedded import EmbeddingCache
from perdure.stores.vectors.protocols import IndexStore


@dataclass(frozen=True, slots=True, eq=False)
class OpenIndex:
    """A version of an index with all that it takes to build, hold against its source and mend it."""

    index: Index
    version: str
    documents: Documents
    chunker: Chunker
    embedder: Embedder
    store: IndexStore
    cache: EmbeddingCache
    workers: Workers | None = None
    """Where many texts are embedded; None: in this process, one batch after the other."""


class OpensIndexes(Protocol):
    """Opens versions of indexes, by what their definitions say."""

    def open(self, name: str, version: str) -> AbstractContextManager[OpenIndex]:
        """Everything of that version; closed at the end of the block.

        Raises:
            NotFound: no such index or version.
            MissingExtra: what its embedder or store needs is not installed.
            BadIndex: the version's definition is of another source of documents than the declared one can open.
        """
        ...

    def renew(self, name: str, version: str) -> AbstractContextManager[OpenIndex]:
        """That version with an empty store beside its own, which takes its place when the block ends without an error.

        Who reads the old one goes on until it opens the version anew. For a store that is damaged, or that is mostly wrong.

        Raises: as `open`; Refused: its store cannot be replaced so.
        """
        ...

    def versions(self, name: str) -> Sequence[str]:
        """Versions that are kept filled: those that a pointer names, and the one before the champion, newest first."""
        ...
