"""Searches over HTTP: what is found, how it is told, what is refused."""

from __future__ import annotations

import json

import pytest
from retrieval_world import chunk_of, document_of, documents, search, write

from perdure.core.errors import MissingExtra
from perdure.stores.vectors.protocols import Change


def test_a_search_tells_what_it_found_where_and_how_sure(served):
    """Document, text, offsets, scores by both rankings, generation and version."""
    answer = search(served, "when are refunds paid", k=2)
    assert documents(answer)[0] == "refunds.md"
    told = answer.json
    [hit, _] = told["hits"]
    assert (told["generation"], told["index"], told["mode"], told["dropped"]) == (1, "handbook", "hybrid", [])
    assert told["version"].startswith("handbook@")
    assert hit["text"][hit["start"] : hit["end"]] == "Refunds are paid within 30 days of the return."
    assert (hit["checked"], hit["ranks"]) == (True, {"dense": 1, "lexical": 1})
    assert 0.0 < hit["dense"] <= 1.0
    assert hit["lexical"] > 0.0


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_each_mode_finds_and_tells_its_own_score_alone(served, mode):
    hit = search(served, "parcels shipped train", mode=mode).json["hits"][0]
    assert hit["document"] == "shipping.md"
    assert (hit["dense"] is None) == (mode == "lexical")
    assert (hit["lexical"] is None) == (mode == "dense")


def test_a_filter_leaves_what_holds(gateway, store):
    """A value, one of several, a range; of what is not declared nothing may be asked."""
    write(store, {"a.md": "Rules of refunds"}, metadata={"year": 2020, "lang": "de", "draft": True})
    write(store, {"b.md": "Rules of refunds"}, metadata={"year": 2024, "lang": "en", "draft": False})
    gateway.wait_for(lambda: len(documents(search(gateway, "rules", mode="lexical"))) == 2)

    def found(**where):
        return documents(search(gateway, "rules", mode="lexical", where=where))

    assert found(year=2020) == ["a.md"]
    assert found(lang=["fr", "en"]) == ["b.md"]
    assert found(year={"least": 2021}) == ["b.md"]
    assert found(year={"least": 2019, "most": 2020.5}, draft=True) == ["a.md"]
    assert found(lang="de", draft=False) == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"query": "x", "k": 0}, 400, "k is 0"),
        ({"query": "x", "k": 10_000}, 400, "k is 10000"),
        ({"query": "x", "k": "3"}, 400, "k"),
        ({"query": "x", "mode": "magic"}, 400, "mode"),
        ({"query": "x", "wher": {}}, 400, "wher"),
        ({"query": "x", "where": {"colour": "red"}}, 400, "no field 'colour'"),
        ({"query": "x", "where": {"year": "2020"}}, 400, "is a number"),
        ({"query": "x", "where": {"year": True}}, 400, "is a number"),
        ({"query": "x", "where": {"draft": 1}}, 400, "is a flag"),
        ({"query": "x", "where": {"year": {"from": 1}}}, 400, "range"),
        ({"query": "x", "as_of": "yesterday"}, 400, "as_of"),
        ({"query": "x", "as_of": "1969-12-31T00:00:00Z"}, 404, "It begins at"),
        ({"query": "x", "as_of": "2030-01-01T00:00:00Z", "expand": True}, 400, "Sections"),
        ({"query": "x", "diversity": 2}, 400, "diversity"),
        ({"query": "x", "others": ["y"] * 9}, 400, "wordings"),
        ({"query": "  "}, 400, "Nothing is asked"),
        ({}, 400, "Nothing is asked"),
        ({"query": "a" * 1_000_000}, 413, "1,000,000 characters"),
    ],
)
def test_what_cannot_be_meant_is_told_in_words(served, body, status, told):
    answer = served.ask("/v1/indexes/handbook/search", json.dumps(body).encode())
    assert (answer.status, told in answer.error["message"]) == (status, True), answer.json
    assert answer.error["hint"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"query": "\xff"}', b"[" * 100_000, b"null"])
def test_a_body_that_is_none_is_told(served, body):
    answer = served.ask("/v1/indexes/handbook/search", body)
    assert (answer.status, answer.error["code"]) == (400, "request.unreadable")


@pytest.mark.parametrize(
    "query", ["\0", "a\0b refunds", "\ud83d\ude00", 'NEAR("x" OR', "*", "💥" * 500, "\u202e\u0000"]
)
def test_any_text_can_be_searched(served, query):
    assert search(served, query).status == 200


def test_unknown_indexes_paths_and_methods_are_told(served):
    answer = search(served, "x", "handbok")
    assert (answer.status, "handbook" in answer.error["message"] + answer.error["hint"]) == (404, True)
    assert served.ask("/v1/indexes/handbook/find", b"{}").status == 404
    assert served.ask("/v1/indexes/handbook/search/x", b"{}").status == 404
    refused = served.ask("/v1/indexes/handbook/search", None, method="GET")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert served.ask("/v1/indexes", b"{}").status == 405


