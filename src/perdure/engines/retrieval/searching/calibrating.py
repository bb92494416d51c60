"""How many rows the signs must leave, found out on the index itself: by questions, and what a nearly exact search finds for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perdure.engines.retrieval.searching.asking import Ask
from perdure.engines.retrieval.searching.searcher import Searcher

GOAL = 0.995
"""Above what is wanted: what is measured on 50 questions is off by a point on others."""
_TRIED = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)
_NEARLY_ALL = 10_000.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found out."""

    oversample: float
    """Rows a hit that signs leave."""
    recall: float
    """Share of the true first k that is found so, 0 to 1."""
    n_questions: int


def calibrated(
    searcher: Searcher, questions: NDArray[np.floating], *, k: int = 10, goal: float = GOAL
) -> tuple[Searcher, Calibration]:
    """The searcher with the smallest oversampling that reaches the goal; with the widest one tried where none does.

    Args:
        searcher: of any size.
        questions: vectors of questions as they are asked, shape (n, dimensions); 50 tell the recall to within 2 points. First
            sentences of stored chunks will do where nobody asked yet: short texts are harder than chunks.
        k: hits a question.
        goal: recall, 0 to 1.

    Cost: 20 ms a question for 100,000 chunks, 150 ms for 1,000,000.
    """
    truth = [_found(_with(searcher, _NEARLY_ALL), each, k) for each in questions]
    n_true = sum(map(len, truth))
    recall, oversample = 1.0, _TRIED[0]
    for oversample in _TRIED:
        tried = _with(searcher, oversample)
        n_met = sum(len(_found(tried, each, k) & true) for each, true in zip(questions, truth, strict=True))
        recall = n_met / n_true if n_true else 1.0
        if recall >= goal:
            break
    return _with(searcher, oversample), Calibration(oversample, recall, len(questions))


def _with(searcher: Searcher, oversample: float) -> Searcher:
    return Searcher(replace(searcher.state, tuning=replace(searcher.state.tuning, oversample=oversample)))


def _found(searcher: Searcher, vector: NDArray[np.floating], k: int) -> frozenset[int]:
    return frozenset(hit.key for hit in searcher.search(Ask(vector=vector, k=k, mode="dense")))
