"""Which parser reads which media type, and what a document is where nobody said it. `parse` is the way in."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import PurePosixPath

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.markdown import MarkdownParser
from perdure.engines.retrieval.parsing.plain import PlainParser
from perdure.engines.retrieval.protocols import Parsed, Parser, Unparsable

UNKNOWN = "application/octet-stream"
_SUFFIXES = {
    "md": "text/markdown", "markdown": "text/markdown", "mdx": "text/markdown",
    "txt": "text/plain", "text": "text/plain", "log": "text/plain",
}  # fmt: skip


def parsers() -> tuple[Parser, ...]:
    """All parsers that are here."""
    return (PlainParser(), MarkdownParser())


@cache
def _by_media_type() -> dict[str, Parser]:
    return {media_type: parser for parser in parsers() for media_type in parser.media_types}


def media_type_of(name: str, data: bytes = b"") -> str:
    """The media type of a file by its first bytes and its name; `application/octet-stream` where neither tells.

    >>> media_type_of("docs/index.md")
    'text/markdown'
    """
    return _SUFFIXES.get(PurePosixPath(name).suffix[1:].lower(), UNKNOWN)


def parser_for(media_type: str) -> Parser:
    """The parser of a media type; parameters such as `; charset=utf-8` do not count.

    Raises:
        Unparsable: nothing reads it.
    """
    plain = media_type.partition(";")[0].strip().lower()
    found = _by_media_type().get(plain)
    if found is None:
        found = _by_media_type().get("text/plain") if plain.startswith("text/") or plain == UNKNOWN else None
    if found is None:
        raise Unparsable("unparsable", f"Nothing here reads {plain!r}.")
    return found


def parse(document: RawDocument) -> Parsed:
    """A document's text with its structure, whatever its bytes are.

    Raises:
        Unparsable: it cannot be read, with the code of its trouble.
    """
    return parser_for(document.media_type).parse(document)


@cache
def parsers_fingerprint() -> str:
    """Of all parsers: equal ones read equal bytes alike."""
    return hashlib.blake2b(repr([each.fingerprint for each in parsers()]).encode(), digest_size=8).hexdigest()
