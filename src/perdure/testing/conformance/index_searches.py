"""What every `IndexStore` guarantees of its search, as tests: a part of the suite in `indexes`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from perdure.core.documents import Between, Where
from perdure.core.errors import BadIndex
from perdure.stores.vectors.protocols import IndexStore, Query
from perdure.testing.conformance.index_world import N_DIMENSIONS, a_chunk, a_document, put, texts, vector_of

Opens = Callable[..., IndexStore]
HOSTILE = (
    '"', "'", "AND", "NOT parcel", "parcel OR", "NEAR(parcel, 2)", "folded:parcel", "parcel*", "^parcel", "(", "parcel)",
    "-parcel", "{a b}: parcel", "'; DROP TABLE chunks; --", "parcel\x00", "%", "\\", "+parcel", "parcel~2", '"par cel',
)  # fmt: skip
"""What means something in a query language, and is only words here."""


class IndexSearchConformance:
    """All that its search guarantees."""

    @pytest.fixture
    def open_store(self) -> Opens:
        """Opens the same index each time; empty at first."""
        pytest.fail("Override the fixture `open_store` with a function that opens the store.")

    @pytest.fixture
    def store(self, open_store: Opens) -> Iterator[IndexStore]:
        """The empty store, opened to be written."""
        store = open_store()
        yield store
        store.close()

    # ----------------------------------------------------------------------------------------------- search

    def test_the_nearest_vectors_are_found_exactly(self, store: IndexStore) -> None:
        """By cosine, best first, whatever the length of the question's vector."""
        put(store, *(a_chunk(f"d{i}", f"text {i}") for i in range(300)))
        question = np.frombuffer(vector_of("a question"), "<f4")
        rows = list(store.chunks())
        cosines = np.array([np.frombuffer(row.vector, "<f4") @ question for row in rows])
        hits = store.search(Query(10, (question * 3).astype("<f4").tobytes()))
        assert [hit.key for hit in hits] == [rows[i].key for i in np.argsort(-cosines)[:10]]
        assert [hit.dense for hit in hits] == pytest.approx(sorted(cosines, reverse=True)[:10], abs=1e-5)
        assert [hit.score for hit in hits] == [hit.dense for hit in hits]
        assert all(hit.lexical is None for hit in hits)

    def test_words_are_found_by_how_rare_they_are(self, store: IndexStore) -> None:
        """In any case, in texts and in their contexts."""
        common = [a_chunk(f"d{i}", f"the parcel number {i}") for i in range(20)]
        put(store, *common, a_chunk("rare", "the zebra"), a_chunk("context", "x", context="About Giraffes"))
        hits = store.search(Query(3, words="PARCEL zebra"))
        assert [text == "the zebra" for text in texts(store, hits)] == [True, False, False]
        assert hits[0].score > hits[1].score > 0
        assert [hit.lexical for hit in hits] == [hit.score for hit in hits]
        assert all(hit.dense is None for hit in hits)
        assert texts(store, store.search(Query(3, words="giraffes"))) == ["x"]
        assert store.search(Query(3, words="unheard")) == []

    def test_both_are_fused_and_each_tells_its_own_score(self, store: IndexStore) -> None:
        """What is found by both stands before what is found by one."""
        put(store, *(a_chunk(f"d{i:03}", f"filler {i}") for i in range(200)), a_chunk("w", "zebra", vector=b""))
        put(store, a_chunk("both", "zebra crossing", vector=vector_of("question")))
        hits = store.search(Query(5, vector_of("question"), "zebra"))
        found = dict(zip(texts(store, hits), hits, strict=True))
        assert texts(store, hits)[0] == "zebra crossing"
        assert found["zebra crossing"].dense == pytest.approx(1.0, abs=1e-5)
        assert (found["zebra crossing"].lexical or 0) > 0
        assert found["zebra"].dense is None
        assert (found["zebra"].lexical or 0) > 0
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_words_have_no_syntax(self, store: IndexStore) -> None:
        """What a query language would read as an operator finds what its words find, or nothing."""
        put(store, a_chunk("a", "the parcel"), a_chunk("b", "something else"))
        for hostile in HOSTILE:
            found = texts(store, store.search(Query(5, words=hostile)))
            assert found == (["the parcel"] if "parcel" in hostile else []), hostile
            assert len(store.search(Query(5, vector_of("x"), hostile))) == 2, hostile

    def test_a_page_of_words_is_a_question_too(self, store: IndexStore) -> None:
        """Its first words are asked for."""
        put(store, a_chunk("a", "the parcel"))
        assert len(store.search(Query(5, words="parcel " * 100_000))) == 1
        assert store.search(Query(5, words=" ".join(f"w{i}" for i in range(20_000)))) == []

    def test_no_question_and_no_room_find_nothing(self, store: IndexStore) -> None:
        """Neither is an error."""
        put(store, a_chunk("a", "the parcel"))
        assert store.search(Query(5)) == [] == store.search(Query(0, vector_of("a"), "parcel"))
        assert store.search(Query(5, words="?!")) == []
        assert store.search(Query(5, b"\0" * 4 * N_DIMENSIONS)) == []

    def test_chunks_without_a_direction_are_found_by_their_words_alone(self, store: IndexStore) -> None:
        """No vector, zeros, and numbers that are none."""
        none = np.full(N_DIMENSIONS, np.nan, "<f4").tobytes()
        put(
            store,
            a_chunk("a", "empty parcel", vector=b""),
            a_chunk("b", "zero parcel", vector=b"\0" * 4 * N_DIMENSIONS),
        )
        assert store.search(Query(5, vector_of("a"))) == []
        put(store, a_chunk("c", "nan parcel", vector=none), a_chunk("d", "good parcel"))
        assert texts(store, store.search(Query(5, vector_of("a")))) == ["good parcel"]
        assert len(store.search(Query(5, words="parcel"))) == 4
        assert [row.vector for row in store.chunks()][:3] == [b"", b"\0" * 4 * N_DIMENSIONS, none]

    @pytest.mark.parametrize("vector", [vector_of("a", 8), b"half", b"\0\0\xc0\x7f" * N_DIMENSIONS, b"12345"])
    def test_a_question_by_another_embedder_is_refused(self, store: IndexStore, vector: bytes) -> None:
        """Rather than answered by nothing."""
        put(store, a_chunk("a"))
        with pytest.raises(BadIndex):
            store.search(Query(5, vector))

    # ------------------------------------------------------------------------------- filters and permissions

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ({"lang": "de"}, "a c"),
            ({"lang": ["de", "en"]}, "a b c"),
            ({"lang": []}, ""),
            ({"year": Between(2021)}, "b c"),
            ({"year": Between(2020, 2021)}, "a b"),
            ({"year": Between(most=2020.5)}, "a"),
            ({"draft": True}, "a"),
            ({"draft": 1}, ""),
            ({"draft": [False], "lang": "de"}, "c"),
            ({"year": "2020"}, ""),
            ({"lang": Between("de", "de")}, "a c"),
            ({"unknown": "x"}, ""),
            ({'it\'s "odd"': 1}, "d"),
            ({}, "a b c d"),
        ],
    )
    def test_filters_leave_what_holds(self, store: IndexStore, where: Where, found: str) -> None:
        """All members must; of what is missing or of another kind, none does."""
        told = {
            "a": {"lang": "de", "year": 2020, "draft": True},
            "b": {"lang": "en", "year": 2021, "draft": False},
            "c": {"lang": "de", "year": 2022, "draft": False},
            "d": {'it\'s "odd"': 1},
        }
        put(store, *map(a_chunk, told), documents=[a_document(id_, metadata=each) for id_, each in told.items()])
        for query in (Query(9, vector_of("x")), Query(9, words="words"), Query(9, vector_of("x"), "words")):
            hits = store.search(msgspec.structs.replace(query, where=where))
            assert sorted(row.document for row in store.fetch([hit.key for hit in hits]) if row) == found.split()

    def test_k_are_found_among_what_may_be_found(self, store: IndexStore) -> None:
        """Filters and readers come before ranking: hundreds that are better and hidden take nobody's place."""
        hidden = [a_chunk(f"h{i}", f"zebra {i}", vector=vector_of("question")) for i in range(400)]
        shown = [a_chunk(f"s{i}", f"zebra and other words {i}") for i in range(5)]
        secret = {"readers": ["staff"], "metadata": {"secret": True}}
        put(
            store,
            *hidden,
            *shown,
            documents=[
                *(a_document(each.document, **secret) for each in hidden),
                *(a_document(each.document, metadata={"secret": False}) for each in shown),
            ],
        )
        for query in (
            Query(5, vector_of("question")),
            Query(5, words="zebra"),
            Query(5, vector_of("question"), "zebra"),
        ):
            for ask in ({"groups": ["guests"]}, {"where": {"secret": False}}):
                hits = store.search(msgspec.structs.replace(query, **ask))
                assert sorted(texts(store, hits)) == sorted(each.text for each in shown)

    def test_readers_are_asked_before_anything_is_found(self, store: IndexStore) -> None:
        """Everybody, some groups, nobody; and None asks for everything."""
        readers = {"open": None, "staff": ["staff", "board"], "closed": []}
        put(store, *map(a_chunk, readers), documents=[a_document(id_, readers=who) for id_, who in readers.items()])
        table = [
            ([], {"open"}),
            (["staff"], {"open", "staff"}),
            (["x", "board"], {"open", "staff"}),
            (None, set(readers)),
        ]
        for groups, expected in table:
            for query in (Query(9, vector_of("x"), groups=groups), Query(9, words="words", groups=groups)):
                hits = store.search(query)
                assert {row.document for row in store.fetch([hit.key for hit in hits]) if row} == expected

    def test_the_past_is_closed_to_whom_the_present_is(self, store: IndexStore) -> None:
        """Whoever could read a document then must be let read it now; of one that is gone the last that is known counts."""
        ids = ["kept", "closed", "gone"]
        put(store, *map(a_chunk, ids))
        then = [Query(9, vector_of("x"), groups=["x"], as_of=1), Query(9, words="words", groups=["x"], as_of=1)]

        def found() -> list[set[str]]:
            hits = [store.search(query) for query in then]
            return [{row.document for row in store.fetch([hit.key for hit in each]) if row} for each in hits]

        assert found() == [set(ids)] * 2
        put(store, documents=[a_document(id_, readers=["board"]) for id_ in ids[1:]])
        assert found() == [{"kept"}] * 2
        put(store, documents=[], dead_documents=["gone"])
        assert found() == [{"kept"}] * 2
        assert [len(store.search(msgspec.structs.replace(each, groups=None))) for each in then] == [3, 3]

    def test_a_chunk_of_no_document_stands_there_and_is_never_found(self, store: IndexStore) -> None:
        """Nobody knows who may read it."""
        put(store, a_chunk("a", "known words"), a_chunk("orphan", "orphan words"), documents=[a_document("a")])
        assert [row.document for row in store.chunks()] == ["a", "orphan"]
        assert texts(store, store.search(Query(9, vector_of("orphan words"), "orphan words"))) == ["known words"]
