"""Several rankings made one: by rank, which needs no common scale, or by scores that were put on one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nsmallest

from perdure.core.documents import Hit
from perdure.engines.retrieval.searching.dense import Ranked

RANK_OFFSET = 60
"""Of reciprocal rank fusion. Source: Cormack, Clarke and Büttcher 2009."""


def by_ranks(dense: Sequence[Ranked], lexical: Sequence[Ranked], k: int) -> list[Hit]:
    """The k best of what was found, best first, by the sum of 1 / (60 + rank) over rankings; of equals the lower key.

    >>> import numpy as np
    >>> rank = lambda keys: (np.array(keys), np.linspace(1.0, 0.5, len(keys)))
    >>> [(hit.key, round(hit.score, 4)) for hit in by_ranks([rank([7, 8])], [rank([8])], 2)]
    [(8, 0.0325), (7, 0.0164)]
    """
    scores: dict[int, float] = {}
    for keys, _ in (*dense, *lexical):
        for rank, key in enumerate(keys.tolist(), RANK_OFFSET + 1):
            scores[key] = scores.get(key, 0.0) + 1.0 / rank
    return _hits(scores, dense, lexical, k)


def by_scores(dense: Sequence[Ranked], lexical: Sequence[Ranked], dense_share: float, k: int) -> list[Hit]:
    """The k best of what was found, best first, by dense_share · cosine + (1 - dense_share) · BM25, each put on 0 to 1 within its ranking.

    What a ranking did not find scores 0 in it, as its last does. Of several wordings the best score counts.
    """
    scores: dict[int, float] = {}
    for rankings, share in ((dense, dense_share), (lexical, 1.0 - dense_share)):
        for key, score in _most(_on_one_scale(ranking) for ranking in rankings).items():
            scores[key] = scores.get(key, 0.0) + share * score
    return _hits(scores, dense, lexical, k)


def _hits(scores: dict[int, float], dense: Sequence[Ranked], lexical: Sequence[Ranked], k: int) -> list[Hit]:
    cosines = _most(_pairs(ranking) for ranking in dense)
    weights = _most(_pairs(ranking) for ranking in lexical)
    best = nsmallest(k, zip([-score for score in scores.values()], scores, strict=True))
    return [Hit(key, -score, cosines.get(key), weights.get(key)) for score, key in best]


def _pairs(ranking: Ranked) -> dict[int, float]:
    return dict(zip(ranking[0].tolist(), ranking[1].tolist(), strict=True))


def _on_one_scale(ranking: Ranked) -> dict[int, float]:
    keys, scores = ranking
    if not len(keys):
        return {}
    low, high = float(scores.min()), float(scores.max())
    spread = (scores - low) / (high - low) if high > low else scores * 0.0 + 1.0
    return dict(zip(keys.tolist(), spread.tolist(), strict=True))


def _most(rankings: Iterable[dict[int, float]]) -> dict[int, float]:
    found: dict[int, float] = {}
    for ranking in rankings:
        if not found:
            found = ranking
            continue
        for key, score in ranking.items():
            if score > found.get(key, float("-inf")):
                found[key] = score
    return found
