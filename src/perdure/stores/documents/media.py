"""Media types by name: what `mimetypes` does not know, or calls otherwise on other machines."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath

_OWN = {
    "": "text/plain",
    ".adoc": "text/plain",
    ".cfg": "text/plain",
    ".csv": "text/csv",
    ".go": "text/x-code",
    ".htm": "text/html",
    ".html": "text/html",
    ".ini": "text/plain",
    ".java": "text/x-code",
    ".js": "text/x-code",
    ".json": "application/json",
    ".log": "text/plain",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".mdx": "text/markdown",
    ".pdf": "application/pdf",
    ".py": "text/x-python",
    ".rs": "text/x-code",
    ".rst": "text/x-rst",
    ".sh": "text/x-code",
    ".sql": "text/x-code",
    ".toml": "text/plain",
    ".ts": "text/x-code",
    ".txt": "text/plain",
    ".yaml": "text/plain",
    ".yml": "text/plain",
}
UNKNOWN = "application/octet-stream"
_GUESSES = mimetypes.MimeTypes()
"""Of Python's own list: what a machine adds to it would make other versions of documents there."""


def media_type_of(name: str) -> str:
    """The media type of a file by its name.

    >>> media_type_of("guide/intro.md"), media_type_of("logo.png"), media_type_of("LICENSE"), media_type_of("x.bin2")
    ('text/markdown', 'image/png', 'text/plain', 'application/octet-stream')
    >>> media_type_of("intro.md.gz")
    'application/gzip'
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _OWN:
        return _OWN[suffix]
    guessed, packed = _GUESSES.guess_type(PurePosixPath(name).name, strict=False)
    return f"application/{packed}" if packed else guessed or UNKNOWN
