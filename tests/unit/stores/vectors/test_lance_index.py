"""What an index in LanceDB leaves between its table and its record, and what it does without the library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from perdure.core.errors import BadIndex, MissingExtra, StoreError
from perdure.stores.vectors.opening import open_index
from perdure.stores.vectors.protocols import Query
from perdure.testing.conformance.index_world import a_chunk, places, put, standing, step, texts, vector_of

lance = pytest.importorskip("perdure.stores.vectors.lancedb", exc_type=MissingExtra)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "handbook" / "3f9a.db"


@pytest.fixture
def index(path, tmp_path):
    index = open_index(path, f"lancedb:{tmp_path / 'lance'}")
    yield index
    index.close()


def test_rows_of_a_generation_that_was_never_committed_are_seen_by_nobody_and_cleared(index, monkeypatch):
    step(index)
    step(index)
    before = list(index.chunks())

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(index._record, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        step(index)
    monkeypatch.undo()
    table = index._table()
    assert table.count_rows("born = 3") > 0
    assert table.count_rows("died = 3") > 0
    assert index.generation().number == 2
    assert list(index.chunks()) == before == index.fetch([row.key for row in before])
    left = [row["key"] for row in table.search().where("born = 3").to_list()]
    assert index.fetch(left) == [None] * len(left)
    assert sorted(texts(index, index.search(Query(500, words="stands")))) == sorted(standing(2).values())
    put(index, a_chunk("new.md", "a new one"))
    assert places(index) == {**standing(2), ("new.md", 0): "a new one"}
    assert table.count_rows("died = 3") == 0


def test_an_index_of_vectors_proposes_and_exact_cosines_decide(index, monkeypatch):
    monkeypatch.setattr(lance, "_INDEXED_FROM", 1_000)
    put(index, *(a_chunk(f"d{i}", f"text {i}") for i in range(1_500)))
    assert {each.columns[0] for each in index._table().list_indices()} == {"key", "folded", "vector"}
    rows = list(index.chunks())
    vectors = np.array([np.frombuffer(row.vector, "<f4") for row in rows])
    n_found = 0
    for i in range(20):
        question = vector_of(f"question {i}")
        cosines = vectors @ np.frombuffer(question, "<f4")
        hits = index.search(Query(10, question))
        n_found += len({hit.key for hit in hits} & {rows[j].key for j in np.argsort(-cosines)[:10]})
        assert [hit.dense for hit in hits] == pytest.approx([cosines[hit.key - 1] for hit in hits], abs=1e-5)
    assert n_found >= 180
    put(index, a_chunk("late", "a late one"), dead_documents=["d7"])
    assert texts(index, index.search(Query(1, vector_of("a late one")))) == ["a late one"]
    assert texts(index, index.search(Query(1, vector_of("text 7")))) != ["text 7"]
    assert texts(index, index.search(Query(1, vector_of("text 7"), as_of=1))) == ["text 7"]


def test_versions_of_one_index_lie_apart_in_one_folder(tmp_path):
    store = f"lancedb:{tmp_path / 'lance'}"
    opened = [open_index(tmp_path / folder, store) for folder in ("a/1.db", "a/2.db", "b/1.db", "a/1 .db", "a/1_.db")]
    for i, index in enumerate(opened):
        put(index, a_chunk("a", f"text {i}"))
    assert [list(places(index).values()) for index in opened] == [[f"text {i}"] for i in range(5)]
    for index in opened:
        index.close()


def test_a_record_of_the_other_kind_is_refused(path, tmp_path, index):
    with pytest.raises(StoreError, match="format"):
        open_index(path)
    open_index(tmp_path / "plain.db").close()
    with pytest.raises(StoreError, match="format"):
        open_index(tmp_path / "plain.db", f"lancedb:{tmp_path / 'lance'}")


def test_damage_is_told_and_mended(index):
    put(index, a_chunk("a", "the parcel"), a_chunk("b", "the zebra"))
    index._table().update(where="document = 'a'", values={"folded": "giraffe"})
    assert [(each.kind, each.part, each.document) for each in index.damage(deep=True)] == [("corrupt", "words", "a")]
    assert index.search(Query(5, words="parcel")) == []
    assert index.mend() == 2
    assert index.damage(deep=True) == []
    assert texts(index, index.search(Query(5, words="parcel"))) == ["the parcel"]
    index._database.drop_table(index._name)
    index._known = None
    assert [(each.kind, each.part) for each in index.damage()] == [("missing", "store")]


def test_vectors_of_another_length_are_kept_as_they_stand_and_never_found(index):
    put(index, a_chunk("a", "one"), a_chunk("b", "two", vector=vector_of("two", 8)))
    assert [row.vector for row in index.chunks()] == [vector_of("one"), vector_of("two", 8)]
    assert texts(index, index.search(Query(5, vector_of("two")))) == ["one"]
    with pytest.raises(BadIndex):
        index.search(Query(5, vector_of("two", 8)))


def test_without_the_library_the_extra_is_named():
    program = """
import sys
sys.modules["lancedb"] = sys.modules["pyarrow"] = None
from pathlib import Path
from perdure.core.errors import MissingExtra
from perdure.stores.vectors.opening import open_index
try:
    open_index(Path("x.db"), "lancedb:x")
except MissingExtra as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'perdure[lancedb]'" in told.stdout
