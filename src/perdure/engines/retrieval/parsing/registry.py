"""Which parser reads which media type, and what a document is where nobody said it. `parse` is the way in.

Bytes are believed before names, and names before a source that says `text/plain` of everything.
"""

from __future__ import annotations

import hashlib
import re
from codecs import BOM_UTF8
from functools import cache
from pathlib import PurePosixPath

from perdure.core.documents import RawDocument, Scalar
from perdure.engines.retrieval.parsing.decoding import decoded
from perdure.engines.retrieval.parsing.front_matter import front_matter
from perdure.engines.retrieval.parsing.hypertext import HypertextParser
from perdure.engines.retrieval.parsing.images import ImageParser
from perdure.engines.retrieval.parsing.markdown import MarkdownParser
from perdure.engines.retrieval.parsing.pdf import PdfParser
from perdure.engines.retrieval.parsing.plain import PlainParser
from perdure.engines.retrieval.parsing.records import CsvParser, JsonParser
from perdure.engines.retrieval.parsing.restructured import RestructuredParser
from perdure.engines.retrieval.parsing.source_code import SourceCodeParser
from perdure.engines.retrieval.protocols import Parsed, Parser, Unparsable

UNKNOWN = "application/octet-stream"
_VAGUE = ("", "text/plain", UNKNOWN)
"""Media types that say nothing."""
_PARSERS: tuple[Parser, ...] = (
    PlainParser(), MarkdownParser(), RestructuredParser(), HypertextParser(), PdfParser(), SourceCodeParser(), CsvParser(),
    JsonParser(), ImageParser(),
)  # fmt: skip
_BY_MEDIA_TYPE = {media_type: parser for parser in _PARSERS for media_type in parser.media_types}
_SUFFIXES = {
    "text/plain": "txt text log",
    "text/markdown": "md markdown mdx mdown",
    "text/x-rst": "rst rest",
    "text/html": "html htm xhtml",
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "json",
    "application/jsonl": "jsonl ndjson",
    "text/x-python": "py pyi",
    "application/yaml": "yaml yml",
    "application/toml": "toml",
    "text/x-code": "js mjs cjs jsx ts tsx go rs java c h cc cpp hpp cs rb php kt swift scala sh bash sql css r jl lua pl ex exs hs",
    "image/png": "png",
    "image/jpeg": "jpg jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_BY_SUFFIX = {suffix: media_type for media_type, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_MARKS = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_LOOKED_AT = 65_536
_HTML = re.compile(rb"\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_DIRECTIVE = re.compile(rb"^[ \t]*\.\. (?:[\w:+.-]+::|_[^\n:]+:)|^[^\n]*\S::[ \t]*$|:[a-z]+:`[^`\n]+`", re.MULTILINE)
_UNDERLINED = re.compile(rb"^(?=[^\n]{0,200}\w)\S[^\n]{0,200}\n([=\-~^\"'#*+`.:_])\1{2,}[ \t]*$", re.MULTILINE)


def media_type_of(name: str, data: bytes = b"") -> str:
    r"""The media type of a file by its first bytes and its name; `application/octet-stream` where neither tells.

    Args:
        name: path or file name.
        data: its bytes, or the first of them; empty: only the name tells.

    >>> media_type_of("docs/index.md"), media_type_of("scan", b"%PDF-1.7")
    ('text/markdown', 'application/pdf')
    >>> media_type_of("howto.txt", b"Returns\n=======\n\n.. note:: Keep the bill.")
    'text/x-rst'
    """
    for mark, media_type in _MARKS:
        if data.startswith(mark):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    named = _BY_SUFFIX.get(PurePosixPath(name).suffix[1:].lower(), UNKNOWN)
    if named not in _VAGUE:
        return named
    head = data[:_LOOKED_AT].replace(b"\r\n", b"\n")
    if _HTML.match(head):
        return "text/html"
    return "text/x-rst" if _DIRECTIVE.search(head) and _UNDERLINED.search(head) else named


def parser_for(media_type: str) -> Parser:
    """The parser of a media type; parameters such as `; charset=utf-8` do not count. What is any text is read as plain text.

    Raises:
        Unparsable: nothing reads it.
    """
    plain = _plain(media_type)
    found = _BY_MEDIA_TYPE.get(plain)
    if found is None and (plain.startswith("text/") or plain in _VAGUE):
        found = _BY_MEDIA_TYPE["text/plain"]
    if found is None:
        raise Unparsable("unparsable", f"Nothing here reads {plain[:80]!r}.")
    return found


def parse(document: RawDocument) -> Parsed:
    """A document's text with its structure, whatever its bytes are.

    Cost: Markdown and HTML about 5 to 10 MB a second, other text 20; a PDF 0.07 s and what PDFium takes.

    Raises:
        Unparsable: it cannot be read, with the code of its trouble.
    """
    told = _plain(document.media_type)
    return parser_for(media_type_of(document.ref.id, document.data) if told in _VAGUE else told).parse(document)


def told_metadata(document: RawDocument) -> dict[str, Scalar]:
    """What a document says of itself, by its front matter, where it is Markdown; its blocks are not parsed for it.

    What its source says of it is stronger: `{**told_metadata(document), **document.metadata}`. Empty where it cannot be read: `parse`
    tells why.
    """
    told = _plain(document.media_type)
    found = media_type_of(document.ref.id, document.data) if told in _VAGUE else told
    if found not in MarkdownParser.media_types or not document.data.removeprefix(BOM_UTF8).startswith(b"---"):
        return {}
    try:
        return dict(front_matter(decoded(document.data)[0]).members)
    except Unparsable:
        return {}


@cache
def parsers_fingerprint() -> str:
    """Of all parsers with their libraries: equal ones read equal bytes alike."""
    return hashlib.blake2b(repr([each.fingerprint for each in _PARSERS]).encode(), digest_size=8).hexdigest()


def _plain(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()
