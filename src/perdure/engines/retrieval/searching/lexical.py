"""BM25 in two steps: rare words add up over all their rows, and the best of these are completed by common words.

score(row) = sum over words of idf · count (k1 + 1) / (count + k1 (1 - b + b length / mean)), with idf = ln(1 + (N - n + ½) / (n + ½)).
N, n and the mean are counted over what may be read. Words that stand in more than a tenth of the rows are common: they move a row by
little, and would cost most of the time. Where all words are common the rarest of them begins.

Source: Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"; the idf is Lucene's, never below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.engines.retrieval.searching.dense import Ranked
from perdure.engines.retrieval.searching.ordering import best
from perdure.engines.retrieval.searching.postings import Postings
from perdure.engines.retrieval.searching.scope import K1, Reach, Scope
from perdure.engines.retrieval.searching.scratch import Scratch
from perdure.engines.retrieval.searching.segments import Segment

COMMON = 0.1
"""Share of rows above which a word is common."""
N_COMPLETED = 4_000
"""Rows that are completed by common words."""
_EXACT_BELOW = 5_000
"""Rows among which every word is counted as rare: it costs nothing there."""
_SAMPLED = 64


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the question, in all segments."""

    idf: float
    entries: Sequence[tuple[int, int]]
    """Begin and end in each segment's postings."""
    n_rows: int


def best_by_words(segments: Sequence[Segment], scope: Scope, terms: NDArray[np.uint64], n_out: int) -> Ranked:
    """The rows in scope with the highest BM25. Cost: 0.5 ms for 100,000 rows, 4 ms for 1,000,000, for ten words."""
    words = _words(segments, scope, terms)
    rare, common = _split(words, scope.n_readable)
    keys: list[NDArray[np.int64]] = []
    scores: list[NDArray[np.float32]] = []
    for i, (segment, reach) in enumerate(zip(segments, scope.reaches, strict=True)):
        rows, partial = _begun(segment, reach, [(word.entries[i], word.idf) for word in rare], Scratch.here(i))
        if common and len(rows) > n_out:
            # What is further behind than common words can make good need not be completed.
            far = np.partition(partial, len(partial) - n_out)[len(partial) - n_out] - _most_of(common)
            chosen = np.flatnonzero(partial >= far)
            if len(chosen) > N_COMPLETED:
                chosen = np.sort(best(partial, segment.keys[rows], N_COMPLETED))
            rows, partial = rows[chosen], partial[chosen]
        for word in common:
            _complete(segment.postings, word.entries[i], word.idf, (rows, partial), reach)
        order = best(partial, segment.keys[rows], n_out)
        keys.append(segment.keys[rows[order]])
        scores.append(partial[order])
    all_keys, all_scores = np.concatenate(keys), np.concatenate(scores)
    order = best(all_scores, all_keys, n_out)
    return all_keys[order], all_scores[order].astype(np.float64)


def _words(segments: Sequence[Segment], scope: Scope, terms: NDArray[np.uint64]) -> list[_Word]:
    """The words that stand in what may be read."""
    places = [segment.postings.find(terms) for segment in segments]
    found = []
    for entries in zip(*places, strict=True):
        n_rows = sum(
            _n_readable(segment.postings, entry, reach)
            for segment, reach, entry in zip(segments, scope.reaches, entries, strict=True)
        )
        if n_rows:
            idf = float(np.log1p((scope.n_readable - n_rows + 0.5) / (n_rows + 0.5)))
            found.append(_Word(idf, entries, n_rows))
    return found


def _n_readable(postings: Postings, entry: tuple[int, int], reach: Reach) -> int:
    begin, end = entry
    if reach.readable is None:
        return end - begin
    return int(np.count_nonzero(reach.readable[postings.rows[begin:end]]))


def _split(words: Sequence[_Word], n: int) -> tuple[list[_Word], list[_Word]]:
    """Rare ones and common ones; one rare one at least."""
    if n < _EXACT_BELOW or not words:
        return list(words), []
    most = max(COMMON * n, min(word.n_rows for word in words))
    return [word for word in words if word.n_rows <= most], [word for word in words if word.n_rows > most]


def _most_of(words: Sequence[_Word]) -> np.float32:
    """More than these words add to any row."""
    return np.float32(1.001 * (K1 + 1.0) * sum(word.idf for word in words))


def _begun(
    segment: Segment, reach: Reach, words: Sequence[tuple[tuple[int, int], float]], scratch: Scratch
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Rows in scope that have a rare word, the best some thousands of them at least, with what their rare words score."""
    scratch.reserve(segment.n)
    scores = scratch.scores[: segment.n]
    scores[:] = 0.0
    for (begin, end), idf in words:
        rows = segment.postings.rows[begin:end].astype(np.intp)  # once, and not at each of the three looks
        scores[rows] += _parts(segment.postings.counts[begin:end], reach.norms[rows], idf)
    if reach.allowed is not None:
        np.multiply(scores, reach.allowed, out=scores)
    found = np.flatnonzero(scores >= _edge(scores))
    if len(found) < N_COMPLETED:
        found = np.flatnonzero(scores > 0.0)
    return found, scores[found]


def _edge(scores: NDArray[np.float32]) -> np.float32:
    """A score that more than enough rows reach, from a sample; above all where no row is to be left out by it."""
    sample = scores[::_SAMPLED]
    sample = sample[sample > 0.0]
    n_wanted = 2 * N_COMPLETED // _SAMPLED
    if len(sample) <= 2 * n_wanted:
        return np.float32(np.inf)
    return np.float32(np.partition(sample, len(sample) - n_wanted)[len(sample) - n_wanted])


def _parts(counts: NDArray[np.uint8], norms: NDArray[np.float32], idf: float) -> NDArray[np.float32]:
    times = counts.astype(np.float32)
    np.add(norms, times, out=norms)
    np.divide(times, norms, out=norms)
    np.multiply(norms, np.float32(idf * (K1 + 1.0)), out=norms)
    return norms


def _complete(
    postings: Postings,
    entry: tuple[int, int],
    idf: float,
    rows_scores: tuple[NDArray[np.intp], NDArray[np.float32]],
    reach: Reach,
) -> None:
    """Add a common word to the rows that have it. Rows ascend."""
    begin, end = entry
    rows, scores = rows_scores
    if begin == end or not len(rows):
        return
    having = postings.rows[begin:end]
    at = np.searchsorted(having, rows.astype(having.dtype))
    at[at == len(having)] = 0
    hit = np.flatnonzero(having[at] == rows)
    scores[hit] += _parts(postings.counts[begin:end][at[hit]], reach.norms[rows[hit]], idf)
