"""What is done before and after ranking by others: a question in other words, and hits in another order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from perdure.core.documents import Hit
from perdure.core.errors import UpstreamBad
from perdure.engines.retrieval.protocols import Reranker, Rewriter

MOST_WORDINGS = 8


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
