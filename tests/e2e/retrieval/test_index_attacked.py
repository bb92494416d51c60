"""Who is not meant to know learns nothing, and what is sent in bad faith does no harm."""

from __future__ import annotations

import json
import threading

import pytest
from retrieval_world import chunk_of, document_of, documents, search, write

from perdure import Team
from perdure.stores.vectors.protocols import Change

BOARD = {"readers": ["board"]}


@pytest.fixture
def told_apart(world):
    """Teams that read different things."""
    world.teams = {"team": Team("team", writes=["handbook"]), "audit": Team("audit", reads=["*"])}
    return world


def seen(gateway, **members):
    """What of a search somebody could learn from; keys are numbers that nobody gets twice."""
    hits = search(gateway, "merger rules", **members).json["hits"]
    return [(each["document"], each["score"], each["lexical"], each["ranks"]) for each in hits]


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
@pytest.mark.parametrize("as_of", [None, "1970-01-01T00:00:02Z"])
def test_what_others_read_moves_no_score(told_apart, mode, as_of):
    """Of now and of then: words are weighed by what the caller may read, not by what stands in the file."""
    found = []
    for name, hidden in (("full", "merger rules of the board"), ("bare", "nothing of the kind")):
        _, store = told_apart.index(name)
        write(store, {"a.md": "merger rules for staff", "b.md": "lunch at noon, rules or not"})
        write(store, {f"{i}.md": f"{hidden} {i}" for i in range(5)}, **BOARD)
        write(store, {"c.md": "later"})
        store.close()
    with told_apart.serving() as gateway:
        for name in ("full", "bare"):
            gateway.wait_for(lambda n=name: search(gateway, "x", n).json.get("generation") == 3)
            found.append(seen(gateway, index=name, mode=mode, **({"as_of": as_of} if as_of else {})))
    assert found[0] == found[1]
    assert found[0][0][0] == "a.md"


def test_the_past_of_a_document_that_was_closed_and_deleted_stays_closed(told_apart):
    """Everybody could read it once; the last that the record says of it is that they may not."""
    _, store = told_apart.index()
    write(store, {"leak.md": "merger rules"})
    write(store, {"leak.md": "merger rules"}, **BOARD)
    write(store, {"other.md": "rules"})
    store.apply(Change(9_000_000, 9_000_000, "gone", 3, dead_documents=["leak.md"]))
    write(store, {"more.md": "rules"})
    audit = {"authorization": f"Bearer {told_apart.key('audit')}"}
    with told_apart.serving() as gateway:
        gateway.wait_for(lambda: search(gateway, "rules").json.get("generation") == 5)
        for as_of in ("1970-01-01T00:00:01Z", "1970-01-01T00:00:03Z"):
            told = search(gateway, "merger rules", as_of=as_of)
            assert "leak" not in str(told.json)
            assert "leak.md" in documents(search(gateway, "merger rules", as_of=as_of, headers=audit))
    store.close()


def test_how_much_others_have_is_not_told(told_apart):
    """Counts, sizes and sums of memory are over all documents: they are for whoever may read all."""
    _, store = told_apart.index()
    write(store, {"a.md": "rules"}, **BOARD)
    audit = {"authorization": f"Bearer {told_apart.key('audit')}"}
    with told_apart.serving() as gateway:
        path = "/v1/indexes/handbook"
        gateway.wait_for(lambda: search(gateway, "rules").status == 200)
        [mine] = gateway.ask(path, None, method="GET").json["served"]
        [all_of_it] = gateway.ask(path, None, method="GET", **audit).json["served"]
        assert mine["generation"] == 1
        assert not {"n_documents", "n_chunks", "n_bytes", "last_error"} & mine.keys()
        assert (all_of_it["n_documents"], all_of_it["n_chunks"]) == (1, 1)
        assert gateway.ask(f"{path}/served", None, method="GET").status == 403
        assert gateway.ask(f"{path}/served", None, method="GET", **audit).status == 200
    store.close()


def test_why_an_index_is_not_served_names_no_file_to_callers(told_apart):
    """The path of its store is the operator's."""
    version, store = told_apart.index()
    store.close()
    told_apart.path(version).unlink()
    audit = {"authorization": f"Bearer {told_apart.key('audit')}"}
    with told_apart.serving() as gateway:
        answers = [search(gateway, "x"), gateway.ask("/v1/indexes", None, method="GET")]
        assert search(gateway, "x").status == 503
        assert not [each for each in answers if str(told_apart.root).encode() in each.content]
        assert str(told_apart.root) in search(gateway, "x", headers=audit).error["message"]


