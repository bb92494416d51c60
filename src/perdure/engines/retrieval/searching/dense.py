"""The nearest vectors in three steps: signs of all, 8 bits of thousands, exact numbers of a hundred.

What the steps leave out is measured, not guessed: see `calibrating`. Products are summed by `einsum`: the threads of BLAS spin, and cost
many times the CPU on busy cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import BadIndex
from perdure.engines.retrieval.searching.ordering import best
from perdure.engines.retrieval.searching.scope import Reach, Scope
from perdure.engines.retrieval.searching.scratch import Scratch
from perdure.engines.retrieval.searching.segments import Segment

Ranked = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Keys with scores, best first."""
FetchVectors = Callable[[Sequence[int]], Sequence[bytes]]
"""Vectors by key, as the store keeps them; empty where it has none."""
_NEVER = 65_535
_SAMPLE = 4_096
LEAST_RESCORED = 100


@dataclass(frozen=True, slots=True)
class Width:
    """How many rows each step leaves."""

    n_near: int
    """After signs."""
    n_exact: int
    """After 8 bits."""
    n_out: int


def as_question(vector: NDArray[np.floating], dimensions: int) -> NDArray[np.float32]:
    """The question's vector at length one; all zeros where it has no direction.

    Raises:
        BadIndex: it has another length than the index's vectors, or numbers that are none.
    """
    found = np.asarray(vector, dtype=np.float64).ravel()
    if dimensions and len(found) != dimensions:
        raise BadIndex(
            f"A question of {len(found)} dimensions, and vectors of {dimensions}.",
            hint="Embed the question by the index's own embedder.",
        )
    length = float(np.sqrt((found * found).sum()))
    if not np.isfinite(length):
        raise BadIndex("A question's vector holds numbers that are none.", hint="Embed the question anew.")
    return (found / length if length else found).astype(np.float32)


def nearest(
    segments: Sequence[Segment], scope: Scope, question: NDArray[np.float32], width: Width, fetch: FetchVectors | None
) -> Ranked:
    """The rows with the highest cosine to the question, of those in scope. Cost: 1 ms for 100,000 rows of 384, 8 ms for 1,000,000."""
    near = _near(segments, scope, question, width.n_near)
    keys = np.concatenate([segment.keys[rows] for segment, rows in zip(segments, near, strict=True)])
    rough = np.concatenate([_rough(segment, rows, question) for segment, rows in zip(segments, near, strict=True)])
    chosen = best(rough, keys, width.n_exact)
    scores = _exact(segments, near, chosen, question)
    if scores is None:
        scores = _fetched(keys[chosen], question, fetch) if fetch else rough[chosen].astype(np.float64)
    order = best(scores, keys[chosen], width.n_out)
    usable = order[np.isfinite(scores[order])]
    return keys[chosen][usable], scores[usable]


