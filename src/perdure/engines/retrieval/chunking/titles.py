"""What a document is called: as its source says, else as it says itself, else by its first heading."""

from __future__ import annotations

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.decoding import clean
from perdure.engines.retrieval.parsing.plain import label
from perdure.engines.retrieval.protocols import Parsed


def title_of(document: RawDocument, parsed: Parsed) -> str:
    """The title, on one line; empty where nothing tells it."""
    given = document.metadata.get("title")
    if isinstance(given, str) and given.strip():
        return label(clean(given))
    if parsed.title:
        return parsed.title
    headings = [block for block in parsed.blocks if block.form == "heading"]
    if headings and headings[0].level == min(block.level for block in headings):
        return headings[0].label
    return ""
