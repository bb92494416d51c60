"""Versions that say by what behaviour of an embedder they were built.

What a declaration says of an embedder is a name, and a model behind a name can change. So a version that the loop makes because it did
has a member `measured` beside what is declared: the digest of what the embedder made of the sentinels then. It makes two versions of one
declaration differ, and keeps their vectors apart where they are cached. Rows keep the fingerprint that the declaration has: a version
lies in a file of its own, and nothing mixes there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perdure.stores.vectors.embedded import EmbeddingCache

MEASURED = "measured"
"""Member of a definition: what of it no declaration says. `embedder`: a behaviour; `built`: by which step it was built anew."""


def measured_of(definition: Mapping[str, Any]) -> str:
    """What keeps a version's vectors apart from those of others of its embedder's fingerprint; empty: nothing."""
    return str(definition.get(MEASURED, {}).get("embedder", ""))


class MeasuredCache(EmbeddingCache):
    """Vectors of one behaviour of an embedder.

    Args:
        path: as of `EmbeddingCache`.
        measured: as of `measured_of`.
    """

    def __init__(self, path: Path, measured: str) -> None:
        super().__init__(path)
        self._measured = measured

    def find(self, embedder: str, digests: Sequence[str]) -> dict[str, bytes]:
        """See `EmbeddingCache.find`."""
        return super().find(self._named(embedder), digests)

    def put(self, embedder: str, vectors: Mapping[str, bytes]) -> None:
        """See `EmbeddingCache.put`."""
        super().put(self._named(embedder), vectors)

    def _named(self, embedder: str) -> str:
        return f"{embedder} {self._measured}" if self._measured else embedder