def cosines_of(
    segments: Sequence[Segment], near: Sequence[NDArray[np.intp]], question: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Cosines of given rows of each segment, as exactly as they are kept in memory."""
    n = sum(map(len, near))
    exact = _exact(segments, near, np.arange(n), question)
    if exact is not None:
        return exact
    rough = [_rough(segment, rows, question) for segment, rows in zip(segments, near, strict=True)]
    return np.concatenate(rough).astype(np.float64)


def _near(
    segments: Sequence[Segment], scope: Scope, question: NDArray[np.float32], n_near: int
) -> list[NDArray[np.intp]]:
    """Rows of each segment whose signs differ least from the question's: at least `n_near` in all, where there are."""
    signs = _signs(question, len(segments[0].vectors.bits))
    found: list[tuple[NDArray[np.intp], NDArray[np.uint16]]] = []
    distances = [
        _distances(segment, reach, signs, Scratch.here(i))
        for i, (segment, reach) in enumerate(zip(segments, scope.reaches, strict=True))
    ]
    edge = _guessed(distances, n_near)
    for _ in range(2):
        found = [_within(each, edge, reach) for each, reach in zip(distances, scope.reaches, strict=True)]
        if edge == _NEVER - 1 or sum(len(rows) for rows, _ in found) >= n_near:
            break
        edge = _NEVER - 1
    return _cut(segments, found, n_near)


def _cut(
    segments: Sequence[Segment], found: Sequence[tuple[NDArray[np.intp], NDArray[np.uint16]]], n_near: int
) -> list[NDArray[np.intp]]:
    """Down to the distance that leaves `n_near`; of many at that very distance the lower keys."""
    everything = np.concatenate([differences for _, differences in found])
    if len(everything) <= n_near:
        return [rows for rows, _ in found]
    upto = np.cumsum(np.bincount(everything))
    edge = int(np.searchsorted(upto, n_near))
    if upto[edge] <= 2 * n_near:
        return [rows[differences <= edge] for rows, differences in found]
    keys = np.concatenate([segment.keys[rows] for segment, (rows, _) in zip(segments, found, strict=True)])
    chosen = np.zeros(len(keys), dtype=np.bool_)
    chosen[best(-everything.astype(np.float32), keys, n_near)] = True
    ends = np.cumsum([len(rows) for rows, _ in found])
    return [rows[part] for (rows, _), part in zip(found, np.split(chosen, ends[:-1]), strict=True)]


def _signs(question: NDArray[np.float32], width: int) -> NDArray[np.uint64]:
    padded = np.zeros(64 * width, dtype=np.bool_)
    padded[: len(question)] = question > 0
    return np.packbits(padded).view(np.uint64)


def _distances(segment: Segment, reach: Reach, signs: NDArray[np.uint64], scratch: Scratch) -> NDArray[np.uint16]:
    """How many signs differ, of each row, or of the few that may be found."""
    bits = segment.vectors.bits if reach.few is None else segment.vectors.bits[:, reach.few]
    n = bits.shape[1]
    scratch.reserve(n)
    words, counts, total = scratch.words[:n], scratch.counts[:n], scratch.totals[:n]
    total[:] = 0
    for column, sign in zip(bits, signs, strict=True):
        np.bitwise_xor(column, sign, out=words)
        np.bitwise_count(words, out=counts)
        np.add(total, counts, out=total)
    if reach.barred is not None and reach.few is None:
        np.copyto(total, _NEVER, where=reach.barred)
    return total


def _guessed(distances: Sequence[NDArray[np.uint16]], n_near: int) -> int:
    """A distance that about twice as many rows are within, from a sample."""
    n = sum(map(len, distances))
    if n <= max(_SAMPLE, 2 * n_near):
        return _NEVER - 1
    step = n // _SAMPLE
    sample = np.concatenate([each[::step] for each in distances])
    place = min(len(sample) - 1, int(1.3 * n_near / step) + 8)
    return min(int(np.partition(sample, place)[place]), _NEVER - 1)


def _within(distances: NDArray[np.uint16], edge: int, reach: Reach) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
    places = np.flatnonzero(distances <= edge)
    return (places if reach.few is None else reach.few[places]), distances[places]


def _rough(segment: Segment, rows: NDArray[np.intp], question: NDArray[np.float32]) -> NDArray[np.float32]:
    small = segment.vectors.small[rows]
    asked = np.zeros(small.shape[1], dtype=np.float32)
    asked[: len(question)] = question
    found: NDArray[np.float32] = np.einsum("ij,j->i", small.astype(np.float32), asked) * segment.vectors.scales[rows]
    return found


def _exact(
    segments: Sequence[Segment],
    near: Sequence[NDArray[np.intp]],
    chosen: NDArray[np.intp],
    question: NDArray[np.float32],
) -> NDArray[np.float64] | None:
    """Cosines of the chosen of all near rows; None where exact vectors are not in memory."""
    scores = np.empty(len(chosen), dtype=np.float64)
    begin = 0
    for segment, rows in zip(segments, near, strict=True):
        mine = np.flatnonzero((chosen >= begin) & (chosen < begin + len(rows)))
        kept = segment.vectors.exact
        if kept is None and len(mine):
            return None
        if kept is not None and len(mine):
            picked = kept[rows[chosen[mine] - begin]].astype(np.float64)
            scores[mine] = np.einsum("ij,j->i", picked, question.astype(np.float64))
        begin += len(rows)
    return scores


def _fetched(keys: NDArray[np.int64], question: NDArray[np.float32], fetch: FetchVectors) -> NDArray[np.float64]:
    scores = np.full(len(keys), -np.inf)
    for i, raw in enumerate(fetch(keys.tolist())):
        if len(raw) == 4 * len(question):
            vector = np.frombuffer(raw, dtype="<f4").astype(np.float64)
            scores[i] = float((vector * question).sum())
    return np.where(np.isnan(scores), -np.inf, scores)
