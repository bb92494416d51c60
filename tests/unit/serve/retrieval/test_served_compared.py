"""What is in memory is held against its store, row by row; what differs is read anew and told."""

from __future__ import annotations

import sqlite3
from functools import partial

import numpy as np
import pytest

from perdure import Index, Pushed
from perdure.core.errors import MissingExtra
from perdure.serve.retrieval.held import HeldParts, ServedIndex
from perdure.stores.vectors.opening import open_index
from perdure.stores.vectors.protocols import Change, DocumentRow
from perdure.testing.careless import careless
from perdure.testing.conformance.index_world import a_chunk, put

NOBODY = MissingExtra("similarity", needed_for="Embedding")
NAMES = [f"{n:03}.md" for n in range(40)]


@pytest.fixture
def store(tmp_path):
    opened = open_index(tmp_path / "v.db")
    put(opened, *(a_chunk(name, f"document {name} stands here") for name in NAMES))
    yield opened
    opened.close()


@pytest.fixture
def told():
    return []


@pytest.fixture
def served(tmp_path, store, told):
    path = tmp_path / "v.db"
    index = Index("handbook", Pushed(), fields={"year": "number"})
    opened = partial(open_index, path, read_only=True)
    parts = HeldParts(index, "handbook@1", opened, NOBODY, compared=lambda *each: told.append(each[2]), path=path)
    made = ServedIndex(parts)
    made.follow()
    return made


def a_round(served):
    served.comparing.hasten()
    before = served.comparing.newest
    while served.comparing.newest is before:
        served.compare()
    return served.comparing.newest


def by_hand(served, statement):
    """What somebody does to the store's file who knows nothing of generations."""
    connection = careless(sqlite3.connect(served._path))
    connection.execute(statement, (NAMES[5],))
    connection.commit()
    connection.close()


def segment(served):
    return served.held.searcher.state.segments[0]


def flipped(array, at=3):
    array.setflags(write=True)
    array.reshape(-1).view(np.uint8)[at] ^= 1


DAMAGE = {
    "bits": lambda s: flipped(s.vectors.bits, 25),
    "small": lambda s: flipped(s.vectors.small, s.vectors.small.shape[1] * 3 + 1),
    "scales": lambda s: flipped(s.vectors.scales, 13),
    "present": lambda s: flipped(s.vectors.present),
    "exact": lambda s: flipped(s.vectors.exact, s.vectors.exact.itemsize * s.vectors.exact.shape[1] * 3 + 2),
    "owners": lambda s: flipped(s.owners, 25),
    "counts": lambda s: flipped(s.postings.counts),
    "terms": lambda s: flipped(s.postings.terms, 9),
    "lengths": lambda s: flipped(s.postings.lengths),
    "rows": lambda s: s.postings.rows.__setitem__(0, 30),
}


def test_what_is_as_its_store_has_it_raises_no_alarm(served, store, told):
    """While it is followed, too, and where rows die and come."""
    assert a_round(served).differing == []
    for n in range(3):
        put(store, a_chunk(f"new{n}.md", "it came later"), dead_documents=[NAMES[n]])
        served.follow()
        found = a_round(served)
        assert (found.differing, found.n_chunks, found.healed) == ([], 40, False)
    assert len(told) == 4


def test_what_the_store_wrote_since_is_no_difference(served, store):
    put(store, a_chunk("later.md", "memory does not know it yet"), dead_documents=[NAMES[3]])
    assert a_round(served).differing == []


@pytest.mark.parametrize("name", list(DAMAGE))
def test_a_flipped_bit_is_found_healed_and_told(served, told, name, caplog):
    """Of whatever array that searches read."""
    DAMAGE[name](segment(served))
    found = a_round(served)
    assert {each.kind for each in found.differing} == {"corrupt"}
    assert found.healed
    assert told == [found]
    assert "not what its store has" in caplog.text
    assert a_round(served).differing == []


