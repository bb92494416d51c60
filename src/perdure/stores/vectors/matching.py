"""Who may find a document, what a filter leaves, and how two rankings become one: the same for every store that searches itself.

Called by the adapters' `search`. Filters and readers are asked before anything is ranked: k chunks are found among what may be
found, not fewer because others were in the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.core.documents import Between, Hit, Scalar, Where
from perdure.core.texts.tokens import words

RANK_OFFSET = 60
"""Of reciprocal rank fusion. Source: Cormack, Clarke and Büttcher 2009."""
MOST_WORDS = 64
"""Of one question, each once: a page that is pasted into a search must not cost a page's time."""


def may_read(readers: Sequence[str] | None, groups: Sequence[str] | None) -> bool:
    """Whether a document of these readers may be found by who is in these groups; None, everybody and everything.

    >>> may_read(None, ["staff"]), may_read(["staff"], ["guests"]), may_read([], ["staff"]), may_read([], None)
    (True, False, False, True)
    """
    return groups is None or readers is None or not set(groups).isdisjoint(readers)


def holds(where: Where, metadata: object) -> bool:
    """Whether all members hold. A member that is missing, or of another kind than what is asked, does not.

    >>> holds({"year": Between(2020), "lang": ["de", "en"]}, {"year": 2021, "lang": "en"})
    True
    >>> holds({"draft": False}, {"draft": 0}), holds({"year": Between(most="2020")}, {"year": 2019})
    (False, False)
    """
    if not where:
        return True
    return isinstance(metadata, dict) and all(
        name in metadata and _matches(wanted, metadata[name]) for name, wanted in where.items()
    )


def words_of(question: str) -> list[str]:
    """The words of a question, folded, each once, in order; operators and quotes of a query language are none.

    >>> words_of('Who "pays" AND NEAR(pays, col:parcel*)?')
    ['who', 'pays', 'and', 'near', 'col', 'parcel']
    """
    return list(dict.fromkeys(words(question)))[:MOST_WORDS]


def fused(dense: Sequence[tuple[int, float]], lexical: Sequence[tuple[int, float]], k: int) -> list[Hit]:
    """The k best of two rankings of (key, score), best first, by the sum of 1 / (60 + rank); of equals the lower key.

    >>> [(hit.key, round(hit.score, 4)) for hit in fused([(7, 0.9), (8, 0.5)], [(8, 3.0)], 2)]
    [(8, 0.0325), (7, 0.0164)]
    """
    scores: dict[int, float] = {}
    for ranking in (dense, lexical):
        for rank, (key, _) in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1.0 / (RANK_OFFSET + rank)
    cosines, weights = dict(dense), dict(lexical)
    best = sorted(scores.items(), key=lambda each: (-each[1], each[0]))[:k]
    return [Hit(key, score, cosines.get(key), weights.get(key)) for key, score in best]


def _matches(wanted: Scalar | Sequence[Scalar] | Between, value: Scalar) -> bool:
    if isinstance(wanted, Between):
        return _at_least(value, wanted.least) and _at_least(wanted.most, value)
    if isinstance(wanted, str | int | float | bool):
        return _alike(wanted, value) and wanted == value
    return any(_alike(each, value) and each == value for each in wanted)


def _at_least(more: Scalar | None, less: Scalar | None) -> bool:
    if more is None or less is None:
        return True
    return _alike(more, less) and more >= less  # type: ignore[operator]  # of one kind: both texts, or both numbers


def _alike(one: Scalar, other: Scalar) -> bool:
    return _kind(one) is _kind(other)


def _kind(value: Scalar) -> type:
    """`True == 1` in Python, and a flag is no number."""
    return float if type(value) is int else type(value)
