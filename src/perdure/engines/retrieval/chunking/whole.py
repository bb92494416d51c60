"""`Whole` at work: each document is one chunk, a picture with its bytes."""

from __future__ import annotations

import hashlib

from perdure.core.documents import Chunk, RawDocument
from perdure.engines.retrieval.chunking.titles import title_of
from perdure.engines.retrieval.parsing.registry import parse, parsers_fingerprint
from perdure.engines.retrieval.protocols import Unparsable

_VERSION = 1


class WholeChunker:
    """Gives each document as it is; the title is its context where the text does not begin with it."""

    def __init__(self) -> None:
        told = repr((_VERSION, parsers_fingerprint()))
        self.fingerprint = f"whole-{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"

    def chunk(self, document: RawDocument) -> tuple[str, list[Chunk]]:
        """See `Chunker.chunk`."""
        parsed = parse(document)
        if not parsed.blocks:
            raise Unparsable("empty", "It holds nothing that could be found.")
        title = title_of(document, parsed)
        first = parsed.blocks[0]
        start, end = first.start, parsed.blocks[-1].end
        image = first.form == "image"
        return title, [
            Chunk(
                document=document.ref.id,
                position=0,
                text=parsed.text[start:end],
                start=start,
                end=end,
                context="" if first.label == title else title,
                form="image" if image else "text",
                data=document.data if image else b"",
            )
        ]
