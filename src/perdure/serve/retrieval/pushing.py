"""Documents that are pushed over HTTP: read strictly, kept durably, found within a second by whoever follows the index."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from perdure.core.documents import DocumentRef, RawDocument
from perdure.core.errors import BadRequest
from perdure.serve.retrieval.asked import PushedBody, decoded

_LONGEST_ID = 1_000
_LONGEST_TYPE = 127
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
"""Source: RFC 6838, 4.2."""
_JSON = "application/json"


class Inbox(Protocol):
    """Where pushed documents are kept."""

    def put(self, documents: Sequence[RawDocument]) -> Sequence[str]:
        """Keep documents, all of them or none; their new tokens. One that changed before what is here did is left out."""
        ...

    def delete(self, ids: Sequence[str], *, changed_us: int | None = None) -> Sequence[str]:
        """Forget documents; ids of those that were there."""
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
        _check_id(id_)
        kind = headers.get(b"content-type", b"").decode("latin-1")
        [token] = self._inbox(name).put([_document(DocumentRef(id_, "", now_us), kind, body)])
        return token

    def delete(self, name: str, id_: str, now_us: int) -> bool:
        """Forget a document; whether it was there.

        Raises:
            BadRequest: the id cannot be one.
            StoreError: it cannot be forgotten.
        """
        _check_id(id_)
        return bool(self._inbox(name).delete([id_], changed_us=now_us))

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


def _check_id(id_: str) -> None:
    """A path that is no UTF-8 comes with a sign in place of each wrong byte: ids that differ would be one."""
    if len(id_) > _LONGEST_ID or not id_.isprintable() or "\ufffd" in id_:
        raise BadRequest(
            f"{id_[:80]!r} can be no document's id.",
            hint=f"Use up to {_LONGEST_ID} characters that can be printed, as UTF-8.",
        )


def _document(ref: DocumentRef, content_type: str, body: bytes) -> RawDocument:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", _JSON):
        told = decoded(body, PushedBody)
        readers = None if told.readers is None else tuple(told.readers)
        media_type = _media_type(told.media_type)
        return RawDocument(ref, told.text.encode("utf-8", "replace"), media_type, told.metadata, readers)
    return RawDocument(ref, body, _media_type(kind))


def _media_type(told: str) -> str:
    if len(told) > _LONGEST_TYPE or not _TYPE.fullmatch(told):
        raise BadRequest(f"{told[:80]!r} is no media type.", hint="Send such as text/markdown.")
    return told
