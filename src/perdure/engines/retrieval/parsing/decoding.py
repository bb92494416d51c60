r"""Bytes to text: byte-order marks, UTF-8, then what Windows wrote; what holds no text is told as binary.

Line ends become `\n`, so that a file that was saved elsewhere is the same document. A text of this module can be encoded again: no lone
surrogate, no NUL.
"""

from __future__ import annotations

import codecs
import re

from perdure.engines.retrieval.protocols import Unparsable

MOST_BYTES = 20_000_000
"""Of a document. Parsers of text read 5 MB a second at least."""
MOST_LINES = 300_000
_LOOKED_AT = 8192
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is the first half of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes(range(9)) + bytes(range(14, 27)) + bytes(range(28, 32))
_MOST_CONTROLS = 0.02
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def decoded(data: bytes, *, declared: str = "") -> tuple[str, tuple[str, ...]]:
    r"""The text of a document, and what one should know of how it was read.

    Args:
        data: of the document.
        declared: the encoding that the document names itself, believed where nothing speaks against it.

    Raises:
        Unparsable: `empty`, `too_large`, `binary` or `encoding`.

    >>> decoded(b"\xef\xbb\xbfa\r\nb")
    ('a\nb', ())
    >>> decoded("Prüfung".encode("cp1252"))
    ('Prüfung', ('read as cp1252: it is not UTF-8',))
    """
    if len(data) > MOST_BYTES:
        raise Unparsable("too_large", f"It has {len(data):,} bytes; {MOST_BYTES:,} are read at most.")
    text, warnings = _text(data, declared)
    text = clean(text.replace("\r\n", "\n").replace("\r", "\n"))
    if not text or text.isspace():
        raise Unparsable("empty", "It holds no text.")
    if text.count("\n") > MOST_LINES:
        raise Unparsable("too_large", f"It has {text.count(chr(10)):,} lines; {MOST_LINES:,} are read at most.")
    return text, warnings


def clean(text: str) -> str:
    """`text` without what cannot be written as UTF-8, or be kept by a database."""
    return _UNWRITABLE.sub("\ufffd", text)


def _text(data: bytes, declared: str) -> tuple[str, tuple[str, ...]]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, "replace")
            return text, (f"some of it is no {encoding}",) if "\ufffd" in text else ()
    head = data[:_LOOKED_AT]
    wide = _wide(head)
    if wide:
        return data.decode(wide, "replace"), (f"read as {wide}: it has no byte-order mark",)
    if len(head) - len(head.translate(None, _CONTROLS)) > _MOST_CONTROLS * len(head):
        raise Unparsable("binary", "It is no text: it holds bytes that no text has.")
    try:
        return data.decode(), ()
    except UnicodeDecodeError:
        return _otherwise(data, declared)


def _wide(head: bytes) -> str:
    """UTF-16 without a mark: every other byte of Western text is 0."""
    half = len(head) // 2
    if half < 8 or 0 not in head:
        return ""
    even, odd = head[: 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if odd > 0.7 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.7 * half and odd < 0.05 * half else ""


def _otherwise(data: bytes, declared: str) -> tuple[str, tuple[str, ...]]:
    if declared:
        try:
            # Codecs that give no text, such as base64, raise LookupError here.
            return data.decode(declared), ()
        except (LookupError, ValueError):
            pass
    replaced = data.decode("utf-8", "replace")
    n_wrong = replaced.count("\ufffd")
    n_right = sum(1 for each in replaced if each > "\x7f") - n_wrong
    if n_right > n_wrong:
        return replaced, (f"{n_wrong} places of it are no UTF-8",)
    try:
        return data.decode("cp1252"), ("read as cp1252: it is not UTF-8",)
    except UnicodeDecodeError as error:
        raise Unparsable("encoding", "It is neither UTF-8 nor UTF-16 nor cp1252.") from error
