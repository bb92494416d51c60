"""What a search looks at of chunks and of documents: rows of any store have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from perdure.core.documents import Scalar


class Row(Protocol):
    """A chunk as its store keeps it, as far as a search looks."""

    @property
    def key(self) -> int: ...
    @property
    def document(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def context(self) -> str: ...
    @property
    def vector(self) -> bytes: ...


class Findable(Protocol):
    """What an index's record says of a document, as far as a search looks."""

    @property
    def id(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, Scalar]: ...
    @property
    def readers(self) -> Sequence[str] | None: ...
