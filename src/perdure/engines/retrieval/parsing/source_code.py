"""Source code by its definitions: a block begins where a line without indentation follows an empty one.

No grammar of any language is asked, so that any language with indented bodies is cut alike. Decorators and comments stay with what
they stand above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.decoding import decoded
from perdure.engines.retrieval.parsing.plain import label
from perdure.engines.retrieval.protocols import Block, Parsed

_BEGIN = re.compile(r"(?:\A|\n[ \t]*\n)(?=[^\s})\]])")


class SourceCodeParser:
    """Programs; a document is called by its id, which is where it stands in its repository."""

    media_types = (
        "text/x-python", "text/javascript", "application/javascript", "text/x-typescript", "text/x-go", "text/x-rust", "text/x-java",
        "text/x-c", "text/x-c++", "text/x-csharp", "text/x-ruby", "text/x-php", "text/x-kotlin", "text/x-swift", "text/x-scala",
        "text/x-shellscript", "application/x-sh", "text/x-sql", "application/sql", "text/css", "application/yaml", "text/x-yaml",
        "application/toml", "text/x-code",
    )  # fmt: skip
    fingerprint = "source-1"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`."""
        text, warnings = decoded(document.data)
        return Parsed(text, tuple(_blocks(text)), label(document.ref.id), warnings)


def _blocks(text: str) -> Iterator[Block]:
    begins = [each.end() for each in _BEGIN.finditer(text)]
    if not begins or begins[0] > 0:
        begins.insert(0, 0)
    for start, end in zip(begins, [*begins[1:], len(text)], strict=True):
        said = text[start:end].rstrip()
        if said:
            yield Block("code", start, start + len(said))
