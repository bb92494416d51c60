"""Reads one PDF in a process of its own: bytes come in on its input, JSON goes out. `pdf` starts it, and ends it when it takes too long.

Runs by its path, isolated: nothing of perdure is imported, so that it starts in less than a tenth of a second. PDFium is C++: whatever a hostile
file does to it, it does here, within the limits that are set before the first byte is read.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any


def main(seconds: int, megabytes: int, most_pages: int, most_characters: int) -> dict[str, Any]:
    """The texts of all pages, the table of contents and the title, or the code of a trouble."""
    for what, limit in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, megabytes << 20),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
    except pypdfium2.PdfiumError as error:
        return {"code": "encrypted" if "password" in str(error).lower() else "unparsable"}
    if len(document) > most_pages:
        return {"code": "bomb", "pages": len(document)}
    pages, n_characters = [], 0
    for number in range(len(document)):
        try:
            page = document[number]
            said = page.get_textpage().get_text_bounded()
            page.close()
        except pypdfium2.PdfiumError:
            said = None
        n_characters += len(said or "")
        if n_characters > most_characters:
            return {"code": "bomb", "characters": n_characters}
        pages.append(said)
    return {"pages": pages, "contents": contents(document), "title": document.get_metadata_dict().get("Title", "")}


def contents(document: Any) -> list[tuple[int, int, str]]:
    """Page, level and words of the first 10,000 entries of the table of contents."""
    found = []
    for entry in document.get_toc(max_depth=6):
        target = entry.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            found.append((page, entry.level + 1, entry.get_title()))
        if len(found) >= 10_000:
            break
    return found


if __name__ == "__main__":
    try:
        told = main(*map(int, sys.argv[1:]))
    except MemoryError:
        told = {"code": "bomb", "memory": True}
    sys.stdout.write(json.dumps(told))
