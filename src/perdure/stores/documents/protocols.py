"""The Protocol of a source of documents. An index is made from one, and a census holds the index against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from perdure.core.documents import DocumentRef, RawDocument, Trouble


class Documents(Protocol):
    """A source of documents, opened. Safe to use from several threads."""

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every document that is there now, each once, in the order of ids; what cannot be listed is a `Trouble`.

        A second document of an id is a `Trouble` (`twice`). Nothing is read whole: a folder of 5,000 files takes some 30 ms CPU.

        Raises:
            StoreError: the source itself does not answer. Who gets this must not take any document for deleted.
        """
        ...

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """Those documents, in order, as they are now: one that changed since it was listed has its new token.

        Raises: StoreError, as `list`.
        """
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until something may have changed; False where nothing did in so long. A source that cannot watch polls.

        Cost: nothing while it waits where the source can be watched, else a look a second at most.
        """
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...
