"""reStructuredText by its lines: headings, paragraphs, lists, literal blocks, tables; the text stays as it was written.

Docutils would resolve roles and directives that only the project's own Sphinx knows, and takes a hundred times as long. What stands
below a directive is read as if it stood alone, since that is where manuals of code keep their text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.decoding import decoded
from perdure.engines.retrieval.parsing.plain import label
from perdure.engines.retrieval.protocols import Block, BlockForm, Parsed

_RULE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\d{1,9}[.)]|#\.)\s+\S")
_SIMPLE_TABLE = re.compile(r"\s*={2,}(?:\s+={2,})+\s*$")
_GRID_TABLE = re.compile(r"\s*\+(?:[-=]+\+)+\s*$")
_CODE = re.compile(r"\s*\.\. (?:code|code-block|sourcecode|highlight|parsed-literal|literalinclude|math|console)::")
_DIRECTIVE = re.compile(r"\s*\.\. [\w:+.-]+::|\s*\.\. \|")
_UNSEEN = re.compile(r"\s*\.\.(?:\s|$)")


class RestructuredParser:
    """`text/x-rst`."""

    media_types = ("text/x-rst", "text/prs.fallenstein.rst")
    fingerprint = "restructured-1"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`."""
        text, warnings = decoded(document.data)
        return Parsed(text, tuple(_Lines(text).blocks()), warnings=warnings)


@dataclass(slots=True)
class _Lines:
    """The lines of a text, and how far they are read."""

    text: str
    lines: list[str] = field(init=False)
    starts: list[int] = field(init=False)
    levels: list[tuple[str, bool]] = field(default_factory=list)
    """Marks of headings in the order of their first use: the first is the highest."""

    def __post_init__(self) -> None:
        self.lines = self.text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def blocks(self) -> Iterator[Block]:
        """The structure, in order."""
        at, literal = 0, None
        while at < len(self.lines):
            line = self.lines[at]
            if not line or line.isspace():
                at += 1
                continue
            depth = _depth(line)
            if literal is not None and depth > literal:
                end = self._deeper(at, literal)
                yield self._block("code", at, end)
                at, literal = end, None
                continue
            form, end, literal = self._next(at, line, depth)
            if form == "heading":
                yield self._heading(at, end)
            elif form is not None:
                yield self._block(form, at, end)
            at = end

    def _next(self, at: int, line: str, depth: int) -> tuple[BlockForm | None, int, int | None]:
        """What begins at a line, where it ends, and below which depth a literal block would follow it."""
        n_lines = self._title_lines(at)
        if n_lines:
            return "heading", at + n_lines, None
        if line[depth:].startswith(".."):
            return self._marked(at, line, depth)
        if _GRID_TABLE.match(line) or _SIMPLE_TABLE.match(line):
            return "table", self._table(at), None
        if _ITEM.match(line):
            end = self._list(at, depth)
            return "list", end, depth if self._opens(end) else None
        end = self._paragraph(at)
        return ("paragraph" if _words(line) or end > at + 1 else None), end, depth if self._opens(end) else None

    def _title_lines(self, at: int) -> int:
        """Lines of a heading that begins here; 0: none does."""
        line = self.lines[at]
        if line[0].isspace():
            said, repeated = self._two(at)
            return 3 if _RULE.match(line) and repeated == line and said.strip() else 0
        following, third = self._two(at)
        rule = _RULE.match(line)
        if rule:
            over = (
                following.strip() and third.rstrip() == line.rstrip() and len(following.strip()) <= len(line.rstrip())
            )
            return 3 if over and not _RULE.match(following) else 0
        under = _RULE.match(following)
        return 2 if under and len(following.rstrip()) >= len(line.rstrip()) and line.strip() else 0

    def _two(self, at: int) -> tuple[str, str]:
        following = self.lines[at + 1] if at + 1 < len(self.lines) else ""
        return following, self.lines[at + 2] if at + 2 < len(self.lines) else ""

    def _heading(self, at: int, end: int) -> Block:
        over = end - at == 3
        mark = (self.lines[end - 1][0], over)
        if mark not in self.levels:
            self.levels.append(mark)
        block = self._block("heading", at, end)
        said = self.lines[at + 1] if over else self.lines[at]
        return Block("heading", block.start, block.end, self.levels.index(mark) + 1, label(said))

    def _marked(self, at: int, line: str, depth: int) -> tuple[BlockForm | None, int, int | None]:
        """Two points: code, a directive with its options, or what no reader sees (a comment, a target)."""
        if _CODE.match(line):
            return "code", self._deeper(at + 1, depth), None
        if _DIRECTIVE.match(line):
            end = at + 1
            while end < len(self.lines) and self.lines[end].strip() and _depth(self.lines[end]) > depth:
                end += 1
            return "paragraph", end, None
        if _UNSEEN.match(line):
            return None, self._deeper(at + 1, depth), None
        return "paragraph", self._paragraph(at), None

    def _deeper(self, at: int, depth: int) -> int:
        """Past what stands deeper than `depth`, blank lines between it, too."""
        end = at
        for number in range(at, len(self.lines)):
            line = self.lines[number]
            if line and not line.isspace():
                if _depth(line) <= depth:
                    break
                end = number + 1
        return end

    def _paragraph(self, at: int) -> int:
        end = at + 1
        while end < len(self.lines) and self.lines[end].strip() and not (self._title_lines(end) and end > at):
            end += 1
        return end

    def _list(self, at: int, depth: int) -> int:
        """Past the items of a list and what stands deeper; blank lines may stand between."""
        end = at + 1
        number = at + 1
        while number < len(self.lines):
            line = self.lines[number]
            blank = not line or line.isspace()
            if not blank:
                goes_on = _depth(line) > depth or (_depth(line) == depth and _ITEM.match(line))
                if not goes_on and (not self.lines[number - 1].strip() or self._title_lines(number)):
                    break
                end = number + 1
            number += 1
        return end

    def _table(self, at: int) -> int:
        grid = _GRID_TABLE.match(self.lines[at]) is not None
        end, rules = at + 1, 1
        while end < len(self.lines):
            line = self.lines[end]
            if not line.strip() and (grid or rules != 2):
                break
            rules += not grid and _SIMPLE_TABLE.match(line) is not None
            end += 1
            if rules == 3:
                break
        return end

    def _opens(self, end: int) -> bool:
        """Whether what ended says that a literal block follows."""
        return self.lines[end - 1].rstrip().endswith("::")

    def _block(self, form: BlockForm, at: int, end: int) -> Block:
        start = self.starts[at]
        stop = min(self.starts[end], len(self.text))
        while stop > start and self.text[stop - 1].isspace():
            stop -= 1
        header = self.lines[at + 1].strip() if form == "table" and at + 1 < end else ""
        return Block(form, start, stop, label=header[:400])


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _words(line: str) -> bool:
    """A line of nothing but marks is a transition."""
    return not _RULE.match(line)
