"""PDF by PDFium (pypdfium2), in a process of its own with limits of time and memory: no file can hang or end the one that asks.

A process a document takes 0.07 s, less than its embedding. Headings are known from the table of contents alone: sizes of
letters lie too often. Lines are put together to paragraphs again.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perdure.core.documents import RawDocument
from perdure.core.errors import MissingExtra
from perdure.engines.retrieval.parsing.decoding import MOST_BYTES
from perdure.engines.retrieval.parsing.hypertext import EXTRA, installed
from perdure.engines.retrieval.parsing.plain import Composed, label
from perdure.engines.retrieval.protocols import Parsed, Unparsable

MOST_SECONDS = 30
MOST_MEGABYTES = 2048
"""Of address space."""
MOST_PAGES = 10_000
_WORKER = Path(__file__).with_name("pdf_worker.py")
_LIMITS = (signal.SIGXCPU, signal.SIGKILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGILL)
_ENDS = re.compile(r"[.!?:\u2026\u3002][\"')\]\u201d\u2019]*$")
_SOFT = re.compile("[\x02\u00ad\ufffe]\\s*\n?")
"""What PDFium writes where a word is broken at the end of a line."""


class PdfParser:
    """`application/pdf`; the extra `documents`."""

    media_types = ("application/pdf",)

    @property
    def fingerprint(self) -> str:
        """Of ours and of the library's version."""
        return f"pdf-1-{installed('pypdfium2')}"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`."""
        if not document.data:
            raise Unparsable("empty", "It has no bytes.")
        told = _read(document.data)
        composed = Composed()
        pages = [_SOFT.sub("", (page or "").replace("\r\n", "\n")).split("\n") for page in told["pages"]]
        headings = {(page, _plain(said)): level for page, level, said in told["contents"] if _plain(said)}
        running = _running(pages)
        for number, lines in enumerate(pages):
            for said, level in _blocks(lines, number, headings, running):
                composed.add("heading" if level else "paragraph", said, level=level)
        parsed = composed.parsed(title=told["title"] or "", warnings=_warnings(told["pages"]))
        if not parsed.blocks:
            raise Unparsable("empty", "Its pages hold no text; they may be pictures of it.")
        return Parsed(parsed.text, parsed.blocks, label(parsed.title), parsed.warnings, {"pages": len(pages)})


def _read(data: bytes) -> Any:
    """What the worker tells."""
    if len(data) > MOST_BYTES:
        raise Unparsable("too_large", f"It has {len(data):,} bytes; {MOST_BYTES:,} are read at most.")
    if find_spec("pypdfium2") is None:
        missing = MissingExtra(EXTRA, needed_for="PDF")
        raise Unparsable("unparsable", f"{missing} {missing.hint}")
    limits = map(str, (MOST_SECONDS, MOST_MEGABYTES, MOST_PAGES, 2 * MOST_BYTES))
    command = [sys.executable, "-I", str(_WORKER), *limits]
    try:
        ended = subprocess.run(command, input=data, capture_output=True, timeout=2 * MOST_SECONDS, env={}, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unparsable("bomb", f"It was not read within {2 * MOST_SECONDS} s.") from error
    if -ended.returncode in _LIMITS:
        raise Unparsable("bomb", f"Reading it takes more than {MOST_SECONDS} s or {MOST_MEGABYTES} MB.")
    if ended.returncode != 0:
        raise Unparsable("unparsable", f"PDFium ended with {ended.returncode} while it read it.")
    told = json.loads(ended.stdout)
    if "code" in told:
        raise Unparsable(told["code"], _MESSAGES[told["code"]])
    return told


_MESSAGES = {
    "encrypted": "It is locked with a password.",
    "unparsable": "It is no PDF, or a broken one.",
    "bomb": f"It has more than {MOST_PAGES:,} pages or {2 * MOST_BYTES:,} characters, or takes too much memory.",
}


def _warnings(pages: Sequence[str | None]) -> tuple[str, ...]:
    broken, bare = pages.count(None), sum(1 for page in pages if page is not None and not page.strip())
    told = (
        f"{broken} pages of it cannot be read" if broken else "",
        f"{bare} pages of it hold no text" if bare else "",
    )
    return tuple(filter(None, told))


def _running(pages: Sequence[Sequence[str]]) -> frozenset[str]:
    """First and last lines that most pages have: no sentence of them."""
    ends = Counter(line for lines in pages if lines for line in {_plain(lines[0]), _plain(lines[-1])})
    return frozenset(line for line, n in ends.items() if n >= 3 and n > len(pages) / 2)


def _blocks(
    lines: Sequence[str], number: int, headings: dict[tuple[int, str], int], running: frozenset[str]
) -> Iterator[tuple[str, int]]:
    """Paragraphs and headings of a page, each with its level; 0: it is no heading."""
    shown = [
        line.strip() for place, line in enumerate(lines) if not _apart(line, place in (0, len(lines) - 1), running)
    ]
    lengths = sorted(len(line) for line in shown if line) or [0]
    full = lengths[3 * len(lengths) // 4]
    gathered: list[str] = []
    for line in shown:
        level = headings.get((number, _plain(line)), 0) if line else 0
        if (level or not line) and gathered:
            yield " ".join(gathered), 0
            gathered = []
        if level:
            yield line, level
        elif line:
            gathered.append(line)
            if len(line) < 0.75 * full and _ENDS.search(line):
                yield " ".join(gathered), 0
                gathered = []
    if gathered:
        yield " ".join(gathered), 0


def _apart(line: str, at_end: bool, running: frozenset[str]) -> bool:
    """A page's number, or what stands at the end of every page."""
    return at_end and (_plain(line).isdigit() or _plain(line) in running)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
