"""Documents that were pushed: kept, listed, read, waited for."""

from __future__ import annotations

import threading

import pytest

from perdure.core.clock import monotonic_s
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.stores.documents.pushed import PushedDocuments


def a_document(id_: str, text: str = "hello", **members) -> RawDocument:
    return RawDocument(DocumentRef(id_, ""), text.encode(), "text/markdown", **members)


@pytest.fixture
def pushed(tmp_path):
    opened = PushedDocuments(tmp_path / "news" / "pushed.db")
    yield opened
    opened.close()


def test_what_is_pushed_is_listed_by_id_and_read_as_it_was(pushed):
    """Metadata and readers too; a second push of an id has another token, also with the same bytes."""
    first = pushed.put(a_document("b/ü.md", metadata={"n": 1, "x": True}, readers=("staff",)), 5)
    pushed.put(a_document("a\0.md"), 6)
    assert pushed.put(a_document("b/ü.md", metadata={"n": 1, "x": True}, readers=("staff",)), 7) != first

    refs = list(pushed.list())
    assert [(ref.id, ref.changed_us) for ref in refs] == [("a\0.md", 6), ("b/ü.md", 7)]
    _, found = pushed.read(refs)
    assert isinstance(found, RawDocument)
    assert (found.data, found.metadata, found.readers) == (b"hello", {"n": 1, "x": True}, ("staff",))
    assert found.ref == refs[1]


def test_what_is_deleted_is_gone_and_told_once(pushed):
    """Who still asks for it is told that it vanished."""
    pushed.put(a_document("a.md"), 5)
    refs = list(pushed.list())
    assert [pushed.delete("a.md"), pushed.delete("a.md")] == [True, False]
    assert list(pushed.list()) == []
    [trouble] = pushed.read(refs)
    assert isinstance(trouble, Trouble)
    assert trouble.code == "vanished"


def test_a_token_is_never_given_twice(pushed):
    """Not after a deletion either, which an index that slept through it would take for no change."""
    first = pushed.put(a_document("a.md", "one"), 5)
    pushed.delete("a.md")
    assert pushed.put(a_document("a.md", "two"), 6) != first


def test_who_waits_hears_of_a_push_of_another_process_at_once(pushed, tmp_path):
    """The first wait says that something may have changed; then nothing did until somebody pushes."""
    assert pushed.wait(0.0)
    assert not pushed.wait(0.0)
    other = PushedDocuments(tmp_path / "news" / "pushed.db")
    threading.Timer(0.1, other.put, (a_document("a.md"), 5)).start()
    began = monotonic_s()
    assert pushed.wait(5.0)
    assert monotonic_s() - began < 2.0
    other.close()
