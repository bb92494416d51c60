"""What every `IndexStore` guarantees, as tests. Subclass it and give the fixture `open_store`:

    class TestMyIndex(IndexStoreConformance):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda read_only=False: MyIndex(tmp_path / "index.db", read_only=read_only)

Each call opens the same index, which is empty at first. Needs pytest only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import pytest

from perdure.core.errors import BadIndex, Conflict, NotFound, Refused
from perdure.stores.vectors.protocols import Change, ChunkRow, Generation, IndexStore, Query, checksum_of
from perdure.testing.conformance.index_searches import IndexSearchConformance, Opens
from perdure.testing.conformance.index_world import a_chunk, a_document, places, put, standing, step, texts, vector_of


class IndexStoreConformance(IndexSearchConformance):
    """All that a store of one index guarantees."""

    # ------------------------------------------------------------------------------------- what is kept

    def test_an_index_that_was_never_written_is_generation_0_and_holds_nothing(self, store: IndexStore) -> None:
        """It can be asked everything."""
        assert store.generation().number == 0
        assert list(store.generations()) == []
        assert list(store.documents()) == [] == list(store.chunks())
        assert store.search(Query(5, vector_of("a"), "a")) == []
        assert store.fetch([1]) == [None]
        assert store.prune(10) == 0

    def test_what_is_applied_comes_back_as_it_was(self, store: IndexStore) -> None:
        """Every member of documents and chunks, missing values too; the store adds key, checksum and birth."""
        documents = [
            a_document("a.md", title="T", metadata={"n": 1, "f": 1.5, "t": "x", "b": True}, readers=["staff", "ops"]),
            a_document("b.png", changed_us=None, readers=[], trouble="encrypted", n_chunks=0),
        ]
        chunks = [
            a_chunk("a.md", "first", 0, context="T > Heading", parent=(0, 900), form="code"),
            a_chunk("a.md", "", 1, data=b"\x00\xffpicture", form="image"),
        ]
        put(store, *chunks, documents=documents)
        assert list(store.documents()) == documents
        kept = list(store.chunks())
        assert [msgspec.structs.replace(row, key=0, checksum=0, born=0) for row in kept] == chunks
        assert [row.checksum for row in kept] == [checksum_of(row) for row in chunks]
        assert {row.born for row in kept} == {1}

    def test_documents_come_by_id_and_chunks_in_the_order_they_were_applied(self, store: IndexStore) -> None:
        """Keys rise."""
        put(store, a_chunk("b"), a_chunk("a"), a_chunk("é"), a_chunk("Z"))
        put(store, a_chunk("A"))
        assert [row.id for row in store.documents()] == ["A", "Z", "a", "b", "é"]
        kept = list(store.chunks())
        assert [row.document for row in kept] == ["b", "a", "é", "Z", "A"]
        assert [row.key for row in kept] == sorted({row.key for row in kept})

    def test_documents_are_found_by_id_as_they_are_and_as_they_were(self, store: IndexStore) -> None:
        """In the order asked for; of an id that the record has not, None."""
        put(store, a_chunk("a.md", "one"), a_chunk("b.md", "two"))
        change = Change(9, 9, "again", 1, documents=[a_document("a.md", token="v2")], dead_documents=["b.md"])  # noqa: S106
        store.apply(change)
        ids = ["b.md", "a.md", "a'\"].md"]
        assert [found and found.token for found in store.find_documents(ids)] == [None, "v2", None]
        then = store.find_documents(ids, as_of=1)
        assert [found and found.token for found in then] == ["token of b.md", "token of a.md", None]
        with pytest.raises(NotFound):
            store.find_documents(ids, as_of=7)

    def test_a_generation_tells_when_why_and_how_much(self, store: IndexStore) -> None:
        """Counts are of what is alive, documents in trouble included."""
        first = put(store, a_chunk("a"), a_chunk("b"), a_chunk("b", "more", 1))
        second = store.apply(Change(7_000, 6_000, "b went", 1, [a_document("c", trouble="binary")], (), (), ["b"]))
        assert (first.number, first.n_documents, first.n_chunks) == (1, 2, 3)
        assert second == Generation(2, 7_000, "b went", 2, 1, 6_000)
        assert list(store.generations()) == [first, second]
        assert store.generation() == second

    def test_it_is_all_there_when_it_is_opened_again(self, store: IndexStore, open_store: Opens) -> None:
        """Applied is durable."""
        made = put(store, a_chunk("a", "the parcel"))
        store.close()
        again = open_store()
        assert again.generation() == made
        assert places(again) == {("a", 0): "the parcel"}
        assert texts(again, again.search(Query(1, words="parcel"))) == ["the parcel"]
        again.close()

    def test_any_text_is_kept(self, store: IndexStore) -> None:
        """Of all scripts, with zero bytes and emoji, in ids and metadata too."""
        odd = "naïve 東京タワー مرحبا 👩\u200d👩\u200d👧 \x00 \u202e end\n\r\t'\"%"
        put(store, a_chunk(odd, odd, context=odd), documents=[a_document(odd, metadata={odd: odd}, title=odd)])
        [row] = store.chunks()
        assert (row.document, row.text, row.context) == (odd, odd, odd)
        assert row.checksum == checksum_of(row)
        assert [(each.id, each.metadata) for each in store.documents()] == [(odd, {odd: odd})]
        assert len(store.search(Query(1, words="東京"))) == 1 == len(store.search(Query(1, words="NAÏVE")))
        assert len(store.search(Query(1, words="京タ"))) == 1, "within a run of a script without spaces"

    def test_ten_thousand_chunks_are_one_generation(self, store: IndexStore) -> None:
        """All there, and the one that is asked for is found."""
        chunks = [a_chunk(f"d{i // 10}", f"number{i}x", i % 10) for i in range(10_000)]
        made = put(store, *chunks)
        assert (made.n_documents, made.n_chunks) == (1_000, 10_000)
        assert [row.text for row in store.chunks()] == [row.text for row in chunks]
        assert texts(store, store.search(Query(1, vector_of("number7777x")))) == ["number7777x"]
        assert texts(store, store.search(Query(1, words="number4242x"))) == ["number4242x"]
        store.apply(Change(2, 2, "half", 1, (), (), (), [f"d{i}" for i in range(500)]))
        assert store.generation().n_chunks == 5_000 == sum(1 for _ in store.chunks())

    def test_chunks_of_documents_are_those_that_are_alive(self, store: IndexStore) -> None:
        """By key, of all that are asked; a document that is not there has none."""
        assert store.chunks_of(["a"]) == []
        put(store, a_chunk("a", "one"), a_chunk("b'", "two"), a_chunk("c", "three"), a_chunk("a", "four", 1))
        put(store, dead_chunks=[next(store.chunks()).key])
        assert [row.text for row in store.chunks_of(["b'", "a", "unknown"])] == ["two", "four"]
        assert store.chunks_of([]) == []

    def test_chunks_by_columns_are_the_chunks_of_that_generation(self, store: IndexStore) -> None:
        """All of them in the same order, intact, each with its row but for its lives."""
        undated = partial(msgspec.structs.replace, born=0, died=0)
        assert list(store.standing()) == []
        put(store, *(a_chunk("a", f"text {i}", i, parent=(0, i) if i == 150 else None) for i in range(250)))
        put(store, a_chunk("b", "picture", data=b"\x00\xff"), dead_chunks=[next(store.chunks()).key])
        for at in (0, 1, 2):
            batches = list(store.standing(at))
            rows = [batch.row(place) for batch in batches for place in range(len(batch.keys))]
            assert [undated(row) for row in rows] == [undated(row) for row in store.chunks(at)]
            assert all(batch.intact for batch in batches)
            for column in ("key", "document", "position"):
                told = [value for batch in batches for value in getattr(batch, f"{column}s")]
                assert told == [getattr(row, column) for row in rows]
            assert [each.tobytes() for batch in batches for each in batch.vectors] == [row.vector for row in rows]
            for batch in batches:
                of_it = [batch.row(place) for place in range(len(batch.keys))]
                assert (batch.embedders, batch.chunkers) == (
                    {row.embedder for row in of_it},
                    {row.chunker for row in of_it},
                )
        with pytest.raises(NotFound):
            next(iter(store.standing(9)))

    def test_chunks_by_columns_have_no_array_of_vectors_where_their_lengths_differ(self, store: IndexStore) -> None:
        """Positions are told all the same, and what made each."""
        other = {"vector": bytes(8), "embedder": "other", "chunker": "another"}
        put(store, a_chunk("a", "one"), a_chunk("a", "two", 1, vector=b""), a_chunk("a", "three", 2, **other))
        [batch] = store.standing()
        assert (batch.vectors.shape, list(batch.positions), batch.intact) == ((0, 0), [0, 1, 2], True)
        rows = list(store.chunks())
        assert [batch.row(place).vector for place in range(3)] == [row.vector for row in rows]
        assert batch.embedders == {row.embedder for row in rows} == {rows[0].embedder, "other"}
        assert batch.chunkers == {rows[0].chunker, "another"}

    def test_what_a_census_compares_of_the_record_is_what_the_record_says(self, store: IndexStore) -> None:
        """Of each generation, in the order of ids; equal checksums are equal rows."""
        assert store.recorded() == {}
        for _ in range(3):
            step(store)
        for at in (0, 1, 2):
            whole, compared = list(store.documents(at)), store.recorded(at)
            assert list(compared) == [row.id for row in whole]
            for row in whole:
                told = compared[row.id]
                for member in ("id", "token", "digest", "n_chunks", "chunker", "trouble", "damaged"):
                    assert getattr(told, member) == getattr(row, member)
        before = store.recorded()
        put(store, documents=[a_document("x.md"), a_document("y.md", title="one")])
        put(store, documents=[a_document("x.md"), a_document("y.md", title="two")])
        after, between = store.recorded(), store.recorded(store.generation().number - 1)
        assert (after["x.md"], after["y.md"].token) == (between["x.md"], between["y.md"].token)
        assert after["y.md"] != between["y.md"]
        assert {id_: row for id_, row in after.items() if id_ not in ("x.md", "y.md")} == before
        with pytest.raises(NotFound):
            store.recorded(99)

    def test_a_whole_index_has_no_damage_and_is_mended_to_the_same(self, store: IndexStore) -> None:
        """To mend makes no generation and finds what was found before."""
        assert store.damage(deep=True) == []
        for _ in range(3):
            step(store)
        before, made = store.search(Query(500, words="stands")), store.generation()
        assert store.damage() == [] == store.damage(deep=True)
        assert store.mend() >= len(before)
        assert store.generation() == made
        assert {hit.key for hit in store.search(Query(500, words="stands"))} == {hit.key for hit in before}
        assert sorted(texts(store, store.search(Query(500, words="stands", as_of=1)))) == sorted(standing(1).values())

    # -------------------------------------------------------------------------------------- all or nothing

    def test_a_change_from_another_generation_is_a_conflict_and_writes_nothing(
        self, store: IndexStore, open_store: Opens
    ) -> None:
        """Whoever made the other one."""
        put(store, a_chunk("a"))
        other = open_store()
        put(other, a_chunk("b"))
        with pytest.raises(Conflict):
            store.apply(Change(3, 3, "late", 1, [a_document("c")], [a_chunk("c", "late words")]))
        with pytest.raises(Conflict):
            store.apply(Change(3, 3, "from the future", 9, [a_document("c")], [a_chunk("c", "late words")]))
        assert store.generation().number == 2
        assert [row.id for row in store.documents()] == ["a", "b"]
        assert store.search(Query(5, words="late")) == []
        other.close()

    @pytest.mark.parametrize(
        "bad",
        [a_chunk("c", vector=b"half"[:3]), a_chunk("c", "lone \ud800"), a_chunk("c", position=2**70)],
        ids=["half a float", "lone surrogate", "huge number"],
    )
    def test_a_row_that_cannot_be_kept_leaves_the_old_generation_whole(self, store: IndexStore, bad: ChunkRow) -> None:
        """Even as the last of many, after dead ones; and the next change goes on."""
        put(store, a_chunk("a", "old words"))
        [old] = store.chunks()
        good = [a_chunk("b", f"new words {i}", i) for i in range(50)]
        with pytest.raises(BadIndex):
            store.apply(Change(2, 2, "bad", 1, [a_document("b")], [*good, bad], [old.key], ["a"]))
        assert store.generation().number == 1
        assert places(store) == {("a", 0): "old words"}
        assert [row.id for row in store.documents()] == ["a"]
        assert store.search(Query(5, words="new")) == []
        assert [hit.key for hit in store.search(Query(5, vector_of("new words 1"), "old"))] == [old.key]
        put(store, *good)
        assert store.generation().n_chunks == 51 == len(places(store))

    def test_who_reads_sees_one_generation_whole(self, store: IndexStore) -> None:
        """Whatever is applied and pruned while he reads."""
        put(store, *(a_chunk(f"d{i:04}", f"text {i}") for i in range(3_000)))
        chunks, documents = store.chunks(), store.documents()
        first = [next(chunks)], [next(documents)]
        store.apply(Change(2, 2, "all gone", 1, (), (), (), [f"d{i:04}" for i in range(3_000)]))
        store.prune(2)
        assert len([*first[0], *chunks]) == 3_000 == len([*first[1], *documents])
        assert list(store.chunks()) == []

    def test_threads_read_while_generations_are_made(self, store: IndexStore) -> None:
        """Each sees a generation of the world as it must be, and nothing between two."""
        step(store)

        def look(_: int) -> bool:
            number = store.generation().number
            found = store.search(Query(3, words="stands"))
            return places(store, number) == standing(number) and len(found) == 3

        with ThreadPoolExecutor(3) as pool:
            looks = pool.map(look, range(12))
            for _ in range(5):
                step(store)
            assert all(looks)

    def test_who_only_reads_follows_and_changes_nothing(self, store: IndexStore, open_store: Opens) -> None:
        """Another opening sees what was applied at once."""
        put(store, a_chunk("a", "one"))
        reader = open_store(read_only=True)
        assert places(reader) == {("a", 0): "one"}
        put(store, a_chunk("b", "two"))
        assert reader.generation().number == 2
        assert places(reader) == {("a", 0): "one", ("b", 0): "two"}
        assert texts(reader, reader.search(Query(1, vector_of("two"), "two"))) == ["two"]
        with pytest.raises(Refused):
            put(reader, a_chunk("c"))
        with pytest.raises(Refused):
            reader.prune(1)
        reader.close()

    # ------------------------------------------------------------------------------------------ time travel

    def test_every_generation_can_be_asked_as_it_was(self, store: IndexStore) -> None:
        """Chunks, documents and what is found."""
        for _ in range(8):
            step(store)
        for number in range(1, 9):
            expected = standing(number)
            assert places(store, number) == expected
            assert [row.id for row in store.documents(number)] == sorted({id_ for id_, _ in expected})
            assert store.generations()[number - 1].n_chunks == len(expected)
            found = store.search(Query(500, words="stands", as_of=number))
            assert sorted(texts(store, found)) == sorted(expected.values())
            some = sorted(expected.values())[number]
            assert texts(store, store.search(Query(1, vector_of(some), as_of=number))) == [some]

    def test_a_document_that_changed_is_told_as_it_was_then(self, store: IndexStore) -> None:
        """New metadata and readers leave its chunks, and a past generation is filtered by the old ones."""
        put(store, a_chunk("a", "parcel"), documents=[a_document("a", metadata={"year": 2023}, readers=["staff"])])
        put(store, documents=[a_document("a", metadata={"year": 2024})])
        old, new = Query(1, words="parcel", where={"year": 2023}), Query(1, words="parcel", groups=[])
        assert [len(store.search(each)) for each in (old, new)] == [0, 1]
        assert [len(store.search(msgspec.structs.replace(each, as_of=1))) for each in (old, new)] == [1, 0]
        assert store.generation().n_chunks == 1
        assert [row.metadata for row in store.documents(1)] == [{"year": 2023}]

    def test_what_changed_after_a_generation_is_enough_to_follow(self, store: IndexStore) -> None:
        """From any generation to any later one, by births and deaths alone."""
        for _ in range(6):
            step(store)
        for begin in range(7):
            for end in range(max(1, begin), 7):
                held = {row.key: row for row in store.chunks(begin)} if begin else {}
                for row in store.chunks(end, begin):
                    assert row.born > begin or row.died > begin
                    if row.born <= end and not 0 < row.died <= end:
                        held[row.key] = row
                    else:
                        held.pop(row.key, None)
                assert {(row.document, row.position): row.text for row in held.values()} == standing(end)
        assert list(store.chunks(after=6)) == []

    def test_pruned_generations_are_gone_and_the_others_are_as_they_were(self, store: IndexStore) -> None:
        """Nobody is given half of what he asks for."""
        for _ in range(8):
            step(store)
        dead = [row.key for row in store.chunks(8, 0) if 0 < row.died <= 5]
        assert store.prune(5) == len(dead) > 0
        assert [each.number for each in store.generations()] == [5, 6, 7, 8]
        assert store.fetch(dead) == [None] * len(dead)
        for number in (5, 6, 7, 8):
            assert places(store, number) == standing(number)
            found = store.search(Query(500, words="stands", as_of=number))
            assert sorted(texts(store, found)) == sorted(standing(number).values())
        for number in (1, 4, 9, -1):
            with pytest.raises(NotFound):
                list(store.chunks(number))
            with pytest.raises(NotFound):
                list(store.documents(number))
            with pytest.raises(NotFound):
                store.search(Query(1, words="stands", as_of=number))
        with pytest.raises(NotFound):
            list(store.chunks(after=4))
        assert {row.key for row in store.chunks(after=0) if not row.died} == {row.key for row in store.chunks()}
        assert store.prune(5) == 0

    def test_the_newest_generation_is_never_pruned(self, store: IndexStore) -> None:
        """Nor is a key ever given again."""
        put(store, a_chunk("a"))
        put(store, dead_documents=["a"])
        put(store, a_chunk("b"))
        seen = {row.key for row in store.chunks(3, 0)}
        assert store.prune(1_000) == 1
        assert [each.number for each in store.generations()] == [3]
        put(store, dead_documents=["b"])
        store.prune(4)
        put(store, a_chunk("c"))
        [row] = store.chunks()
        assert row.key > max(seen)

    def test_the_dead_are_fetched_and_not_found(self, store: IndexStore) -> None:
        """In the order that was asked, one as often as it was asked; what is unknown is None."""
        put(store, a_chunk("a", "one"), a_chunk("b", "two"), a_chunk("c", "three"))
        one, two, three = (row.key for row in store.chunks())
        put(store, dead_chunks=[one, 999_999], dead_documents=["b", "unknown"])
        rows = store.fetch([three, one, 12_345, two, one])
        assert [row and (row.text, row.died) for row in rows] == [
            ("three", 0), ("one", 2), None, ("two", 2), ("one", 2),
        ]  # fmt: skip
        assert all(row is None or row.checksum == checksum_of(row) for row in rows)
        assert [row.text for row in store.chunks()] == ["three"]
        assert [row.id for row in store.documents()] == ["a", "c"]
        assert store.search(Query(5, words="one two")) == []
        assert [hit.key for hit in store.search(Query(5, vector_of("one")))] == [three]
