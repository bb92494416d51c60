"""Documents that a function of the user's own gives, which is called for each look.

Whatever it raises, half-way or at once, the source does not answer: what it gave until then is no listing, and nothing may be
deleted by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from perdure.assets.documents import Iterated
from perdure.core.clock import monotonic_s
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.files import vanished
from perdure.stores.documents.naming import printable
from perdure.stores.documents.polling import Due


class IteratedDocuments:
    """The documents of a function; as safe to use from several threads as that is.

    Args:
        declared: the function.
    """

    def __init__(self, declared: Iterated) -> None:
        self._declared = declared
        self._name = getattr(declared.documents, "__qualname__", type(declared.documents).__name__)
        self._due = Due(declared.check_s)

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every document, by id; one without a token has its digest for one. Cost: the function's, and some µs a kB.

        Raises:
            StoreError: the function failed, or gave what is no document.
        """
        began_s = monotonic_s()
        refs = sorted((raw.ref for raw in self._given()), key=lambda ref: printable(ref.id))
        self._due.took(monotonic_s() - began_s)
        previous = None
        for ref in refs:
            if (shown := printable(ref.id)) != ref.id:
                yield Trouble(shown, "encoding", f"{self._name} gave an id with half a character, a lone surrogate.")
                continue
            twice = ref.id == previous
            yield Trouble(ref.id, "twice", f"{self._name} gave several documents of this id.") if twice else ref
            previous = ref.id

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """The documents as they are now. The function is called once; those that are asked for are held in memory.

        Raises: StoreError, as `list`.
        """
        wanted = {ref.id for ref in refs}
        found: dict[str, RawDocument] = {}
        for raw in self._given() if wanted else ():
            if raw.ref.id in wanted:
                found.setdefault(raw.ref.id, raw)
        for ref in refs:
            yield found.get(ref.id) or vanished(ref.id)

    def wait(self, seconds: float) -> bool:
        """A function tells nobody of changes: it may give others once in its `check_s`."""
        return self._due.wait(seconds)

    def close(self) -> None:
        """Whoever waits stops."""
        self._due.close()

    def _given(self) -> Iterator[RawDocument]:
        try:
            for raw in self._declared.documents():
                yield raw if raw.ref.token else replace(raw, ref=msgspec.structs.replace(raw.ref, token=raw.digest))
        except Exception as error:  # the user's own code: whatever it raises, its source does not answer
            raise StoreError(
                f"{self._name} failed after a part of its documents, or before: {type(error).__name__}: {error}",
                hint="It must give every document that is there, each a RawDocument, or raise.",
            ) from error
