"""Blocks to sections: a heading with what stands below it, up to the next heading.

Whether a small section is joined with the next is decided by these two alone, so that an edit elsewhere changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perdure.engines.retrieval.protocols import Block


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks in order, the first its heading, but for what stands before the first heading of a document."""

    blocks: Sequence[Block]
    level: int
    above: tuple[str, ...]
    """Labels of the headings that it stands under, without its own."""

    @property
    def heading(self) -> Block | None:
        """Its own."""
        return self.blocks[0] if self.level else None

    @property
    def path(self) -> tuple[str, ...]:
        """Labels of the headings above what stands in it."""
        return (*self.above, self.blocks[0].label) if self.level else self.above

    @property
    def size(self) -> int:
        """Characters from its begin to its end."""
        return self.blocks[-1].end - self.blocks[0].start


def sections_of(blocks: Sequence[Block]) -> Iterator[Section]:
    """The sections of a document, in order."""
    gathered: list[Block] = []
    open_headings: list[tuple[int, str]] = []
    for block in blocks:
        if block.form != "heading":
            gathered.append(block)
            continue
        if gathered:
            yield _section(gathered, open_headings)
        while open_headings and open_headings[-1][0] >= block.level:
            open_headings.pop()
        open_headings.append((block.level, block.label))
        gathered = [block]
    if gathered:
        yield _section(gathered, open_headings)


def _section(blocks: list[Block], open_headings: Sequence[tuple[int, str]]) -> Section:
    if blocks[0].form != "heading":
        return Section(tuple(blocks), 0, ())
    return Section(tuple(blocks), blocks[0].level, tuple(said for _, said in open_headings[:-1]))


def joined(sections: Sequence[Section], least: int) -> Iterator[list[Section]]:
    """Sections in runs: one smaller than `least` characters is joined with the next, where that is below or beside it."""
    run: list[Section] = []
    for section in sections:
        if run and not (run[-1].size < least and section.level >= run[-1].level):
            yield run
            run = []
        run.append(section)
    if run:
        yield run
