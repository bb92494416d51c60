"""Pieces to chunks: where within a long section a chunk ends is decided by what stands there, not by how far from its begin it is.

Filling each chunk as far as it goes would shift every later chunk of a section when a paragraph is put in. So a chunk ends somewhere
between half of the aim and the aim, before the best place there: a heading, else between blocks, else at the piece with the lowest
checksum. Two cuts of a text before and after an edit meet again at the first place that is the best for both, mostly within two or
three chunks. Source: the idea of content-defined chunking (Muthitacharoen, Chen, Mazières, 2001) with the minimum in a window as mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

from perdure.engines.retrieval.chunking.pieces import Piece


def packed(text: str, pieces: Sequence[Piece], *, aim: int, least: int) -> Iterator[tuple[int, int]]:
    """Chunks as ranges of pieces, from the first to before the last, in order.

    Args:
        text: of the document.
        pieces: of one section, in order.
        aim: characters that a chunk has at most, unless a single piece has more.
        least: characters that the last chunk should have at least.
    """
    first, end = 0, pieces[-1].end if pieces else 0
    while first < len(pieces):
        start = pieces[first].start
        if end - start <= aim:
            yield first, len(pieces)
            return
        cut = _cut(text, pieces, first, aim=aim, last=end - least)
        yield first, cut
        first = cut


def _cut(text: str, pieces: Sequence[Piece], first: int, *, aim: int, last: int) -> int:
    start = pieces[first].start
    fits: list[int] = []
    for number in range(first + 1, len(pieces)):
        if pieces[number - 1].end - start > aim:
            break
        fits.append(number)
    if not fits:
        return first + 1
    inside = [number for number in fits if pieces[number - 1].end - start >= aim / 2] or fits[-1:]
    inside = [number for number in inside if pieces[number].start <= last] or inside
    return min(inside, key=lambda number: (pieces[number].place, _checksum(text, pieces[number])))


def _checksum(text: str, piece: Piece) -> int:
    return crc32(text[piece.start : piece.end].encode("utf-8", "surrogatepass"))
