"""Versions of an index asked as a server asks them: golden questions, and questions that people asked.

A version that is small enough is held in memory as a server holds it, so that what is measured is what is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perdure.assets.index import Index
from perdure.core.clock import cpu_s
from perdure.core.documents import Hit
from perdure.core.errors import BadIndex
from perdure.core.stats import ranking
from perdure.engines.retrieval.golden import Golden, Stretch, judge_golden, read_golden
from perdure.engines.retrieval.protocols import Unparsable
from perdure.engines.retrieval.searching.asking import Ask
from perdure.engines.retrieval.searching.searcher import Searcher
from perdure.engines.retrieval.standing import anchored
from perdure.loop.work.indexes.opening import OpenIndex
from perdure.stores.vectors.protocols import Query


@dataclass(frozen=True, slots=True)
class Answers:
    """What a version found."""

    found: tuple[tuple[Stretch, ...], ...]
    """For each question, best first."""
    cosines: NDArray[np.float64]
    """The best of each question; NaN where nothing was found by its vector."""
    cpu_ms: float
    """Of a question, without embedding it, on average."""
    n_bytes: int
    """That the version takes in memory; 0: it searches on disk."""


def golden_of(index: Index) -> Golden | None:
    """The index's golden questions; None where none are declared.

    Raises:
        BadIndex: the file cannot be read, or has no question.
    """
    if index.golden is None:
        return None
    try:
        found = read_golden(Path(index.golden).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadIndex(
            f"The golden questions of {index.name!r} cannot be read: {type(error).__name__}.",
            hint=f"They stand in {index.golden}, as JSON lines in UTF-8.",
        ) from error
    if not found.questions:
        why = found.troubles[0] if found.troubles else "It is empty."
        raise BadIndex(f"{index.golden} has no golden question. {why}", hint="See docs/indexes-health.md.")
    return found


def placed(opened: OpenIndex, golden: Golden) -> Golden:
    """Golden questions with their stretches where their words stand in a version now.

    Raises:
        StoreError: the version cannot be read.
    """
    named = {item.document for each in golden.questions for item in each.relevant if item.text}
    return anchored(golden, opened.store.chunks_of(sorted(named))) if named else golden


def ask(opened: OpenIndex, queries: Sequence[str], k: int) -> Answers:
    """What a version finds for questions.

    Cost: 80 µs a chunk to hold it in memory, then some 2 ms a question, beside embedding the questions.

    Raises:
        UpstreamError, NotReady: the embedder does not answer.
        StoreError: the version cannot be read.
    """
    try:
        vectors = opened.embedder.embed(list(queries), "query")
    except Unparsable:  # an embedder of pictures alone: words find what they are told by
        vectors = np.zeros((len(queries), opened.embedder.dimensions), np.float32)
    searcher = _searcher(opened) if opened.store.resident else None
    began, hits = cpu_s(), []
    for query, vector in zip(queries, vectors, strict=True):
        hits.append(_hits(opened, searcher, query, vector, k))
    took_s = cpu_s() - began
    cosines = [max((hit.dense for hit in each if hit.dense is not None), default=np.nan) for each in hits]
    found = tuple(_stretches(opened, each) for each in hits)
    n_bytes = 0 if searcher is None else searcher.n_bytes
    return Answers(found, np.array(cosines, dtype=np.float64), 1_000.0 * took_s / max(len(hits), 1), n_bytes)


def scores(golden: Golden, answers: Answers, measure: str, k: int) -> NDArray[np.float64]:
    """`golden_recall` or `golden_ndcg` of each question, 0 to 1."""
    judged = judge_golden(golden, answers.found, k)
    return ranking.recall(judged) if measure == "golden_recall" else ranking.ndcg(judged)


def _searcher(opened: OpenIndex) -> Searcher:
    store = opened.store
    generation = store.generation().number
    if not generation:
        return Searcher.of((), ())
    return Searcher.of(store.chunks(generation), store.documents(generation), generation=generation)


def _hits(
    opened: OpenIndex, searcher: Searcher | None, query: str, vector: NDArray[np.float32], k: int
) -> Sequence[Hit]:
    if searcher is not None:
        return searcher.search(Ask(query, vector, k))
    return opened.store.search(Query(k, vector.astype("<f4").tobytes() if vector.any() else b"", query))


def _stretches(opened: OpenIndex, hits: Sequence[Hit]) -> tuple[Stretch, ...]:
    rows = opened.store.fetch([hit.key for hit in hits])
    return tuple(Stretch(row.document, row.start, row.end) for row in rows if row is not None)
