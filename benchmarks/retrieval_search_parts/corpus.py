"""Real text without a network: documentation and code of what is installed here, cut at blank lines; and questions from it."""

from __future__ import annotations

import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".md", ".rst", ".txt", ".py")
_BLANK = re.compile(r"\n[ \t]*\n")
_WORD = re.compile(r"[A-Za-z]{2,}")
_SENTENCE = re.compile(r"[A-Z][a-z]+(?: [a-z]+,?){7,12}\.")
_LEAST, _MOST = 60, 900
_LARGEST_FILE = 400_000


def texts(n: int) -> list[str]:
    """Up to n different stretches of 60 to 900 characters, in an order that is the same each time on one machine."""
    found: dict[str, None] = {}
    for path in _files():
        try:
            told = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        found.update(dict.fromkeys(_cut(told)))
        if len(found) >= 3 * n:
            break
    drawn = list(found)
    random.Random(0).shuffle(drawn)
    return drawn[:n]


def questions(among: list[str], n: int) -> list[str]:
    """Sentences of 8 to 13 words that stand in the texts."""
    order = list(range(len(among)))
    random.Random(1).shuffle(order)
    found: dict[str, None] = {}
    for i in order:
        match = _SENTENCE.search(among[i])
        if match:
            found[match[0]] = None
        if len(found) == n:
            break
    return list(found)


def _files() -> Iterator[Path]:
    roots = dict.fromkeys(Path(each) for each in (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")))
    for root in (*roots, Path(sys.prefix)):
        for path in sorted(root.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and path.stat().st_size < _LARGEST_FILE:
                yield path


def _cut(text: str) -> Iterator[str]:
    held = ""
    for part in _BLANK.split(text):
        piece = part.strip()
        if held and len(held) + len(piece) > _MOST:
            if len(held) >= _LEAST and len(_WORD.findall(held)) > 8:
                yield held[:_MOST]
            held = ""
        held = f"{held}\n\n{piece}" if held else piece
    if len(held) >= _LEAST and len(_WORD.findall(held)) > 8:
        yield held[:_MOST]
