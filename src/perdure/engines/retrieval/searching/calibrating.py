"""How many rows the signs must leave, found out on the index itself: by questions, and what a nearly exact search finds for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.intervals import Interval
from perdure.core.stats.ranking import measured
from perdure.engines.retrieval.searching.asking import Ask
from perdure.engines.retrieval.searching.searcher import Searcher

GOAL = 0.98
_TRIED = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)
_NEARLY_ALL = 10_000.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found out."""

    oversample: float
    """Rows a hit that signs leave."""
    recall: Interval
    """Share of the true first k that is found so, with its interval over questions."""


def calibrated(
    searcher: Searcher, questions: NDArray[np.floating], *, k: int = 10, goal: float = GOAL
) -> tuple[Searcher, Calibration]:
    """The searcher with the smallest oversampling whose recall surely reaches the goal; the widest one tried where none does.

    Surely: the lower end of its 95% interval does, since what 50 questions tell is off by a point or two on others.

    Args:
        searcher: of any size.
        questions: vectors of questions as they are asked, shape (n, dimensions), 183 or more: with fewer the interval cannot lie above
            the goal, whatever is found. First sentences of stored chunks will do: short texts are harder than chunks.
        k: hits a question.
        goal: recall, 0 to 1.

    Raises:
        TooFewRows: fewer than 2 questions.

    Cost: 30 ms a question for 100,000 chunks, 200 ms for 1,000,000.
    """
    truth = [_found(_with(searcher, _NEARLY_ALL), each, k) for each in questions]
    oversample, recall = _TRIED[-1], Interval(1.0, 1.0, 1.0, 0)
    for oversample in _TRIED:
        tried = _with(searcher, oversample)
        shares = [
            len(_found(tried, each, k) & true) / len(true) if true else 1.0
            for each, true in zip(questions, truth, strict=True)
        ]
        recall = measured(np.array(shares))
        if recall.low >= goal:
            break
    return _with(searcher, oversample, recall.low), Calibration(oversample, recall)


def _with(searcher: Searcher, oversample: float, recall: float | None = None) -> Searcher:
    tuning = replace(searcher.state.tuning, oversample=oversample, recall=recall)
    return Searcher(replace(searcher.state, tuning=tuning))


def _found(searcher: Searcher, vector: NDArray[np.floating], k: int) -> frozenset[int]:
    return frozenset(hit.key for hit in searcher.search(Ask(vector=vector, k=k, mode="dense")))