def test_what_is_served_is_told(served):
    """Of all indexes and of one; and in sums what memory holds, for a census."""
    [index] = served.ask("/v1/indexes", None, method="GET").json["indexes"]
    assert index == served.ask("/v1/indexes/handbook", None, method="GET").json
    [arm] = index["served"]
    assert (arm["arm"], arm["generation"], arm["n_documents"], arm["n_chunks"]) == ("champion", 1, 4, 4)
    assert (arm["seen_at"], arm["embeds"], arm["last_error"]) == ("1970-01-01T00:00:00.999500Z", True, "")
    [sums] = served.ask("/v1/indexes/handbook/served", None, method="GET").json
    assert (sums["generation"], sums["sums"]["n_chunks"]) == (1, 4)


def test_a_past_instant_is_searched_as_it_was(gateway, store):
    """By the texts of then, with the generation of then; instants within the newest generation are now."""
    write(store, {"refunds.md": "Refunds are paid within 14 days."}, at_us=60_000_000)
    gateway.wait_for(lambda: search(gateway, "refunds").json["generation"] == 2)
    then = search(gateway, "refunds paid days", as_of="1970-01-01T00:00:59Z").json
    assert (then["generation"], "30 days" in then["hits"][0]["text"]) == (1, True)
    assert then["hits"][0]["checked"]
    now = search(gateway, "refunds paid days", as_of="1970-01-01T00:01:01Z").json
    assert (now["generation"], "14 days" in now["hits"][0]["text"]) == (2, True)


def test_sections_are_given_around_chunks(gateway, store):
    """The text of the section that a chunk is part of, from the chunks that stand there."""
    parts = [("Rules of the library.", 0), ("Loans last two weeks.", 23), ("Fines are small.", 50)]
    chunks = [chunk_of("library.md", text, i, start, parent=(0, 44)) for i, (text, start) in enumerate(parts)]
    store.apply(Change(9_000_000, 9_000_000, "test", 1, [document_of("library.md")], chunks))
    gateway.wait_for(lambda: documents(search(gateway, "loans", mode="lexical")) == ["library.md"])
    [hit] = search(gateway, "loans", mode="lexical", expand=True).json["hits"]
    assert hit["section"] == {"start": 0, "end": 44, "text": "Rules of the library.  Loans last two weeks."}
    assert hit["section"]["text"][hit["start"] : hit["end"]] == hit["text"]


def test_several_wordings_are_one_search(served):
    found = documents(search(served, "salaries", others=["parcels train"], k=2, mode="lexical"))
    assert sorted(found) == ["secret.md", "shipping.md"]


def test_without_an_embedder_words_are_found_and_vectors_refused(world, store):
    """The error names what to install."""
    world.no_embedder = MissingExtra("similarity", needed_for="Embedding by WordLlama")
    with world.serving() as gateway:
        assert documents(search(gateway, "refunds", mode="lexical"))[0] == "refunds.md"
        answer = search(gateway, "refunds")
        assert (answer.status, "perdure[similarity]" in json.dumps(answer.error)) == (501, True)


def test_an_index_of_which_nothing_was_released_is_not_ready(world, store):
    world.indexes["empty"] = world.indexes["handbook"].__class__("empty", world.indexes["handbook"].documents)
    with world.serving() as gateway:
        answer = search(gateway, "x", "empty")
        assert (answer.status, "not served yet" in answer.error["message"]) == (503, True)
        assert gateway.ask("/v1/indexes/empty", None, method="GET").json["served"] == []


def test_an_empty_index_finds_nothing_and_what_comes_is_found(world):
    """A version whose store has no generation yet."""
    _, store = world.index()
    with world.serving() as gateway:
        assert documents(search(gateway, "refunds")) == []
        write(store, {"a.md": "refunds"})
        gateway.wait_for(lambda: documents(search(gateway, "refunds")) == ["a.md"])
    store.close()


def test_metrics_tell_searches_and_what_is_served(gateway):
    search(gateway, "refunds")
    search(gateway, "refunds", k=0)
    text = gateway.ask("/metrics", None, method="GET").content.decode()
    assert 'perdure_searches_total{index="handbook",purpose="search",status="200"} 1.0' in text
    assert 'perdure_searches_total{index="handbook",purpose="search",status="400"} 1.0' in text
    assert 'perdure_search_seconds_count{index="handbook"} 1.0' in text
    assert "perdure_index_generation{" in text


def test_a_search_is_on_record_without_what_is_personal(gateway, world, store):
    """Before it is answered: what was given, of which generation."""
    told = search(gateway, "refunds for ann@example.org", k=1).json
    [event] = world.searches()
    assert (event.id, event.index, event.version, event.arm) == (
        told["search"],
        "handbook",
        told["version"],
        "champion",
    )
    assert (event.documents, event.keys, event.generation) == (["refunds.md"], [told["hits"][0]["key"]], 1)
    assert "ann@example.org" not in event.query
    assert event.query.startswith("refunds for ")


def test_questions_are_not_kept_where_settings_say_so(world, store):
    world.keeps = "none"
    with world.serving() as gateway:
        search(gateway, "refunds")
    assert [event.query for event in world.searches()] == [""]
