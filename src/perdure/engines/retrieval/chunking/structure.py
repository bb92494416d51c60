"""`ByStructure` at work: sections, pieces, chunks, each with what stands above it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perdure.assets.chunkers import ByStructure
from perdure.core.documents import Chunk, RawDocument
from perdure.engines.retrieval.chunking.packing import packed
from perdure.engines.retrieval.chunking.pieces import HEADING, Piece, pieces_of, sentence_ends
from perdure.engines.retrieval.chunking.sections import Section, joined, sections_of
from perdure.engines.retrieval.chunking.titles import title_of
from perdure.engines.retrieval.parsing.registry import parse, parsers_fingerprint
from perdure.engines.retrieval.protocols import Parsed, Unparsable

CHARACTERS = 4
"""Of a token, as in English prose. Counting them takes an embedder's tokenizer, and cuts would then change with the embedder."""
_PARENT = 8
"""Aims of a parent at most: what is given to who asks for more must still be read."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Run:
    """Sections that are cut together, and their pieces."""

    parsed: Parsed
    title: str
    pieces: Sequence[Piece]
    paths: Sequence[tuple[str, ...]]
    """A piece: labels above it, without those that it begins with itself."""
    called: int
    """Where the heading stands that the document is called by; -1: it is called otherwise."""


class StructureChunker:
    """Cuts documents by their structure.

    Cost: Markdown 6 MB a second with its parsing, reStructuredText 16: 5,000 files of 5 kB in 2 to 4 s.
    """

    def __init__(self, settings: ByStructure) -> None:
        self._settings = settings
        self._aim = settings.tokens * CHARACTERS
        self._least = settings.least * CHARACTERS
        told = repr((_VERSION, settings, parsers_fingerprint()))
        self.fingerprint = f"structure-{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"

    def chunk(self, document: RawDocument) -> tuple[str, list[Chunk]]:
        """See `Chunker.chunk`."""
        parsed = parse(document)
        title = title_of(document, parsed)
        heading = next((block for block in parsed.blocks if block.form == "heading"), None)
        called = heading.start if heading is not None and heading.label == title else -1
        chunks: list[Chunk] = []
        for sections in joined(tuple(sections_of(parsed.blocks)), self._least):
            pieces, paths = self._cut(parsed.text, sections)
            run = _Run(parsed, title, pieces, paths, called)
            chunks.extend(self._chunks(document, run, len(chunks)))
        if not chunks:
            raise Unparsable("empty", "It holds nothing that could be found.")
        return title, chunks

    def _cut(self, text: str, sections: Sequence[Section]) -> tuple[list[Piece], list[tuple[str, ...]]]:
        pieces: list[Piece] = []
        paths: list[tuple[str, ...]] = []
        bare = False
        for section in sections:
            cut, above = self._pieces(text, section), section.above
            if bare:
                cut[0] = Piece(pieces.pop().start, cut[0].end, cut[0].form, HEADING, cut[0].header)
                above = paths.pop()
            pieces.extend(cut)
            paths.append(above)
            paths.extend(section.path for _ in cut[1:])
            # A heading without a text of its own, perhaps under more such, stands with what follows it.
            bare = (
                len(section.blocks) == 1
                and section.level > 0
                and len(cut) == 1
                and cut[0].end - cut[0].start < self._aim / 2
            )
        return pieces, paths

    def _pieces(self, text: str, section: Section) -> list[Piece]:
        """A heading is one piece with what follows it: it never ends a chunk."""
        cut: list[Piece] = []
        for block in section.blocks:
            announced = bool(cut) and text[cut[-1].end - 1] == ":"
            cut.extend(pieces_of(text, block, self._aim, announced=announced))
        if section.heading is None or len(cut) < 2 or cut[1].form == "image":
            return cut
        head, body = cut[0], cut[1]
        if head.end < section.heading.end:  # a heading as long as a chunk
            return cut
        return [Piece(head.start, body.end, body.form, HEADING, body.header), *cut[2:]]

    def _chunks(self, document: RawDocument, run: _Run, position: int) -> Iterator[Chunk]:
        ranges = list(packed(run.parsed.text, run.pieces, aim=self._aim, least=self._least))
        for number, (first, last) in enumerate(ranges):
            pieces = run.pieces[first:last]
            forms = {piece.form for piece in pieces}
            end = pieces[-1].end
            start = self._start(run, first) if number else pieces[0].start
            form = forms.pop() if len(forms) == 1 else "text"
            yield Chunk(
                document=document.ref.id,
                position=position + number,
                text=run.parsed.text[start:end],
                start=start,
                end=end,
                context=self._context(run, first),
                form=form,
                parent=self._parent(run, ranges, number) if self._settings.parents else None,
                data=document.data if form == "image" else b"",
            )

    def _context(self, run: _Run, first: int) -> str:
        """Title and headings above, and the header of a table that is continued."""
        header = run.pieces[first].header
        above: tuple[str, ...] = ()
        if self._settings.context:
            path = run.paths[first]
            said_already = run.pieces[first].start == run.called or path[:1] == (run.title,)
            above = path if said_already or not run.title else (run.title, *path)
        said = " > ".join(above)
        return f"{said}\n{header}".strip() if header else said

    def _start(self, run: _Run, first: int) -> int:
        """Where a chunk begins that repeats the end of the one before."""
        start, before = run.pieces[first].start, run.pieces[first - 1]
        reach = self._settings.overlap * CHARACTERS
        if not reach or before.form != "text" or run.pieces[first].place == HEADING:
            return start
        earliest = max(before.start, start - reach)
        if earliest == before.start:
            return earliest
        return next(sentence_ends(run.parsed.text, earliest, before.end), start)

    def _parent(self, run: _Run, ranges: Sequence[tuple[int, int]], number: int) -> tuple[int, int] | None:
        """The run of sections; of a long one the chunks around."""
        if len(ranges) == 1:
            return None
        most = self._aim * _PARENT
        low = high = number
        while True:
            wider = (max(low - 1, 0), min(high + 1, len(ranges) - 1))
            start, end = run.pieces[ranges[wider[0]][0]].start, run.pieces[ranges[wider[1]][1] - 1].end
            if wider == (low, high) or end - start > most:
                break
            low, high = wider
        return run.pieces[ranges[low][0]].start, run.pieces[ranges[high][1] - 1].end
