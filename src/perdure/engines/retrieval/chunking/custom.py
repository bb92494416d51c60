"""A chunker by a function of the project, which may raise and return anything: what it may not is told of its document."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from perdure.assets.chunkers import CustomChunker
from perdure.assets.core_schema import code_digest
from perdure.core.documents import Chunk, RawDocument
from perdure.core.errors import BadIndex, Temporary
from perdure.engines.retrieval.called import Called
from perdure.engines.retrieval.protocols import Unparsable


class FunctionChunker:
    """Calls the function; its chunks are numbered and get their document's id here."""

    def __init__(self, declared: CustomChunker) -> None:
        if inspect.iscoroutinefunction(declared.function):
            raise BadIndex(
                "CustomChunker was given no plain function.",
                hint="Give `def f(document)` that returns a title and a list of Chunk.",
            )
        self._function = declared.function
        self._called = Called(declared.function, "unparsable", Temporary)
        self.fingerprint = f"custom-{code_digest(declared.function)}"

    def chunk(self, document: RawDocument) -> tuple[str, list[Chunk]]:
        """See `Chunker.chunk`."""
        with self._called:
            said: Any = self._function(document)
            title, chunks = said
            chunks = list(chunks)
        if not isinstance(title, str) or not all(isinstance(each, Chunk) for each in chunks):
            raise Unparsable("unparsable", f"{self._called.name} gave no title with a list of Chunk")
        if not chunks:
            raise Unparsable("empty", f"{self._called.name} found nothing in it")
        numbered = enumerate(chunks)
        return title, [replace(each, document=document.ref.id, position=number) for number, each in numbered]
