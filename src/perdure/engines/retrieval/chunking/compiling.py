"""A declared chunker to one that works."""

from __future__ import annotations

from perdure.assets.chunkers import ChunkedBy, CustomChunker, Whole, chunker_definition
from perdure.engines.retrieval.chunking.custom import FunctionChunker
from perdure.engines.retrieval.chunking.structure import StructureChunker
from perdure.engines.retrieval.chunking.whole import WholeChunker
from perdure.engines.retrieval.protocols import Chunker


def compile_chunker(chunker: ChunkedBy) -> Chunker:
    r"""The chunker that works as declared.

    Raises:
        BadIndex: it is none, or its sizes mean nothing.

    >>> from perdure.assets.chunkers import ByStructure
    >>> from perdure.core.documents import DocumentRef, RawDocument
    >>> returns = RawDocument(DocumentRef("returns.md", "1"), b"# Returns\n\nWithin 30 days.", "text/markdown")
    >>> title, chunks = compile_chunker(ByStructure()).chunk(returns)
    >>> title, [each.text for each in chunks]
    ('Returns', ['# Returns\n\nWithin 30 days.'])
    """
    chunker_definition(chunker)
    if isinstance(chunker, CustomChunker):
        return FunctionChunker(chunker)
    return WholeChunker() if isinstance(chunker, Whole) else StructureChunker(chunker)
