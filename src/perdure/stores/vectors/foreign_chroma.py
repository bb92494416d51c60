"""Collections of Chroma in its local mode (`PersistentClient`). Extra `chroma`.

What surprised us: to open a folder that is not there makes it, and one of an older release is brought up to date, so a copy is
opened. Vectors come as 64-bit numbers. A page with one row whose vector is lost fails whole, so it is read again in halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perdure.core.errors import Corrupt, MissingExtra, NotFound, StoreError
from perdure.stores.vectors.foreign import ForeignRow, ForeignTold, flat, named
from perdure.stores.vectors.foreign_copy import Copied

try:
    import chromadb
    from chromadb.config import Settings
    from chromadb.errors import ChromaError
except ImportError as error:
    raise MissingExtra("chroma", needed_for="A census of an index in Chroma") from error

_DATABASE = "chroma.sqlite3"
_AT_ONCE = 500
_FAILURES = (ChromaError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What its client raises of a damaged collection; the core is native, and says little."""


class ChromaIndex:
    """One collection of a folder, as it was when this was made. See `foreign.ForeignIndex`.

    Args:
        folder: of the `PersistentClient`.
        collection: its name; empty: the only one.

    Raises:
        NotFound: there is no Chroma in the folder, or no such collection.
        StoreError: it cannot be copied or opened.
    """

    def __init__(self, folder: Path, collection: str = "") -> None:
        if not (folder / _DATABASE).is_file():
            raise NotFound(f"{folder} holds no {_DATABASE}.", hint="Give the path that PersistentClient was given.")
        self._copied = Copied(folder)
        self._client: Any = None
        try:
            # The vectors first: what they lack of the log is read from it.
            self._copied.files(f"{_DATABASE}*")
            self._copied.database(_DATABASE)
            self._client = _opened(self._copied.folder)
            self._name = named(collection, [each.name for each in self._client.list_collections()], folder)
            self._collection = self._client.get_collection(self._name, embedding_function=None)
        except _FAILURES as error:
            self.close()
            raise StoreError(f"Chroma cannot open {folder}: {error}", hint="Open it with the release that wrote it.") from error  # fmt: skip
        except (NotFound, StoreError):
            self.close()
            raise

    def describe(self) -> ForeignTold:
        """What Chroma says of the collection."""
        told = self._collection.configuration
        space = next((found["space"] for each in ("hnsw", "spann") if (found := told.get(each))), "")
        return ForeignTold("chroma", self._name, self._collection.count(), self._dimensions(), space)

    def rows(self) -> Iterator[Sequence[ForeignRow]]:
        """Every row, in pages of 500. Cost: some 40 µs a row."""
        n = self._collection.count()
        for begin in range(0, n, _AT_ONCE):
            yield self._page(begin, min(_AT_ONCE, n - begin))

    def find(self, vectors: Sequence[bytes], k: int) -> list[list[str]]:
        """What `query` finds."""
        return [self._found(np.frombuffer(vector, "<f4"), k) for vector in vectors]

    def close(self) -> None:
        """Let go of the copy; Chroma keeps clients by path until they are told."""
        if self._client is not None:
            self._client.close()
        self._copied.close()

    def _dimensions(self) -> int:
        """By the first row: a collection does not say."""
        first = self._page(0, 1)
        return len(first[0].vector) // 4 if first else 0

    def _page(self, begin: int, n: int) -> list[ForeignRow]:
        try:
            told = self._collection.get(limit=n, offset=begin, include=["documents", "metadatas", "embeddings"])
        except _FAILURES as error:
            if n == 1:
                return [self._without_vector(begin, error)]
            half = n // 2
            return [*self._page(begin, half), *self._page(begin + half, n - half)]
        vectors = told["embeddings"] if told["embeddings"] is not None else [None] * len(told["ids"])
        return [
            ForeignRow(id_, text, flat(metadata), _as_bytes(vector))
            for id_, text, metadata, vector in zip(
                told["ids"], told["documents"], told["metadatas"], vectors, strict=True
            )
        ]

    def _without_vector(self, place: int, why: Exception) -> ForeignRow:
        try:
            told = self._collection.get(limit=1, offset=place, include=["documents", "metadatas"])
        except _FAILURES as error:
            raise Corrupt(f"Chroma cannot read row {place} of {self._name!r}: {error}") from error
        trouble = f"Chroma cannot read its vector: {why}"
        return ForeignRow(told["ids"][0], told["documents"][0], flat(told["metadatas"][0]), b"", trouble)

    def _found(self, vector: np.ndarray[Any, Any], k: int) -> list[str]:
        try:
            told = self._collection.query(query_embeddings=[vector.tolist()], n_results=k, include=[])
        except _FAILURES:
            return []
        ids: list[str] = told["ids"][0]
        return ids


def _opened(folder: Path) -> Any:
    return chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))


def _as_bytes(vector: Any) -> bytes:
    return b"" if vector is None else np.asarray(vector, "<f4").tobytes()
