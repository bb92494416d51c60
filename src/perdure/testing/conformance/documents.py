"""What every source of documents guarantees, as tests. Subclass it and give the fixture `world`:

    class TestMyDocuments(DocumentsConformance):
        @pytest.fixture
        def world(self, tmp_path):
            return MyWorld(tmp_path)

where a world is a source with a way to change what is in it, see `DocumentsWorld`. Needs pytest only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Protocol

import pytest

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.protocols import Documents

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)
"""A picture of one point."""


class DocumentsWorld(Protocol):
    """A source that is empty at first, and what changes it. Ids such as `a.md`, `folder/b.md` and `c.png` must be possible."""

    documents: Documents
    noticed_s: float
    """Longest time from a change to the end of a `wait`."""

    def put(self, documents: dict[str, bytes]) -> None:
        """Make these documents, or replace those that are there."""
        ...

    def delete(self, id_: str) -> None:
        """Delete one that is there."""
        ...

    def fail(self) -> None:
        """Have the source not answer any more, as when a disk or a host is away."""
        ...


class DocumentsConformance:
    """All that a source of documents guarantees."""

    @pytest.fixture
    def world(self) -> Iterator[DocumentsWorld]:
        """An empty source, and what changes it."""
        pytest.fail("Override the fixture `world` with one that returns an empty source, and what changes it.")

    @pytest.fixture(autouse=True)
    def _closed(self, world: DocumentsWorld) -> Iterator[None]:
        yield
        world.documents.close()

    def test_an_empty_source_lists_and_reads_nothing(self, world: DocumentsWorld) -> None:
        """It answers: that is no failure."""
        assert list(world.documents.list()) == []
        assert list(world.documents.read([])) == []

    def test_documents_are_listed_once_each_in_the_order_of_ids(self, world: DocumentsWorld) -> None:
        """Whatever order they came in; with a token each."""
        world.put({"b.md": b"b", "folder/c.md": b"c", "a.md": b"a", "Z.md": b"z", "folder/é.md": b"e"})
        found = refs(world)
        assert [ref.id for ref in found] == ["Z.md", "a.md", "b.md", "folder/c.md", "folder/é.md"]
        assert all(ref.token for ref in found)

    def test_bytes_are_read_as_they_are(self, world: DocumentsWorld) -> None:
        """Those of pictures too, and of text in no encoding that we know."""
        put = {"a.md": "# Grüße\r\n".encode(), "b.png": PNG, "c.txt": b"\xff\xfe broken \x80", "d.md": b""}
        world.put(put)
        assert {raw.ref.id: raw.data for raw in read(world, refs(world))} == put

    def test_documents_are_read_in_the_order_that_is_asked(self, world: DocumentsWorld) -> None:
        """With repeats, so that who asks may match them by place."""
        world.put({"a.md": b"a", "b.md": b"b", "c.md": b"c"})
        a, b, c = refs(world)
        assert [raw.data for raw in read(world, [c, a, b, a])] == [b"c", b"a", b"b", b"a"]

    def test_a_document_that_stays_keeps_its_token(self, world: DocumentsWorld) -> None:
        """Else everything is read again for ever; and who reads it gets the token that was listed."""
        world.put({"a.md": b"a", "b.md": b"b"})
        settled = settle(world)
        assert [raw.ref.token for raw in read(world, settled)] == [ref.token for ref in settled]
        world.put({"b.md": b"changed", "c.md": b"new"})
        assert refs(world)[0] == settled[0]

    def test_a_document_that_changed_has_another_token(self, world: DocumentsWorld) -> None:
        """Also where it has as many bytes as before, and changed at once."""
        world.put({"a.md": b"one"})
        [before] = refs(world)
        tokens = {before.token}
        for text in (b"two", b"six", b"ten"):
            world.put({"a.md": text})
            [now] = refs(world)
            assert now.token not in tokens
            tokens.add(now.token)
            assert [raw.data for raw in read(world, [before])] == [text]

    def test_who_reads_gets_what_is_there_now_with_its_token(self, world: DocumentsWorld) -> None:
        """So that what is recorded is what was read, and the next listing agrees with it."""
        world.put({"a.md": b"one"})
        [old] = settle(world)
        world.put({"a.md": b"two"})
        [raw] = read(world, [old])
        assert raw.data == b"two"
        assert raw.ref.token != old.token
        [now] = settle(world)
        assert [again.ref.token for again in read(world, [now])] == [now.token]

    def test_a_deleted_document_is_not_listed_and_has_vanished_for_who_reads_it(self, world: DocumentsWorld) -> None:
        """The others are read."""
        world.put({"a.md": b"a", "b.md": b"b"})
        a, b = refs(world)
        world.delete("a.md")
        assert [ref.id for ref in refs(world)] == ["b.md"]
        gone, there = world.documents.read([a, b])
        assert isinstance(gone, Trouble)
        assert (gone.id, gone.code) == ("a.md", "vanished")
        assert isinstance(there, RawDocument)

    def test_a_document_that_comes_back_is_there_again(self, world: DocumentsWorld) -> None:
        """As one that was restored from a backup."""
        world.put({"a.md": b"a"})
        world.delete("a.md")
        world.put({"a.md": b"a"})
        assert [raw.data for raw in read(world, refs(world))] == [b"a"]

    def test_ids_that_are_not_there_are_told_one_by_one(self, world: DocumentsWorld) -> None:
        """Also such that would lead out of the source."""
        world.put({"a.md": b"a"})
        asked = [
            DocumentRef(id_, "t")
            for id_ in ("none.md", "../a.md", "/etc/passwd", "a.md/b", "' or 1=1 --.md", "x" * 300)
        ]
        found = list(world.documents.read(asked))
        assert [(each.id, each.code) for each in found if isinstance(each, Trouble)] == [
            (ref.id, "vanished") for ref in asked
        ]

    def test_equal_documents_are_two(self, world: DocumentsWorld) -> None:
        """One of them may go without the other."""
        world.put({"a.md": b"same", "b.md": b"same"})
        world.delete("a.md")
        assert [raw.data for raw in read(world, refs(world))] == [b"same"]

    def test_media_types_and_metadata_are_those_of_each_look(self, world: DocumentsWorld) -> None:
        """Two readings of one document have one digest."""
        world.put({"a.md": b"a", "b.png": PNG})
        first, again = read(world, refs(world)), read(world, refs(world))
        assert [raw.digest for raw in first] == [raw.digest for raw in again]
        assert all("/" in raw.media_type for raw in first)

    def test_hundreds_of_documents_are_listed_and_read(self, world: DocumentsWorld) -> None:
        """More than fit in one of whatever they come in."""
        put = {f"{i % 7}/{i:04}.md": str(i).encode() for i in range(1_200)}
        world.put(put)
        found = refs(world)
        assert [ref.id for ref in found] == sorted(put)
        assert {raw.ref.id: raw.data for raw in read(world, found)} == put

    def test_threads_list_and_read_side_by_side(self, world: DocumentsWorld) -> None:
        """A census reads while changes are followed."""
        world.put({f"{i}.md": b"x" for i in range(20)})
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: len(read(world, refs(world))), range(12)))
        assert found == [20] * 12

    def test_a_reading_that_is_left_half_way_harms_nothing(self, world: DocumentsWorld) -> None:
        """Whoever reads may fail at a document."""
        world.put({f"{i}.md": b"x" for i in range(5)})
        next(iter(world.documents.read(refs(world))))
        next(iter(world.documents.list()))
        assert len(read(world, refs(world))) == 5

    def test_a_source_that_does_not_answer_is_no_empty_one(self, world: DocumentsWorld) -> None:
        """Else everything would be taken for deleted."""
        world.put({"a.md": b"a"})
        found = refs(world)
        world.fail()
        with pytest.raises(StoreError):
            list(world.documents.list())
        with pytest.raises(StoreError):
            list(world.documents.read(found))

    def test_a_wait_ends_when_something_changes(self, world: DocumentsWorld) -> None:
        """And what changed is listed then."""
        world.put({"a.md": b"a"})
        idle(world)
        woken = Event()
        later(0.05, lambda: world.put({"b.md": b"b"}), woken.set)
        began_s = monotonic_s()
        while not world.documents.wait(world.noticed_s) or not woken.is_set():
            assert monotonic_s() - began_s < world.noticed_s + 5.0
        assert "b.md" in [ref.id for ref in refs(world)]

    def test_what_changes_between_two_waits_is_not_missed(self, world: DocumentsWorld) -> None:
        """New, changed and deleted documents alike."""
        world.put({"a.md": b"a"})
        changes: list[Callable[[], None]] = [
            lambda: world.put({"b.md": b"b"}),
            lambda: world.put({"b.md": b"c"}),
            lambda: world.delete("a.md"),
        ]
        for change in changes:
            idle(world)
            change()
            assert waited(world)

    def test_a_wait_ends_in_time_where_nothing_changes(self, world: DocumentsWorld) -> None:
        """At most a look more than it was asked for; a source that only polls may say otherwise now and then."""
        idle(world)
        began_s = monotonic_s()
        world.documents.wait(0.05)
        assert monotonic_s() - began_s < 0.05 + 1.5

    def test_closing_ends_a_wait_and_can_be_done_twice(self, world: DocumentsWorld) -> None:
        """Who follows a source has to stop when it is told to."""
        idle(world)
        began_s = monotonic_s()
        later(0.1, world.documents.close)
        while monotonic_s() - began_s < 5.0 and world.documents.wait(20.0):
            sleep_s(0.01)
        assert monotonic_s() - began_s < 5.0
        world.documents.close()


def refs(world: DocumentsWorld) -> list[DocumentRef]:
    """What is listed, without trouble."""
    found = list(world.documents.list())
    assert not [each for each in found if isinstance(each, Trouble)]
    return [each for each in found if isinstance(each, DocumentRef)]


def read(world: DocumentsWorld, asked: list[DocumentRef]) -> list[RawDocument]:
    """Those documents, without trouble."""
    found = list(world.documents.read(asked))
    assert not [each for each in found if isinstance(each, Trouble)]
    return [each for each in found if isinstance(each, RawDocument)]


def settle(world: DocumentsWorld) -> list[DocumentRef]:
    """A listing that the next one repeats: tokens of what changed within the last seconds may be used once."""
    until_s = monotonic_s() + 10.0
    found = refs(world)
    while (again := refs(world)) != found:
        assert monotonic_s() < until_s, "Tokens of documents that stay as they are have to stay."
        found = again
        sleep_s(0.05)
    return found


def later(seconds: float, *works: Callable[[], None]) -> None:
    """Do that in a thread, after a while."""

    def work() -> None:
        sleep_s(seconds)
        for each in works:
            each()

    Thread(target=work, daemon=True).start()


def idle(world: DocumentsWorld) -> None:
    """Wait until nothing is new, as far as the source can tell."""
    for _ in range(5):
        if not world.documents.wait(0.15):
            return


def waited(world: DocumentsWorld) -> bool:
    """Whether something is new within the time in which the source notices."""
    until_s = monotonic_s() + world.noticed_s
    while not world.documents.wait(0.05):
        if monotonic_s() > until_s:
            return False
    return True
