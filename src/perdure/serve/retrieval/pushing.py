"""Documents that are pushed over HTTP: read strictly, kept durably, found within a second by whoever follows the index."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from perdure.core.documents import DocumentRef, RawDocument
from perdure.core.errors import BadRequest
from perdure.serve.retrieval.asked import PushedBody, decoded

_LONGEST_ID = 1_000
_JSON = "application/json"


class Inbox(Protocol):
    """Where pushed documents are kept."""

    def put(self, document: RawDocument, now_us: int) -> str:
        """Keep a document; its new token."""
        ...

    def delete(self, id_: str) -> bool:
        """Forget one; whether it was there."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


@dataclass(slots=True, eq=False)
class Pushing:
    """Takes documents; called on threads.

    Args:
        open_inbox: of an index, by its name; opened with its first document.
        max_bytes: of one document.
    """

    open_inbox: Callable[[str], Inbox]
    max_bytes: int = 20_000_000
    _open: dict[str, Inbox] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, id_: str, headers: Mapping[bytes, bytes], body: bytes, now_us: int) -> str:
        """Keep a document: JSON with `text`, or the bytes of any other media type; its token.

        Raises:
            BadRequest: the id or the JSON cannot be one.
            StoreError: it cannot be kept.
        """
        document = _document(id_, headers.get(b"content-type", b"").decode("latin-1"), body)
        return self._inbox(name).put(document, now_us)

    def delete(self, name: str, id_: str) -> bool:
        """Forget a document; whether it was there.

        Raises:
            StoreError: it cannot be forgotten.
        """
        return self._inbox(name).delete(id_)

    def close(self) -> None:
        """Let go of what is open."""
        with self._lock:
            for inbox in self._open.values():
                inbox.close()
            self._open.clear()

    def _inbox(self, name: str) -> Inbox:
        with self._lock:
            if name not in self._open:
                self._open[name] = self.open_inbox(name)
            return self._open[name]


def _document(id_: str, content_type: str, body: bytes) -> RawDocument:
    if len(id_) > _LONGEST_ID or not id_.isprintable():
        raise BadRequest(
            f"{id_[:80]!r} can be no document's id.", hint=f"Use up to {_LONGEST_ID} characters that can be printed."
        )
    ref, kind = DocumentRef(id_, ""), content_type.partition(";")[0].strip().lower()
    if kind in ("", _JSON):
        told = decoded(body, PushedBody)
        readers = None if told.readers is None else tuple(told.readers)
        return RawDocument(ref, told.text.encode("utf-8", "replace"), told.media_type, told.metadata, readers)
    return RawDocument(ref, body, kind)
