"""Blocks to pieces: what a chunk is put together from, and never torn further.

A block is one piece where it fits. What is larger is cut where it hurts least: lists at their items, tables at rows, code at lines (and
only beyond three times the aim), all else at sentences, then at words, then anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from perdure.core.documents import ChunkForm
from perdure.engines.retrieval.protocols import Block

UNTORN = 3
"""Code and rows of tables up to this many aims stay whole: half a function answers nothing."""
HEADING, BLOCK, WITHIN = range(3)
"""How good a place for a cut is before a piece, best first."""

_SENTENCE = re.compile(r"(?<=[.!?\u2026])[\"')\]\u201d\u2019]*\s+|(?<=[\u3002\uff01\uff1f])(?=\S)")
_SPACE = re.compile(r"\s+")
_LINE = re.compile(r"\n")
_ITEM = re.compile(r"^([ \t]*)(?:[-*+\u2022]|\d{1,9}[.)]|#\.)[ \t]+", re.MULTILINE)
_FORMS: dict[str, ChunkForm] = {"code": "code", "table": "table", "image": "image"}


@dataclass(frozen=True, slots=True)
class Piece:
    """`text[start:end]`."""

    start: int
    end: int
    form: ChunkForm
    place: int
    header: str = ""
    """Of rows that stand without it: the table's header row."""


def pieces_of(text: str, block: Block, aim: int, *, announced: bool = False) -> Iterator[Piece]:
    """The pieces of one block, in order; together they hold all of it but space.

    Args:
        text: of the document.
        block: one of its blocks.
        aim: characters that a chunk should have.
        announced: what stands before ends with a colon, so that a cut between the two is as bad as one within a block.
    """
    form = _FORMS.get(block.form, "text")
    place = HEADING if block.form == "heading" else WITHIN if announced else BLOCK
    if block.end - block.start <= (aim * UNTORN if form == "code" else aim):
        yield Piece(block.start, block.end, form, place)
        return
    header = block.label if form == "table" else ""
    for number, (start, end) in enumerate(_cut(text, block, aim)):
        yield Piece(start, end, form, WITHIN if number else place, header if number else "")


def sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Where a sentence begins behind another in `text[start:end]`."""
    return (each.end() for each in _SENTENCE.finditer(text, start, end))


def _cut(text: str, block: Block, aim: int) -> Iterator[tuple[int, int]]:
    start, end = block.start, block.end
    if block.form in ("table", "code"):
        for one in _between(text, start, end, (each.end() for each in _LINE.finditer(text, start, end))):
            yield from (one,) if one[1] - one[0] <= aim * UNTORN else _words(text, *one, aim)
    elif block.form == "list":
        for one in _between(text, start, end, _items(text, start, end)):
            yield from _sentences(text, *one, aim)
    else:
        yield from _sentences(text, start, end, aim)


def _items(text: str, start: int, end: int) -> Iterator[int]:
    """Where the outermost items of a list begin."""
    found = [(each.start(), len(each[1])) for each in _ITEM.finditer(text, start, end)]
    outermost = min((depth for _, depth in found), default=0)
    return (at for at, depth in found if depth == outermost)


def _sentences(text: str, start: int, end: int, aim: int) -> Iterator[tuple[int, int]]:
    if end - start <= aim:
        yield start, end
        return
    for one in _between(text, start, end, sentence_ends(text, start, end)):
        yield from _words(text, *one, aim)


def _words(text: str, start: int, end: int, aim: int) -> Iterator[tuple[int, int]]:
    """Cut at the last space before the aim; a word that is larger still, at the aim."""
    while end - start > aim:
        at = max((each.start() for each in _SPACE.finditer(text, start + 1, start + aim + 1)), default=start + aim)
        yield start, at
        space = _SPACE.match(text, at, end)
        start = space.end() if space else at
    if start < end:
        yield start, end


def _between(text: str, start: int, end: int, cuts: Iterator[int]) -> Iterator[tuple[int, int]]:
    """The stretches between cuts, without the space at their ends."""
    for cut in (*cuts, end):
        last = cut
        while last > start and text[last - 1].isspace():
            last -= 1
        if start < last:
            yield start, last
        start = cut
