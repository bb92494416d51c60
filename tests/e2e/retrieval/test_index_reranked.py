"""Searches whose hits are ordered anew by a function of the project."""

from __future__ import annotations

import pytest
from retrieval_world import documents, search, write

from perdure import CustomReranker

ASKED = []


def longest_first(query, texts):
    ASKED.append((query, list(texts)))
    if query == "fails":
        raise KeyError(query)
    return [float("nan") if query == "nothing" else len(text) for text in texts]


@pytest.fixture
def reranked(world):
    """A server of sixty documents of rising length."""
    _, opened = world.index(reranker=CustomReranker(longest_first))
    write(opened, {f"{n:02}.md": f"zeppelin {'flies ' * n}" for n in range(60)})
    ASKED.clear()
    with world.serving() as running:
        yield running
    opened.close()


def test_it_is_asked_where_a_search_says_so_and_not_otherwise(reranked, world):
    """Of fifty that were found and checked it chooses; its scores are the hits'."""
    plain = documents(search(reranked, "zeppelin", k=3, mode="lexical"))
    assert ASKED == []
    told = search(reranked, "zeppelin", k=3, mode="lexical", rerank=True)
    [(query, texts)] = ASKED
    assert (query, len(texts)) == ("zeppelin", 50)
    assert documents(told) == ["49.md", "48.md", "47.md"] != plain
    assert [hit["score"] for hit in told.json["hits"]] == [float(len(f"zeppelin {'flies ' * n}")) for n in (49, 48, 47)]
    assert world.searches()[-1].documents == ["49.md", "48.md", "47.md"]


@pytest.mark.parametrize("query", ["fails", "nothing"])
def test_one_that_fails_is_an_error_that_tells_nothing_of_what_was_asked(reranked, query):
    told = search(reranked, query, mode="dense", rerank=True)
    assert (told.status, told.json["error"]["code"]) == (502, "upstream.bad")
    assert query not in told.json["error"]["message"]


def test_an_index_without_one_says_what_to_declare(gateway):
    told = search(gateway, "parcels", rerank=True)
    assert told.status == 400
    assert "CustomReranker" in told.json["error"]["hint"]