@pytest.mark.parametrize("resides", ["first", "last"])
def test_rows_that_memory_lacks_or_has_too_many_are_named(served, resides):
    state = served.held.searcher.state
    at = 0 if resides == "first" else -1
    living = np.ones(state.segments[0].n, dtype=bool)
    living[at] = False
    object.__setattr__(state, "alive", (living,))
    found = a_round(served)
    assert [(each.document, each.kind) for each in found.differing] == [(NAMES[at], "missing")]
    assert found.healed
    assert served.held.searcher.n_chunks == 40


def test_a_row_that_somebody_took_from_the_store_is_a_ghost_of_memory(served):
    by_hand(served, "DELETE FROM chunks WHERE document = ?")
    found = a_round(served)
    assert [each.kind for each in found.differing] == ["ghost"]
    assert found.healed
    assert served.held.searcher.n_chunks == 39


def test_a_row_that_is_damaged_in_the_store_is_the_store_s_trouble(served):
    """A census tells of it."""
    by_hand(served, "UPDATE chunks SET packed = changed(packed, 'text', 'lies') WHERE document = ?")
    by_hand(served, "UPDATE documents SET told = recorded(told, 'metadata', x'81a47965617207') WHERE id = ?")
    assert a_round(served).differing == []


def test_a_record_in_memory_that_lets_others_read_is_found(served, store):
    """And one that lacks a document, or has another value of a field."""
    number = store.generation().number
    rows = [DocumentRow(NAMES[0], "2", "d", "text/plain", 1, "whole", 1, 2, 1, metadata={"year": 1}, readers=["hr"])]
    store.apply(Change(9_000_000, 9_000_000, "readers", number, rows))
    served.follow()
    assert a_round(served).differing == []
    record = served.held.searcher.state.record
    place = next(i for i, each in enumerate(record.reader_sets) if each == frozenset({"hr"}))
    record.readers[record.readers == place] = 1 - place
    [found] = a_round(served).differing
    assert (found.document, found.kind) == (NAMES[0], "corrupt")
    record = served.held.searcher.state.record
    record.columns["year"].codes[:] = -1
    [found] = a_round(served).differing
    assert (found.document, found.kind) == (NAMES[0], "corrupt")
    record = served.held.searcher.state.record
    object.__setattr__(record, "ids", record.ids[1:])
    object.__setattr__(record, "readers", record.readers[1:])
    object.__setattr__(record.columns["year"], "codes", record.columns["year"].codes[1:])
    assert "missing" in {each.kind for each in a_round(served).differing}
    assert a_round(served).differing == []


def test_rounds_come_by_their_time_and_after_a_merge(served, told, monkeypatch):
    served.compare()
    assert told == []
    monkeypatch.setattr(type(served.held.searcher), "heavy", property(lambda self: True))
    served.lighten()
    while not told:
        served.compare()
    assert told[0].differing == []


def test_what_reading_anew_does_not_mend_is_told_so(served, monkeypatch):
    monkeypatch.setattr(ServedIndex, "reread", lambda self: None)
    DAMAGE["small"](segment(served))
    assert a_round(served).healed is False


def test_a_store_that_searches_itself_has_nothing_to_compare(tmp_path, store):
    index = Index("handbook", Pushed())
    parts = HeldParts(index, "v", partial(open_index, tmp_path / "v.db", read_only=True), NOBODY, resident=False)
    made = ServedIndex(parts)
    made.comparing.hasten()
    made.compare()
    assert made.comparing.newest is None


def test_a_long_round_goes_on_where_it_was(served, monkeypatch):
    """A look takes some milliseconds; what follows the store waits no longer for it."""
    monkeypatch.setattr("perdure.serve.retrieval.comparing._STEP_S", 0.0)
    monkeypatch.setattr("perdure.serve.retrieval.comparing._AT_ONCE", 8)
    DAMAGE["small"](segment(served))
    served.comparing.hasten()
    steps = 0
    while served.comparing.newest is None:
        served.compare()
        steps += 1
    assert steps >= 6
    assert len(served.comparing.newest.differing) == 1
