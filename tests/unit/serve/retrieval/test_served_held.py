"""What of an index is in memory: from rows or from a file, followed, and read anew where it is not what the store has."""

from __future__ import annotations

import gc
import weakref
import zlib
from functools import partial

import numpy as np
import pytest

from perdure import Index, Pushed
from perdure.core.errors import BadRequest, MissingExtra
from perdure.engines.retrieval.protocols import Unparsable
from perdure.engines.retrieval.searching.searcher import Searcher
from perdure.serve.retrieval import finding
from perdure.serve.retrieval.finding import Search, find
from perdure.serve.retrieval.held import HeldParts, ServedIndex
from perdure.serve.retrieval.told import told_served
from perdure.stores.vectors.opening import open_index
from perdure.testing.conformance.index_world import a_chunk, a_document, put, step

NOBODY = MissingExtra("similarity", needed_for="Embedding")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "v.db"


@pytest.fixture
def store(path):
    opened = open_index(path)
    yield opened
    opened.close()


def served(path, *, file=..., **members):
    opened = partial(open_index, path, read_only=True)
    parts = {"index": Index("handbook", Pushed()), "version": "handbook@1", "embedder": NOBODY}
    return ServedIndex(HeldParts(opened=opened, path=path if file is ... else file, **{**parts, **members}))


def fresh(path):
    """One that was never followed, and finds no file."""
    return served(path, file=None)


def texts(index, query, **members):
    return sorted(each.row.text for each in find(index, Search(query, k=50, mode="lexical", **members)).hits)


@pytest.mark.parametrize("resident", [True, False])
def test_generations_are_followed_one_by_one_and_in_leaps(path, store, resident):
    """What is found is what a fresh one finds; a store that searches itself is asked."""
    step(store)
    index = served(path, resident=resident)
    for n in (1, 1, 3):
        for _ in range(n):
            step(store)
        assert index.follow()
        assert texts(index, "stands") == texts(fresh(path), "stands")
        assert len(texts(index, "stands")) > 20
    assert (index.held.searcher is None) == (not resident)


def test_what_was_kept_in_a_file_is_brought_up_to_now(path, store, monkeypatch):
    """And one of another file of the same generations, or one that was cut short, is as good as none."""
    monkeypatch.setattr("perdure.serve.retrieval.held._WORTH_A_FILE", 1)
    step(store)
    index = served(path)
    index.lighten()
    file = path.with_suffix(".search")
    assert file.stat().st_mode & 0o777 == 0o600
    step(store)
    again = served(path)
    assert again.held.generation.number == 2
    assert texts(again, "stands") == texts(fresh(path), "stands")

    kept, built = file.read_bytes(), []
    monkeypatch.setattr(ServedIndex, "_from_rows", lambda self, store, at: built.append(at) or Searcher.of((), ()))
    served(path)
    assert built == []
    store.close()
    for each in path.parent.glob("v.db*"):
        each.with_name(each.name.replace("v.db", "v2.db")).write_bytes(each.read_bytes())
    path.with_name("v2.search").write_bytes(kept)
    served(path.with_name("v2.db"))
    assert len(built) == 1
    monkeypatch.undo()

    file.write_bytes(kept[:-9])
    assert texts(served(path), "stands") == texts(again, "stands")


def test_a_store_that_was_pruned_under_it_is_read_anew(path, store):
    step(store)
    index = served(path)
    for _ in range(3):
        step(store)
    store.prune(4)
    assert index.follow()
    assert texts(index, "stands") == texts(fresh(path), "stands")


def test_much_that_came_bit_by_bit_is_made_one(path, store, monkeypatch):
    monkeypatch.setattr("perdure.engines.retrieval.searching.searcher._LARGE_TAIL", 4)
    step(store)
    index = served(path)
    for _ in range(6):
        step(store)
        index.follow()
    assert index.held.searcher.heavy
    index.lighten()
    assert not index.held.searcher.heavy
    assert texts(index, "stands") == texts(fresh(path), "stands")


def test_the_index_is_told_when_it_moved_and_not_otherwise(path, store):
    told = []
    put(store, a_chunk("a.md", "one"))
    index = served(path, moved=told.append)
    index.follow()
    put(store, a_chunk("b.md", "two"))
    index.follow()
    assert told == ["handbook"]


def test_who_is_let_go_closes_its_store(path, store):
    """Nothing that follows or searches keeps it."""
    put(store, a_chunk("a.md", "one"))
    index = served(path)
    texts(index, "one")
    gone = weakref.ref(index)
    del index
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("resident", [True, False])
def test_what_is_replaced_at_every_look_is_found_in_one_generation(path, store, monkeypatch, resident):
    """A store that goes on between each following and each check hides nothing: the last try tells of what it followed."""
    put(store, *(a_chunk(f"{i}.md", "stands once", parent=(0, 20)) for i in range(3)))
    index, looks = served(path, resident=resident), finding.check

    def written_between(opened, hits, bounds):
        number = store.generation().number
        old = [row.key for row in store.chunks_of([f"{i}.md" for i in range(3)])]
        put(store, *(a_chunk(f"{i}.md", f"stands {number}", parent=(0, 20)) for i in range(3)), dead_chunks=old)
        return looks(opened, hits, bounds)

    monkeypatch.setattr(finding, "check", written_between)
    found = find(index, Search("stands", k=50, mode="lexical", expand=True))
    assert [each.row.text for each in found.hits] == [f"stands {found.generation.number - 1}"] * 3
    assert [each.section for each in found.hits] == [(0, 20, f"stands {found.generation.number - 1}")] * 3
    assert found.generation.number > 1


