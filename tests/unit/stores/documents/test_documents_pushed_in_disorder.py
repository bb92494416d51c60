"""Pushes that come late, twice or as nonsense, and functions that fail half-way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from perdure.assets.documents import Iterated
from perdure.core.clock import monotonic_s
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import DeclarationError, StoreError, TooLarge
from perdure.stores.documents.iterated import IteratedDocuments
from perdure.stores.documents.pushed import PushedDocuments


@pytest.fixture
def pushed(tmp_path: Path):
    """None yet."""
    opened = PushedDocuments(tmp_path / "in" / "pushed.db")
    yield opened
    opened.close()


def a_document(text: str, changed_us: int | None = None, id_: str = "a.md", **members) -> RawDocument:
    return RawDocument(DocumentRef(id_, "", changed_us), text.encode(), "text/markdown", **members)


def texts(documents) -> list[bytes]:
    return [raw.data for raw in documents.read(list(documents.list()))]


def test_what_is_pushed_is_read_as_it_was(pushed):
    """With metadata, readers and the instant of its change; its token is the one that was told."""
    metadata = {"n": 1, "x": True, "ü": "é", "r": 0.1}
    [token] = pushed.put([a_document("hello", 5, "b/ü.md", metadata=metadata, readers=("staff",))])
    [ref] = pushed.list()
    assert ref == DocumentRef("b/ü.md", token, 5)
    [raw] = pushed.read([ref])
    assert (raw.data, raw.media_type, raw.metadata, raw.readers, raw.ref) == (
        b"hello",
        "text/markdown",
        metadata,
        ("staff",),
        ref,
    )
    assert raw.digest == a_document("hello", 5, metadata=metadata, readers=("staff",)).digest


def test_an_equal_push_changes_nothing_and_another_one_does(pushed):
    """Not its token and not the time of its change, from which the lag is counted; other metadata alone is a change."""
    [first] = pushed.put([a_document("one", 5)])
    assert pushed.put([a_document("one", 9)]) == [first]
    assert [each.changed_us for each in pushed.list()] == [5]
    [other] = pushed.put([a_document("one", 10, metadata={"n": 1})])
    assert [(each.token, each.changed_us) for each in pushed.list()] == [(other, 10)]


def test_an_older_change_that_comes_late_is_left_out(pushed):
    """Also where the newer one said what was there already."""
    pushed.put([a_document("one", 10)])
    pushed.put([a_document("one", 30)])
    pushed.put([a_document("late", 20)])
    assert texts(pushed) == [b"one"]
    pushed.put([a_document("now")])
    assert texts(pushed) == [b"now"]


def test_a_deletion_outlives_older_pushes(pushed):
    """Those that come after it too, and of documents that were never here; a newer push brings it back."""
    pushed.put([a_document("one", 10)])
    assert pushed.delete(["a.md", "b.md"], changed_us=20) == ["a.md"]
    assert pushed.delete(["a.md"], changed_us=20) == []
    pushed.put([a_document("late", 15), a_document("late", 15, "b.md")])
    assert texts(pushed) == []
    pushed.put([a_document("new", 25)])
    assert pushed.delete(["a.md"], changed_us=22) == []
    assert texts(pushed) == [b"new"]


def test_tombstones_are_forgotten_after_a_while(pushed, monkeypatch):
    """By when they were made, not by when the document went."""
    pushed.put([a_document("one", 10)])
    pushed.delete(["a.md"], changed_us=20)
    pushed.put([a_document("x", None, "b.md")])
    pushed.put([a_document("again", 15)])
    assert texts(pushed) == [b"x"]
    monkeypatch.setattr("perdure.stores.documents.pushed._TOMBSTONE_US", -1_000_000)
    pushed.put([a_document("x", None, "b.md")])
    pushed.put([a_document("again", 15)])
    assert texts(pushed) == [b"again", b"x"]


def test_of_a_batch_all_is_kept_or_nothing(pushed):
    for wrong, error in (
        (a_document("x", id_=""), DeclarationError),
        (a_document("x", id_="a\0"), DeclarationError),
        (a_document("x", id_="\udcff"), DeclarationError),
        (a_document("x", id_="x" * 5_000), DeclarationError),
        (a_document("x", metadata={"a": [1]}), DeclarationError),
        (a_document("x" * 20_000_001), TooLarge),
    ):
        with pytest.raises(error):
            pushed.put([a_document("fine", id_="b.md"), wrong])
    with pytest.raises(DeclarationError):
        pushed.delete(["", "b.md"])
    assert texts(pushed) == []


def test_who_waits_hears_of_a_push_through_the_same_opening_and_another_one(pushed, tmp_path):
    """Within a tenth of a second or little more."""
    other = PushedDocuments(tmp_path / "in" / "pushed.db")
    assert pushed.wait(0.0)
    assert not pushed.wait(0.0)
    for i, opened in enumerate((pushed, other)):
        threading.Timer(0.05, opened.put, ([a_document(f"{i}")],)).start()
        began = monotonic_s()
        assert pushed.wait(5.0)
        assert monotonic_s() - began < 1.0
    other.close()


def test_threads_and_openings_push_side_by_side(pushed, tmp_path):
    """None is lost."""
    other = PushedDocuments(tmp_path / "in" / "pushed.db")
    threads = [
        threading.Thread(target=opened.put, args=([a_document("x", id_=f"{i}{n}") for n in range(10)],))
        for i, opened in enumerate([pushed, other] * 4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(pushed.list())) == 80
    other.close()


def test_a_function_that_fails_half_way_does_not_answer():
    """Whatever it raises; what is no document is a failure too."""

    def given():
        yield a_document("one")
        if failing is not None:
            raise failing

    documents = IteratedDocuments(Iterated(given))
    failing: Exception | None = RuntimeError("page 2")
    with pytest.raises(StoreError, match="RuntimeError: page 2"):
        list(documents.list())
    failing = None
    assert texts(documents) == [b"one"]
    with pytest.raises(StoreError, match="each a RawDocument"):
        list(IteratedDocuments(Iterated(lambda: ["text"])).list())  # type: ignore[arg-type, list-item, return-value]


def test_the_first_document_of_an_id_counts_and_the_next_is_told():
    given = [a_document("b", id_="b"), a_document("first"), a_document("second")]
    documents = IteratedDocuments(Iterated(lambda: iter(given)))
    listed = list(documents.list())
    assert [(each.id, isinstance(each, Trouble)) for each in listed] == [("a.md", False), ("a.md", True), ("b", False)]
    assert [raw.data for raw in documents.read([listed[0]])] == [b"first"]


def test_tokens_of_ones_own_are_kept():
    """They say what changed without digesting it."""
    documents = IteratedDocuments(Iterated(lambda: [RawDocument(DocumentRef("a", "v7", 5), b"x", "text/plain")]))
    assert list(documents.list()) == [DocumentRef("a", "v7", 5)]


def test_a_function_is_asked_once_in_its_time():
    documents = IteratedDocuments(Iterated(list, check_s=0.3))
    assert documents.wait(0.0)
    assert not documents.wait(0.1)
    assert documents.wait(1.0)
    documents.close()
    assert not documents.wait(1.0)


def test_an_id_that_is_half_a_character_is_told_by_a_printable_one():
    """No store could keep it, nor what went with it."""
    given = [a_document("one"), a_document("half", id_="half \ud800")]
    listed = list(IteratedDocuments(Iterated(lambda: iter(given))).list())
    assert [(each.id, getattr(each, "code", "ok")) for each in listed] == [("a.md", "ok"), ("half \\ud800", "encoding")]


@pytest.mark.parametrize("value", [2**63, -(2**63), float("inf"), float("nan")])
def test_a_number_that_no_index_keeps_is_not_taken(pushed, value):
    with pytest.raises(DeclarationError, match="64 bits"):
        pushed.put([a_document("one", metadata={"n": value})])
    assert list(pushed.list()) == []