def test_a_section_is_of_the_generation_that_was_searched(world, store, monkeypatch):
    """Text that comes between the check of a chunk and the look at its section is not given with it."""
    from perdure.serve.retrieval import finding

    parts = [chunk_of("rules.md", text, i, 30 * i, parent=(0, 90)) for i, text in enumerate(["First rule.", "Second."])]
    store.apply(Change(5_000_000, 5_000_000, "test", 1, [document_of("rules.md")], parts))
    checks = finding.check

    def written_between(opened, *args):
        found = checks(opened, *args)
        late = chunk_of("rules.md", "Secret of the board.", 2, 60, parent=(0, 90))
        number = store.generation().number
        if number == 2:
            store.apply(Change(6_000_000, 6_000_000, "test", 2, [document_of("rules.md", "2", **BOARD)], [late]))
        return found

    with world.serving() as gateway:
        gateway.wait_for(lambda: search(gateway, "x").json["generation"] == 2)
        monkeypatch.setattr(finding, "check", written_between)
        told = search(gateway, "first rule", k=1, expand=True, mode="lexical")
    assert told.json["hits"][0]["section"]["text"].startswith("First rule.")
    assert "Secret" not in str(told.json)


def test_what_stands_in_paths_is_no_label(gateway):
    """Anybody could make as many as he likes, with or without a key."""
    for i in range(3):
        assert gateway.ask(f"/v1/indexes/handbook/made-up-{i}", b"{}").status == 404
    metrics = gateway.ask("/metrics", None, method="GET").content.decode()
    assert "made-up" not in metrics
    assert 'perdure_searches_total{index="handbook",purpose="unknown",status="404"} 3.0' in metrics


@pytest.mark.parametrize("id_", ["a%00b", "%E2%80%AE", "a%0Ab", "%ff", "a%ed%a0%80"])
def test_an_id_that_can_be_none_is_told_by_every_method(gateway, id_):
    """Bytes that are no UTF-8 among them: two ids that differ in them would be one."""
    path = f"/v1/indexes/handbook/documents/{id_}"
    answers = [gateway.ask(path, b'{"text": "x"}', method="PUT"), gateway.ask(path, None, method="DELETE")]
    assert [(each.status, each.error["code"]) for each in answers] == [(400, "request.unreadable")] * 2


@pytest.mark.parametrize("media_type", ["", "text", "a\0/b", "text/\n", "a/" + "b" * 500])
def test_what_is_no_media_type_is_told(gateway, media_type):
    body = json.dumps({"text": "x", "media_type": media_type}).encode()
    assert gateway.ask("/v1/indexes/handbook/documents/a", body, method="PUT").status == 400


def test_a_number_that_no_index_keeps_is_not_taken(gateway):
    body = json.dumps({"text": "x", "metadata": {"year": 10**30}}).encode()
    answer = gateway.ask("/v1/indexes/handbook/documents/a", body, method="PUT")
    assert (answer.status, "64 bits" in answer.error["message"]) == (422, True)


def test_what_is_replaced_while_it_is_searched_is_always_found(world):
    """Its old text or its new one, in one generation: never neither."""
    _, store = world.index()
    write(store, {f"{i}.md": f"fillers of number {i}" for i in range(40)})
    write(store, {f"best-{i}.md": "zebra round0" for i in range(3)})
    stop, wrong = threading.Event(), []

    def searching(gateway):
        while not stop.is_set():
            hits = search(gateway, "zebra", k=20).json["hits"]
            found = sorted(hit["text"] for hit in hits if "zebra" in hit["text"])
            if len(found) != 3 or len(set(found)) != 1:
                wrong.append(found)

    with world.serving() as gateway:
        gateway.wait_for(lambda: search(gateway, "zebra").json["generation"] == 2)
        threads = [threading.Thread(target=searching, args=(gateway,)) for _ in range(2)]
        for each in threads:
            each.start()
        for round_ in range(1, 40):
            write(store, {f"best-{i}.md": f"zebra round{round_}" for i in range(3)})
            stop.wait(0.03)
        stop.set()
        for each in threads:
            each.join()
    store.close()
    assert wrong == []
