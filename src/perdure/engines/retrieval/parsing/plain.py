"""Text without marks: paragraphs between blank lines. Also where parsers that write their text themselves put it together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.decoding import clean, decoded
from perdure.engines.retrieval.protocols import Block, BlockForm, Parsed

_PARAGRAPH = re.compile(r"\S[^\n]*(?:\n[^\S\n]*\S[^\n]*)*")
MOST_LABEL = 200
"""Characters of a heading that are put before chunks: whoever writes a book into a heading does not fill every chunk with it."""


def label(text: str) -> str:
    """A heading's words, on one line."""
    return " ".join(text[: 2 * MOST_LABEL].split())[:MOST_LABEL]


def paragraphs(text: str, start: int, end: int) -> Iterator[Block]:
    """Blocks between blank lines of `text[start:end]`."""
    for each in _PARAGRAPH.finditer(text, start, end):
        yield Block("paragraph", each.start(), each.end())


class PlainParser:
    """`text/plain`: paragraphs are what stands between blank lines."""

    media_types = ("text/plain",)
    fingerprint = "plain-1"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`."""
        text, warnings = decoded(document.data)
        return Parsed(text, tuple(paragraphs(text, 0, len(text))), warnings=warnings)


class Composed:
    r"""A text that is written block by block, with a blank line between two.

    >>> composed = Composed()
    >>> composed.add("heading", "Returns", level=1)
    >>> composed.add("paragraph", "Within 30 days.")
    >>> composed.parsed().text
    'Returns\n\nWithin 30 days.'
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._at = 0

    def add(self, form: BlockForm, text: str, *, level: int = 0, header: str = "") -> None:
        """One more block; nothing where it holds nothing."""
        text = clean(text).strip("\n").rstrip()
        if not text or text.isspace():
            return
        if self._parts:
            self._parts.append("\n\n")
            self._at += 2
        self._parts.append(text)
        said = label(text) if form == "heading" else header[: 2 * MOST_LABEL]
        self._blocks.append(Block(form, self._at, self._at + len(text), level, said))
        self._at += len(text)

    def parsed(self, *, title: str = "", warnings: tuple[str, ...] = ()) -> Parsed:
        """All that was added."""
        return Parsed("".join(self._parts), tuple(self._blocks), label(clean(title)), warnings)