def test_what_is_closed_at_the_last_look_is_not_given(path, store, monkeypatch):
    """As of the generation that was followed everybody could read it: the readers of now are asked, too."""
    put(store, a_chunk("a.md", "stands once"))
    index, looks, seen = served(path), finding.check, []

    def closed_between(opened, hits, bounds):
        seen.append(bounds.at)
        readers = ["board"] if bounds.at else None
        old = [row.key for row in store.chunks_of(["a.md"])]
        put(store, a_chunk("a.md", "stands"), documents=[a_document("a.md", readers=readers)], dead_chunks=old)
        return looks(opened, hits, bounds)

    monkeypatch.setattr(finding, "check", closed_between)
    assert texts(index, "stands", groups=["staff"]) == []
    assert seen == [0, 0, 3]


def test_what_is_replaced_at_every_look_and_pruned_at_the_last_is_no_error(path, store, monkeypatch):
    """Nothing is left to be told of then."""
    put(store, a_chunk("a.md", "stands once"))
    index, looks = served(path), finding.check

    def forgotten(opened, hits, bounds):
        put(store, a_chunk("a.md", "stands"), dead_chunks=[row.key for row in store.chunks_of(["a.md"])])
        if bounds.at:
            store.prune(store.generation().number)
        return looks(opened, hits, bounds)

    monkeypatch.setattr(finding, "check", forgotten)
    assert texts(index, "stands") == []


def test_without_an_embedder_the_error_says_what_is_missing(path, store):
    put(store, a_chunk("a.md", "one"))
    index = served(path)
    with pytest.raises(MissingExtra):
        find(index, Search("one"))
    assert texts(index, "one") == ["one"]


def test_a_question_is_embedded_once(path, store):
    """Those asked last are kept."""

    class Counting:
        fingerprint, dimensions, n = "embedder-1", 16, 0

        def embed(self, contents, use="document"):
            self.n += len(contents)
            return np.ones((len(contents), 16), np.float32)

    embedder = Counting()
    put(store, a_chunk("a.md", "one"))
    index = served(path, embedder=embedder)
    for _ in range(3):
        found = find(index, Search("one", others=("two",)))
    assert (embedder.n, len(found.hits)) == (2, 1)


class Pictures:
    """Embeds pictures alone."""

    fingerprint, dimensions = "pictures-1", 16

    def embed(self, contents, use="document"):
        raise Unparsable("not_embedded", "It embeds pictures.")


def test_words_that_an_embedder_of_pictures_cannot_read_are_a_bad_request_and_not_a_fault(path, store):
    step(store)
    index = served(path, embedder=Pictures())
    assert len(texts(index, "stands")) > 20
    with pytest.raises(BadRequest, match="cannot be asked by words"):
        find(index, Search("stands"))


class Turned:
    """Embeds texts by their words, each in a direction of its own."""

    fingerprint, dimensions, n = "embedder-1", 16, 0

    def embed(self, contents, use="document"):
        self.n += len(contents)
        seeds = [zlib.crc32(content.encode()) for content in contents]
        return np.stack([np.random.default_rng(seed).standard_normal(16) for seed in seeds]).astype(np.float32)


def test_how_wide_a_large_index_is_searched_is_measured_once_and_kept(path, store, monkeypatch):
    """It is in the file beside the store, and stays where all is read anew; a small index needs no measure."""
    monkeypatch.setattr("perdure.serve.retrieval.held._WORTH_A_FILE", 1)
    put(store, *(a_chunk("a.md", f"Sentence {n} stands here. More of it.", n) for n in range(300)))
    assert served(path, embedder=Turned()).held.searcher.state.tuning.recall is None
    monkeypatch.setattr("perdure.serve.retrieval.measuring.LEAST_CHUNKS", 64)
    assert served(path).held.searcher.state.tuning.recall is None
    embedder = Turned()
    index = served(path, embedder=embedder)
    tuning = index.held.searcher.state.tuning
    assert (tuning.oversample, tuning.recall, embedder.n) == (25.0, pytest.approx(0.986, abs=1e-3), 256)
    index.reread()
    assert (index.held.searcher.state.tuning, embedder.n) == (tuning, 256)
    index.lighten()
    again = Turned()
    kept = served(path, embedder=again).held.searcher.state.tuning
    assert ((kept.oversample, kept.recall), again.n) == ((25.0, tuning.recall), 0)
    assert told_served(index, "champion", 1.0)["width"] == {"rows_a_hit": 25.0, "recall": tuning.recall}
