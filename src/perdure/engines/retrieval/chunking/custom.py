"""A chunker by a function of the project, which may raise and return anything: what it may not is told of its document."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from perdure.assets.chunkers import CustomChunker
from perdure.assets.core_schema import code_digest
from perdure.core.documents import Chunk, RawDocument
from perdure.core.errors import BadIndex, Temporary
from perdure.engines.retrieval.protocols import Unparsable


class _Told:
    """Whatever the function raises is a trouble of its document; what may succeed later (a service that is away) passes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, Unparsable | Temporary):
            raise Unparsable("unparsable", f"{self._name} raised {type(error).__name__}") from error


class FunctionChunker:
    """Calls the function; its chunks are numbered and get their document's id here."""

    def __init__(self, declared: CustomChunker) -> None:
        if inspect.iscoroutinefunction(declared.function):
            raise BadIndex(
                "CustomChunker was given no plain function.",
                hint="Give `def f(document)` that returns a title and a list of Chunk.",
            )
        self._function = declared.function
        self._name = getattr(declared.function, "__name__", type(declared.function).__name__)
        self.fingerprint = f"custom-{code_digest(declared.function)}"

    def chunk(self, document: RawDocument) -> tuple[str, list[Chunk]]:
        """See `Chunker.chunk`."""
        with _Told(self._name):
            said: Any = self._function(document)
            title, chunks = said
            chunks = list(chunks)
        if not isinstance(title, str) or not all(isinstance(each, Chunk) for each in chunks):
            raise Unparsable("unparsable", f"{self._name} gave no title with a list of Chunk")
        if not chunks:
            raise Unparsable("empty", f"{self._name} found nothing in it")
        numbered = enumerate(chunks)
        return title, [replace(each, document=document.ref.id, position=number) for number, each in numbered]
