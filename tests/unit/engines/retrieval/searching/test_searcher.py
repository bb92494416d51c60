"""Searching in memory: what is found, by what, and what hostile questions do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from searched_rows import Chunk, Document

from perdure.core.documents import Hit
from perdure.core.errors import BadIndex
from perdure.engines.retrieval.searching.asking import Ask, Wording
from perdure.engines.retrieval.searching.searcher import Searcher, Tuning

DIMENSIONS = 64


def directions(n: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(n, DIMENSIONS)).astype("<f4")
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def of_texts(*texts: str, **settings: object) -> Searcher:
    return Searcher.of([Chunk(i + 1, text) for i, text in enumerate(texts)], [Document()], **settings)  # type: ignore[arg-type]


def keys(hits: Sequence[Hit]) -> list[int]:
    return [hit.key for hit in hits]


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, Searcher]:
    """30,000 chunks in 300 documents: vectors around topics, words of their topic and common ones."""
    rng = np.random.default_rng(5)
    topics = directions(300, 1)[rng.integers(0, 300, 30_000)]
    vectors = (topics + rng.normal(scale=0.1, size=topics.shape)).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    told = rng.zipf(1.3, size=(30_000, 12)) % 5_000
    rows = [
        Chunk(i + 1, " ".join(f"w{word}" for word in told[i]), vectors[i].tobytes(), f"d{i // 100}")
        for i in range(30_000)
    ]
    documents = [Document(f"d{i}", {"year": 2000 + i % 30}, ["staff"] if i % 2 else None) for i in range(300)]
    return vectors, Searcher.of(rows, documents, fields=["year"], generation=4)


def test_nearly_all_true_neighbours_are_among_the_first_ten(world) -> None:
    """Signs of all rows, then 8 bits, then exact numbers: as an exact search, 99 times in 100."""
    vectors, searcher = world
    asked = vectors[::1000] + directions(30, 9) * 0.3
    exact = np.argsort(-(asked @ vectors.T), axis=1)[:, :10] + 1
    found = [keys(searcher.search(Ask(vector=each, mode="dense"))) for each in asked]
    assert np.mean([len(set(one) & set(other)) for one, other in zip(found, exact.tolist(), strict=True)]) >= 9.9


def test_common_words_complete_what_rare_words_began(world) -> None:
    """Two steps find what counting everything finds, nearly always; and give it the same scores."""
    _, searcher = world
    questions = [f"w1 w2 w3 w{i} w{i + 40}" for i in range(20, 40)]
    found = [searcher.search(Ask(question, mode="lexical")) for question in questions]
    every = [searcher.search(Ask(question, mode="lexical", k=1000)) for question in questions]
    assert [keys(one) for one in found] == [keys(other)[:10] for other in every]
    # Where all words are common the rarest of them begins.
    assert len(searcher.search(Ask("w1 w2", mode="lexical"))) == 10


def test_filters_keep_ten_of_what_is_left(world) -> None:
    """Of one year in 30, and of what guests may read: 10 chunks each, though most nearer ones are others'."""
    vectors, searcher = world
    hits = searcher.search(Ask("w5 w9", vectors[7], where={"year": 2003}, groups=["staff"]))
    assert len(hits) == 10
    assert {(hit.key - 1) // 100 % 30 for hit in hits} == {3}
    few = searcher.search(Ask("w5 w9", vectors[7], where={"year": 2003}, groups=["guests"]))
    assert few == []
    assert {(hit.key - 1) // 100 % 2 for hit in searcher.search(Ask("w5", vectors[7], groups=[]))} == {0}


def test_8_bits_decide_where_there_is_no_room_for_exact_vectors(world) -> None:
    """And the store is asked for a hundred exact ones where it can be."""
    vectors, _ = world
    rows = [Chunk(i + 1, "", vectors[i].tobytes()) for i in range(3_000)]
    asked = directions(1, 77)[0]
    exact = (np.argsort(-(vectors[:3_000] @ asked))[:10] + 1).tolist()
    fetched: list[int] = []

    def fetch(wanted: Sequence[int]) -> list[bytes]:
        fetched.extend(wanted)
        return [vectors[key - 1].tobytes() for key in wanted]

    small = Searcher.of(rows, [Document()], tuning=Tuning(exact_bytes=0))
    half = Searcher.of(rows, [Document()], tuning=Tuning(exact_bytes=400_000))
    asking = Searcher.of(rows, [Document()], tuning=Tuning(exact_bytes=0), fetch=fetch)
    assert len(set(keys(small.search(Ask(vector=asked)))) & set(exact)) >= 9
    assert len(set(keys(half.search(Ask(vector=asked)))) & set(exact)) >= 9
    hits = asking.search(Ask(vector=asked))
    assert len(set(keys(hits)) & set(exact)) >= 9
    assert [hit.score for hit in hits] == pytest.approx([vectors[hit.key - 1] @ asked for hit in hits], abs=1e-6)
    assert len(fetched) == 100
    assert small.n_bytes < half.n_bytes < Searcher.of(rows, [Document()]).n_bytes


def test_a_vector_that_the_store_has_no_more_is_not_found() -> None:
    """Where exact vectors are asked of the store."""
    rows = [Chunk(i + 1, "", each.tobytes()) for i, each in enumerate(directions(5))]
    gone = Searcher.of(rows, [Document()], tuning=Tuning(exact_bytes=0), fetch=lambda wanted: [b"" for _ in wanted])
    assert gone.search(Ask(vector=directions(1)[0])) == []


@pytest.mark.parametrize(
    "question", ["", "   ", "?!", "the of and to", "unheard", "\0", "parcel\0", "\ud800", "x" * 100_000, "a " * 50_000]
)
def test_hostile_questions_find_little_and_break_nothing(question: str) -> None:
    """Empty, enormous, with NUL or half a character, of common or unknown words only."""
    searcher = of_texts("the parcel", "the zebra and the parcel", "")
    assert keys(searcher.search(Ask(question))) in ([], [1, 2], [2, 1])


def test_a_question_is_words_and_no_language() -> None:
    """Operators, quotes and stars are nothing."""
    searcher = of_texts("parcel", "zebra")
    assert keys(searcher.search(Ask('NOT "parcel" OR zebra* AND col:x'))) == [1, 2]


def test_words_of_any_script_and_of_contexts_are_found() -> None:
    """In any case, and between underscores."""
    rows = [
        Chunk(1, "Straße"),
        Chunk(2, "東京タワー"),
        Chunk(3, "max_retry_count"),
        Chunk(4, "x", context="About Zebras"),
    ]
    searcher = Searcher.of(rows, [Document()])
    found = [keys(searcher.search(Ask(word))) for word in ("STRASSE", "京", "retry", "zebras")]
    assert found == [[1], [2], [3], [4]]


def test_another_embedder_s_question_is_refused() -> None:
    """Rather than answered by nothing."""
    searcher = Searcher.of([Chunk(1, "x", directions(1)[0].tobytes())], [Document()])
    for vector in (np.ones(3), np.full(DIMENSIONS, np.nan)):
        with pytest.raises(BadIndex):
            searcher.search(Ask(vector=vector))


def test_chunks_and_questions_without_a_direction_are_found_by_words_alone() -> None:
    """Zeros, numbers that are none, other lengths, nothing."""
    none = np.full(DIMENSIONS, np.nan, "<f4").tobytes()
    rows = [
        Chunk(1, "parcel", b"\0" * 4 * DIMENSIONS),
        Chunk(2, "parcel", none),
        Chunk(3, "parcel", b"1234"),
        Chunk(4, "parcel"),
    ]
    good = Chunk(5, "parcel", directions(1)[0].tobytes())
    searcher = Searcher.of([*rows, good], [Document()])
    assert keys(searcher.search(Ask(vector=directions(1)[0]))) == [5]
    assert len(searcher.search(Ask("parcel"))) == 5
    assert searcher.search(Ask(vector=np.zeros(DIMENSIONS))) == []
    assert len(searcher.search(Ask("parcel", np.zeros(DIMENSIONS)))) == 5


def test_an_empty_index_finds_nothing_and_takes_its_first_chunks() -> None:
    """Its dimensions come with the first vector, also after chunks that had none."""
    empty = Searcher.of([], [])
    assert empty.search(Ask("x", np.ones(3))) == []
    words_only = empty.moved([Chunk(1, "parcel")], [], 1, documents=[Document()])
    whole = words_only.moved([Chunk(2, "zebra", directions(1)[0].tobytes())], [], 2)
    assert keys(whole.search(Ask("parcel", directions(1)[0]))) == [1, 2]
    assert keys(whole.merged().search(Ask("parcel", directions(1)[0]))) == [1, 2]
    assert empty.search(Ask("parcel")) == []


def test_keys_must_rise() -> None:
    """A store that gives an older key later is built from anew."""
    with pytest.raises(BadIndex):
        Searcher.of([Chunk(2, "x"), Chunk(1, "y")], [Document()])
    with pytest.raises(BadIndex):
        of_texts("x", "y", "z").moved([Chunk(0, "w")], [], 2)


def test_chunks_of_documents_that_the_record_does_not_have_are_never_found() -> None:
    """Nor count."""
    rows = [Chunk(1, "parcel"), Chunk(2, "parcel", document="gone")]
    searcher = Searcher.of(rows, [Document()])
    assert keys(searcher.search(Ask("parcel"))) == [1]
    assert searcher.moved([], [], 2, documents=[Document("gone")]).search(Ask("parcel"))[0].key == 2


def test_a_record_with_other_readers_is_followed_without_new_chunks() -> None:
    """What was taken from a group is not found by it from then on."""
    searcher = of_texts("parcel")
    closed = searcher.moved([], [], 2, documents=[Document(readers=["hr"])])
    assert closed.search(Ask("parcel", groups=["staff"])) == []
    assert keys(closed.search(Ask("parcel", groups=["hr", "staff"]))) == [1]
    assert keys(searcher.search(Ask("parcel", groups=["staff"]))) == [1]


def test_a_filter_by_what_is_no_field_is_refused() -> None:
    """With the fields that there are."""
    with pytest.raises(BadIndex, match="no field 'color'"):
        of_texts("x", fields={"year": "number"}).search(Ask("x", where={"color": "red"}))


def test_both_rankings_are_fused_by_rank_or_by_score() -> None:
    """What both find goes first; shares move what only one finds."""
    asked, *others = directions(3, 4)
    rows = [Chunk(1, "zebra"), Chunk(2, "zebra crossing", asked.tobytes()), Chunk(3, "other", others[0].tobytes())]
    searcher = Searcher.of(rows, [Document()])
    first = searcher.search(Ask("zebra", asked))
    assert first[0].key == 2
    assert (first[0].dense, first[0].lexical) == (pytest.approx(1.0, abs=1e-6), pytest.approx(0.4, abs=0.2))
    assert first[1].dense is None
    assert keys(searcher.search(Ask("zebra", asked, fusion="scores", dense_share=1.0)))[0] == 2
    assert keys(searcher.search(Ask("zebra", asked, fusion="scores", dense_share=0.0)))[0] == 1
    assert keys(searcher.search(Ask("zebra", asked, mode="lexical"))) == [1, 2]
    assert keys(searcher.search(Ask("zebra", asked, mode="dense"))) == [2, 3]


def test_several_wordings_are_searched_and_fused() -> None:
    """What all of them find goes first."""
    searcher = of_texts("parcel", "package", "parcel package", "zebra")
    hits = searcher.search(Ask("parcel", others=[Wording("package"), Wording("zebra")]))
    assert keys(hits)[0] == 3
    assert set(keys(hits)) == {1, 2, 3, 4}


def test_diversity_puts_what_says_the_same_behind() -> None:
    """Three copies of one chunk take one place of two."""
    near, far = directions(2, 8)
    rows = [Chunk(i, "parcel", near.tobytes()) for i in (1, 2, 3)] + [Chunk(4, "parcel note", far.tobytes())]
    searcher = Searcher.of(rows, [Document()])
    assert keys(searcher.search(Ask("parcel", near, k=2))) == [1, 2]
    assert keys(searcher.search(Ask("parcel", near, k=2, diversity=0.7))) == [1, 4]


@pytest.mark.parametrize(
    "settings",
    [{"k": 0}, {"k": 10_000}, {"mode": "bm25"}, {"fusion": "sum"}, {"dense_share": 2.0}, {"diversity": -1.0}],
)
def test_settings_that_mean_nothing_are_refused(settings) -> None:
    """With what may be asked."""
    with pytest.raises(BadIndex):
        Ask("x", **settings)


def test_much_that_came_or_went_makes_a_searcher_heavy() -> None:
    """Merged it is light again, and finds the same."""
    searcher = of_texts(*(f"w{i}" for i in range(6_000)))
    assert not searcher.heavy
    moved = searcher.moved([], range(1, 5_000), 2)
    assert moved.heavy
    assert not moved.merged().heavy
    assert moved.merged().search(Ask("w5500")) == moved.search(Ask("w5500"))
    grown = searcher.moved([Chunk(10_000 + i, "new") for i in range(5_000)], [], 2)
    assert grown.heavy


def test_how_hits_are_scored_is_decided_by_the_question_alone() -> None:
    """Whether there are vectors that one may not read, or that are gone, shows in no score."""
    words, vector = Chunk(1, "parcel"), Chunk(2, "zebra", directions(1)[0].tobytes(), "secret")
    ask = Ask("parcel", directions(1)[0], groups=["guests"])
    alone = Searcher.of([words], [Document()]).search(ask)
    assert alone == Searcher.of([words, vector], [Document(), Document("secret", readers=["hr"])]).search(ask)
    assert alone == Searcher.of([words, vector], [Document()]).moved([], [2], 2).search(ask)
