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


def media_type_of(name: str) -> str:
    """The media type of a file by its name.

    >>> media_type_of("guide/intro.md"), media_type_of("logo.png"), media_type_of("LICENSE"), media_type_of("x.bin2")
    ('text/markdown', 'image/png', 'text/plain', 'application/octet-stream')
    """
    suffix = PurePosixPath(name).suffix.lower()
    return _OWN.get(suffix) or mimetypes.guess_type(name, strict=False)[0] or UNKNOWN
