"""How documents are cut, as it is declared. `engines.retrieval.chunking` does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from perdure.assets.core_schema import code_digest
from perdure.core.documents import Chunk, RawDocument
from perdure.core.errors import BadIndex


@dataclass(frozen=True, slots=True)
class ByStructure:
    """By headings, paragraphs, lists, code and tables: no chunk crosses a heading, no code block or table row is torn.

    Args:
        tokens: aim, in tokens of four characters; a single block that is larger is cut at sentences, then at words.
        least: sections smaller than this are joined with what follows under the same heading.
        overlap: tokens of the chunk before that stand at the begin of the next, at sentence ends.
        context: title and headings above are put before each chunk where it is embedded and matched.
        parents: each chunk knows the section that it is part of, which is given to who asks for `expand`.
    """

    tokens: int = 200
    least: int = 40
    overlap: int = 0
    context: bool = True
    parents: bool = True


@dataclass(frozen=True, slots=True)
class Whole:
    """Each document is one chunk: for short texts such as questions and answers, products, pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class CustomChunker:
    """A function of one's own: a document → its title and chunks."""

    function: Callable[[RawDocument], tuple[str, Sequence[Chunk]]]


ChunkedBy = ByStructure | Whole | CustomChunker


def chunker_definition(chunker: ChunkedBy) -> dict[str, Any]:
    """What of a chunker is part of an index's versions.

    Raises:
        BadIndex: it is none, or its sizes mean nothing.
    """
    if not isinstance(chunker, ChunkedBy):
        raise BadIndex(f"{chunker!r} is no chunker.", hint="Use ByStructure, Whole or CustomChunker.")
    if isinstance(chunker, CustomChunker):
        return {"by": "CustomChunker", "code": code_digest(chunker.function)}
    if isinstance(chunker, ByStructure) and not 0 <= chunker.overlap < chunker.tokens >= chunker.least >= 0:
        raise BadIndex(
            f"Chunks of {chunker.tokens} tokens, at least {chunker.least}, with {chunker.overlap} of overlap mean nothing.",
            hint="Such as tokens=200, least=40, overlap=20.",
        )
    return {"by": type(chunker).__name__, **{each.name: getattr(chunker, each.name) for each in fields(chunker)}}
