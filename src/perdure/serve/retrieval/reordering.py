"""A search whose hits are ordered anew by the index's reranker, where it asks for that: some times more are found, checked, and read by it.

Only what the guard vouches for is read by the reranker, so a score never rests on what the store does not have.
"""

from __future__ import annotations

from dataclasses import replace

from perdure.core.errors import BadRequest
from perdure.engines.retrieval.searching.reranking import reranked
from perdure.serve.retrieval.finding import Found, Given, Search, find
from perdure.serve.retrieval.held import ServedIndex

_TIMES = 4
_LEAST = 50
_MOST = 500


def find_best(served: ServedIndex, search: Search) -> Found:
    """Search a version; with `rerank` four times as many, 50 at least, of which the reranker chooses. Its scores replace the hits'.

    Raises: as `find`.
        BadRequest: the version has no reranker.
        UpstreamBad: the reranker failed, or gave something else than a number a text.
    """
    if not search.rerank:
        return find(served, search)
    reranker = served.reranker
    if reranker is None:
        raise BadRequest(
            f"The version {served.version} has no reranker, or another one than is declared.",
            hint="Declare Index(reranker=CustomReranker(function)) and release it, or leave out `rerank`.",
        )
    found = find(served, replace(search, k=max(search.k, min(max(_TIMES * search.k, _LEAST), _MOST))))
    given = {each.row.key: each for each in found.hits}
    texts = [_read(each) for each in found.hits]
    best = reranked([each.checked.hit for each in found.hits], texts, search.query, reranker, search.k)
    hits = [replace(given[hit.key], checked=replace(given[hit.key].checked, hit=hit)) for hit in best]
    return replace(found, hits=hits)


def _read(given: Given) -> str:
    row = given.row
    return f"{row.context}\n{row.text}" if row.context else row.text
