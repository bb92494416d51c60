"""Why a hit is dropped is told truly to who runs the server, and to who asks only what is for him."""

from __future__ import annotations

import sqlite3
from functools import partial

import pytest

from perdure import Index, Pushed
from perdure.core.errors import MissingExtra
from perdure.serve.retrieval.finding import Search, find
from perdure.serve.retrieval.held import HeldParts, ServedIndex
from perdure.serve.retrieval.told import told_found
from perdure.stores.vectors.opening import open_index
from perdure.stores.vectors.protocols import Change
from perdure.testing.conformance.index_world import a_chunk, a_document, put


@pytest.fixture(params=["drop", "mark"])
def index(tmp_path, request):
    path = tmp_path / "v.db"
    store = open_index(path)
    put(store, a_chunk("all.md", "rules for all"), a_chunk("gone.md", "rules of old"))
    put(store, a_chunk("board.md", "rules of the board"), documents=[a_document("board.md")])
    made = ServedIndex(
        HeldParts(
            index=Index("handbook", Pushed(), unverified=request.param),
            version="handbook@1",
            embedder=MissingExtra("similarity", needed_for="Embedding"),
            opened=partial(open_index, path, read_only=True),
            path=None,
        )
    )
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM documents WHERE id = 'gone.md'")
    connection.close()
    # Memory still thinks that everybody may read it.
    store.apply(Change(9_000, 9_000, "let out", 2, [a_document("board.md", readers=["board"])]))
    store.close()
    return made


def asked(index, **members):
    search = Search("rules", mode="lexical", **members)
    found = find(index, search)
    return found, told_found(index, search, found, "s")


def test_a_ghost_is_counted_as_a_ghost_where_teams_are_declared_and_told_to_nobody_else(index):
    found, told = asked(index, groups=["staff"])
    assert {each.document: each.reason for each in found.dropped} == {"gone.md": "ghost", "board.md": "forbidden"}
    assert [hit["document"] for hit in told["hits"]] == ["all.md"]
    assert told["dropped"] == []
    assert "gone.md" not in str(told)
    assert "board.md" not in str(told)


def test_who_may_read_all_is_told_of_a_ghost(index):
    found, told = asked(index)
    assert {each.document: each.reason for each in found.dropped} == {"gone.md": "ghost"}
    marks = index.index.unverified == "mark"
    assert [hit["document"] for hit in told["hits"] if "skew" in hit] == (["gone.md"] if marks else [])
    assert told["dropped"] == ([] if marks else [{"document": "gone.md", "reason": "ghost"}])
