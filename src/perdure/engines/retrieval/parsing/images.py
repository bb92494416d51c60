"""Pictures: their bytes are what is embedded, their text is what their source says of them.

Nothing decodes a picture here: the embedder does, and says what it cannot read. Its size stands in its first bytes.
"""

from __future__ import annotations

import struct

from perdure.core.documents import RawDocument, Scalar
from perdure.engines.retrieval.parsing.decoding import MOST_BYTES, clean
from perdure.engines.retrieval.parsing.plain import label
from perdure.engines.retrieval.protocols import Block, Parsed, Unparsable

_TOLD_BY = ("title", "alt", "caption", "description")
_MOST_PIXELS = 100_000_000
_MARKS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}


class ImageParser:
    """PNG, JPEG, GIF and WebP. The text is `title`, `alt`, `caption` and `description` of the metadata, perhaps nothing."""

    media_types = ("image/png", "image/jpeg", "image/gif", "image/webp")
    fingerprint = "image-1"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`. A PNG that would unpack to more than 100 million pixels is told as a bomb."""
        metadata = look_at(document.data)
        said = [value for name in _TOLD_BY if isinstance(value := document.metadata.get(name), str) and value.strip()]
        text = clean("\n".join(said))
        return Parsed(text, (Block("image", 0, len(text)),), label(said[0]) if said else "", metadata=metadata)


def look_at(data: bytes) -> dict[str, Scalar]:
    """What the first bytes of a picture tell: `width` and `height`, of a PNG.

    Raises:
        Unparsable: it is none, has no bytes or too many, or would unpack to more than 100 million pixels.
    """
    if not data:
        raise Unparsable("empty", "It has no bytes.")
    if len(data) > MOST_BYTES:
        raise Unparsable("too_large", f"It has {len(data):,} bytes; {MOST_BYTES:,} are read at most.")
    if not any(data.startswith(mark) for mark in _MARKS):
        raise Unparsable("unparsable", "It is no PNG, JPEG, GIF or WebP.")
    return _size(data)


def _size(data: bytes) -> dict[str, Scalar]:
    if not data.startswith(b"\x89PNG") or len(data) < 24:
        return {}
    width, height = struct.unpack(">II", data[16:24])
    if width * height > _MOST_PIXELS:
        raise Unparsable("bomb", f"It would unpack to {width:,} × {height:,} pixels.")
    return {"width": width, "height": height}
