"""Cuts a document into passages that say something by themselves: at headings, else between paragraphs, sentences, words.

Whoever makes cases from a corpus cuts each file with `passages_of`. Offsets are kept, so that a case can be traced to where it came
from. What surprised us: a `#` within a code block of Markdown is a comment far more often than a heading.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST, LONGEST = 200, 1200
"""Characters of a passage. Shorter ones hold no three questions, longer ones let a model choose the easy one."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S|^[^\n]*\S[^\n]*\n {0,3}(?:={3,}|-{3,})[ \t]*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"[.!?\u2026]+[\"')\]\u201d\u2019]*\s+|[\u3002\uff01\uff1f]|\n")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Span:
    """A passage: `text` stands in its document from `start` to before `end`, in characters."""

    start: int
    end: int
    text: str


def passages_of(text: str, *, markdown: bool = True) -> list[Span]:
    r"""The passages of a document, in order; together they hold all of it but space between them.

    Each has 200 to 1,200 characters, but for space at its ends; a document that is shorter is one passage.

    Args:
        text: of the document.
        markdown: headings begin a passage, where the former is long enough.

    >>> [each.text for each in passages_of("# Returns\n\nWithin 30 days.")]
    ['# Returns\n\nWithin 30 days.']
    """
    headings = _headings(text) if markdown else ()
    found, start = [], _past_space(text, 0)
    end = len(text.rstrip())
    while start < end:
        cut = _cut(text, start, end, headings)
        said = text[start:cut].rstrip()
        found.append(Span(start, start + len(said), said))
        start = _past_space(text, cut)
    return found


def _cut(text: str, start: int, end: int, headings: Sequence[int]) -> int:
    """Where the passage that begins at `start` ends: what is left behind it is long enough for another, or nothing."""
    first, last = start + SHORTEST, min(start + LONGEST, end - SHORTEST)
    at = bisect_left(headings, first)
    if at < len(headings) and headings[at] <= last:
        return headings[at]
    if end - start <= LONGEST:
        return end
    for kind in (_PARAGRAPH, _SENTENCE, _SPACE):
        places = [each.end() for each in kind.finditer(text, first, last)]
        if places:
            return places[-1]
    return last


def _headings(text: str) -> list[int]:
    """Where headings begin, but for those within code."""
    fences = [(each.start(), each[1]) for each in _FENCE.finditer(text)]
    code: list[tuple[int, int]] = []
    opened: tuple[int, str] | None = None
    for at, mark in fences:
        if opened is None:
            opened = (at, mark)
        elif mark.startswith(opened[1]):
            code.append((opened[0], at))
            opened = None
    if opened is not None:
        code.append((opened[0], len(text)))
    places = [each.start() for each in _HEADING.finditer(text)]
    return [at for at in places if not any(begin <= at <= end for begin, end in code)]


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
