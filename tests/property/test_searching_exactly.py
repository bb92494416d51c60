"""What a searcher finds is what a plain formula finds, however it came to its rows, and only what may be found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.documents import Between, Hit, Where
from perdure.core.texts.tokens import words
from perdure.engines.retrieval.searching.asking import Ask
from perdure.engines.retrieval.searching.searcher import Searcher
from perdure.stores.vectors.matching import holds, may_read
from perdure.stores.vectors.protocols import ChunkRow, DocumentRow

VOCABULARY = ["parcel", "zebra", "invoice", "the", "a", "Zürich", "東京", "x_1"]
DIMENSIONS = 7


def chunk(key: int, document: str, text: str, vector: bytes) -> ChunkRow:
    return ChunkRow(key, document, key, 0, len(text), text, "", f"{key}", "text", vector, "e", "c")


def document(id_: str, metadata: Where | None = None, readers: Sequence[str] | None = None) -> DocumentRow:
    return DocumentRow(id_, "t", "d", "text/plain", 1, "c", None, 0, 0, metadata=metadata or {}, readers=readers)  # type: ignore[arg-type]


def a_vector(seed: int) -> bytes:
    """One of few directions, so that there are ties; 0: none."""
    if not seed:
        return b""
    made = np.random.default_rng(seed).normal(size=DIMENSIONS)
    return (made / np.linalg.norm(made)).astype("<f4").tobytes()


chunks = st.lists(
    st.tuples(st.integers(0, 5), st.lists(st.sampled_from(VOCABULARY), max_size=8).map(" ".join), st.integers(0, 12)),
    max_size=40,
).map(lambda told: [chunk(i + 1, f"d{d}", text, a_vector(seed)) for i, (d, text, seed) in enumerate(told)])
scalars = st.sampled_from([True, False, 0, 1, 2, 1.0, 1.5, 2**60, 2**60 + 1, "1", "b", "z", float("nan"), float("inf")])
metadata = st.dictionaries(st.sampled_from(["f", "g"]), scalars, max_size=2)
groups = st.lists(st.sampled_from(["staff", "hr", "guests"]), max_size=2)
records = st.lists(st.tuples(metadata, st.none() | groups), min_size=6, max_size=6).map(
    lambda told: [document(f"d{i}", meta, readers) for i, (meta, readers) in enumerate(told)]
)
wanted = scalars | st.lists(scalars, max_size=3) | st.builds(Between, st.none() | scalars, st.none() | scalars)
filters = st.dictionaries(st.sampled_from(["f", "g"]), wanted, max_size=2)
questions = st.lists(st.sampled_from([*VOCABULARY, "unheard"]), max_size=4).map(" ".join)


def plain_bm25(rows: Sequence[ChunkRow], question: str) -> dict[int, float]:
    """The formula of the documentation, row by row."""
    told = {row.key: Counter(words(row.text)) for row in rows}
    lengths = {key: counts.total() for key, counts in told.items()}
    mean = sum(lengths.values()) / len(rows) if sum(lengths.values()) else 1.0
    found: dict[int, float] = {}
    for word in dict.fromkeys(words(question)):
        n = sum(word in counts for counts in told.values())
        idf = math.log(1.0 + (len(rows) - n + 0.5) / (n + 0.5))
        for key, counts in told.items():
            if counts[word]:
                below = counts[word] + 1.2 * (0.25 + 0.75 * lengths[key] / mean)
                found[key] = found.get(key, 0.0) + idf * 2.2 * counts[word] / below
    return found


def plain_cosines(rows: Sequence[ChunkRow], question: bytes) -> dict[int, float]:
    asked = np.frombuffer(question, "<f4").astype(float)
    return {row.key: float(np.frombuffer(row.vector, "<f4").astype(float) @ asked) for row in rows if row.vector}


def agrees(hits: Sequence[Hit], expected: dict[int, float], k: int) -> None:
    """The best k, best first; among scores that differ by rounding any order goes."""
    assert len(hits) == min(k, len(expected))
    assert len({hit.key for hit in hits}) == len(hits)
    assert [hit.score for hit in hits] == pytest.approx(
        sorted(expected.values(), reverse=True)[: len(hits)], rel=1e-5, abs=1e-6
    )
    assert [hit.score for hit in hits] == pytest.approx([expected[hit.key] for hit in hits], rel=1e-5, abs=1e-6)


@given(chunks, records, questions, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_words_are_ranked_by_the_plain_formula(rows, record, question, k) -> None:
    """BM25 to six digits."""
    hits = Searcher.of(rows, record).search(Ask(question, k=k, mode="lexical"))
    agrees(hits, plain_bm25(rows, question), k)
    assert all(hit.lexical == hit.score and hit.dense is None for hit in hits)


@given(chunks, records, st.integers(1, 20), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_vectors_are_ranked_by_their_cosines(rows, record, seed, k) -> None:
    """Exactly, where all rows are looked at; of equals the lower key goes first."""
    asked = a_vector(seed)
    hits = Searcher.of(rows, record).search(Ask(vector=np.frombuffer(asked, "<f4") * 3, k=k, mode="dense"))
    agrees(hits, plain_cosines(rows, asked), k)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.key))


@given(chunks, records, filters, st.none() | groups, questions, st.integers(1, 20))
@settings(max_examples=120, deadline=None)
def test_only_what_a_filter_and_readers_leave_is_found(rows, record, where, asking, question, seed) -> None:
    """As stores decide it; and all of it is found, not what is left of the best."""
    searcher = Searcher.of(rows, record, fields=["f", "g"])
    ids = {each.id for each in record if holds(where, each.metadata) and may_read(each.readers, asking)}
    left = [row for row in rows if row.document in ids]
    asked = a_vector(seed)
    ask = Ask(vector=np.frombuffer(asked, "<f4"), k=100, mode="dense", where=where, groups=asking)
    agrees(searcher.search(ask), plain_cosines(left, asked), 100)
    found = searcher.search(Ask(question, k=100, mode="lexical", where=where, groups=asking))
    assert {hit.key for hit in found} == set(plain_bm25(left, question))


@given(chunks, records, groups, questions, st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_what_one_may_not_read_does_not_move_what_he_finds(rows, record, asking, question, seed) -> None:
    """Neither ranks nor scores: an index without it answers the same."""
    readable = {each.id for each in record if may_read(each.readers, asking)}
    without = Searcher.of([row for row in rows if row.document in readable], record)
    ask = Ask(question, np.frombuffer(a_vector(seed), "<f4"), k=100, groups=asking)
    assert Searcher.of(rows, record).search(ask) == without.search(ask)


@given(chunks, st.data())
@settings(max_examples=80, deadline=None)
def test_a_searcher_that_moved_is_one_that_was_built_anew(rows, data) -> None:
    """Born, dead, with another record, merged, or put onto what was merged meanwhile: hits and scores are the same."""
    cut = data.draw(st.integers(0, len(rows)))
    later = data.draw(st.integers(cut, len(rows)))
    dead = data.draw(st.sets(st.sampled_from([row.key for row in rows]))) if rows else set()
    first, second = data.draw(records), data.draw(records)
    ask = Ask(data.draw(questions), np.frombuffer(a_vector(data.draw(st.integers(1, 20))), "<f4"), k=100)
    ask = Ask(ask.words, ask.vector, k=100, groups=data.draw(st.none() | groups))

    earlier = Searcher.of(rows[:cut], first, generation=1).moved(rows[cut:later], list(dead)[:2], 2)
    moved = earlier.moved(rows[later:], dead, 3, documents=second)
    rebuilt = Searcher.of([row for row in rows if row.key not in dead], second)
    assert moved.search(ask) == rebuilt.search(ask)
    assert moved.merged().search(ask) == rebuilt.search(ask)
    assert moved.onto(earlier.merged()).search(ask) == rebuilt.search(ask)
    assert moved.n_chunks == rebuilt.n_chunks == moved.merged().n_chunks
    assert (earlier.generation, moved.generation) == (2, 3)
    assert moved.holds([row.key for row in rows]) == [row.key not in dead for row in rows]
