"""What is done before and after ranking by others: a question in other words, and hits in another order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from perdure.assets.rerankers import CustomReranker, reranker_definition
from perdure.core.canonical import content_hash
from perdure.core.documents import Hit
from perdure.core.errors import PerdureError, UpstreamBad
from perdure.engines.retrieval.protocols import Reranker, Rewriter

MOST_WORDINGS = 8


class FunctionScores:
    """A function of the project as a `Reranker`: whatever it raises is told as an answer that cannot be used.

    Args:
        declared: the function and its fingerprint.
    """

    def __init__(self, declared: CustomReranker) -> None:
        self._declared = declared
        self._name = getattr(declared.function, "__name__", type(declared.function).__name__)
        self.fingerprint: str = content_hash(reranker_definition(declared))

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """See `Reranker.score`.

        Raises:
            UpstreamBad: the function raised, or gave something else than numbers.
        """
        with _Told(self._name):
            return [float(score) for score in self._declared.function(query, texts)]


class _Told:
    """Whatever a function raises is told by its kind alone; perdure's own errors pass."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, PerdureError):
            raise UpstreamBad(
                f"The reranker {self._name} raised {type(error).__name__}.",
                hint="It gives a finite number for each text.",
            ) from error


def reranked(hits: Sequence[Hit], texts: Sequence[str], query: str, reranker: Reranker, k: int) -> list[Hit]:
    """The k best of the hits by a reranker, which reads question and texts together; of equals the one that stood first.

    Args:
        hits: best first, some times k of them.
        texts: of each hit what is read.
        query: as it was asked.
        reranker: whose scores replace the hits'.
        k: how many.

    Raises:
        UpstreamBad: it gave another number of scores than texts, or one that is none.
    """
    if not hits:
        return []
    scores = [float(score) for score in reranker.score(query, texts)]
    if len(scores) != len(hits) or not all(map(math.isfinite, scores)):
        raise UpstreamBad(
            f"The reranker gave {len(scores)} scores for {len(hits)} texts, or one that is no number.",
            hint="It gives a finite number for each text.",
        )
    order = sorted(range(len(hits)), key=lambda i: -scores[i])
    return [replace(hits[i], score=scores[i]) for i in order[:k]]


def wordings(query: str, rewriter: Rewriter | None) -> list[str]:
    """What is searched for a question: itself first, and up to 7 other wordings, each once.

    >>> wordings("parcel", None)
    ['parcel']
    """
    others = [] if rewriter is None else [each for each in rewriter.rewrite(query) if each.strip()]
    return list(dict.fromkeys([query, *others]))[:MOST_WORDINGS]
