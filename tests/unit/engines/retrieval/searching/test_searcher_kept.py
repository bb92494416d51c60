"""A searcher in a file, in sums, in threads, tuned: it is the same one, or none."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from searched_rows import Chunk, Document

from perdure.core.documents import Hit
from perdure.core.errors import TooFewRows, UpstreamBad
from perdure.engines.retrieval.searching.asking import Ask
from perdure.engines.retrieval.searching.calibrating import calibrated
from perdure.engines.retrieval.searching.digests import differing, differing_rows, served, stored
from perdure.engines.retrieval.searching.dumping import dump, load
from perdure.engines.retrieval.searching.reranking import reranked, wordings
from perdure.engines.retrieval.searching.searcher import Searcher, Tuning

DIMENSIONS = 70


def chunks(n: int, first: int = 1) -> list[Chunk]:
    rng = np.random.default_rng(first)
    vectors = rng.normal(size=(n, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Chunk(first + i, f"w{i % 7} w{i % 31} w{i}", each.astype("<f4").tobytes(), f"d{i % 3}")
        for i, each in enumerate(vectors)
    ]


RECORD = [Document(f"d{i}", {"n": i}) for i in range(3)]
ROWS = chunks(3_000)
QUESTION = Ask("w3 w11 w200", np.frombuffer(ROWS[77].vector, "<f4") + 0.05, where={"n": [0, 2]})


@pytest.fixture(scope="module")
def searcher() -> Searcher:
    return Searcher.of(ROWS, RECORD, generation=7, fields=["n"])


# ------------------------------------------------------------------------------------------------- in a file


def test_what_was_dumped_is_found_as_before(searcher, tmp_path: Path) -> None:
    """With its generation and its tuning; fields and readers are those of the record that is given."""
    wide = Searcher(replace(searcher.state, tuning=Tuning(DIMENSIONS, oversample=333.0)))
    dump(wide, tmp_path / "s", version="v1", stamp="12")
    loaded = load(tmp_path / "s", RECORD, version="v1", stamps={7: "12"}, fields=["n"])
    assert loaded is not None
    assert loaded.search(QUESTION) == searcher.search(QUESTION) != []
    assert (loaded.generation, loaded.state.tuning.oversample) == (7, 333.0)
    closed = load(tmp_path / "s", [Document("d0", readers=["hr"])], version="v1")
    assert closed is not None
    assert closed.search(Ask("w3", groups=["staff"])) == []
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_what_was_loaded_is_followed_like_any_other(searcher, tmp_path: Path) -> None:
    """Tails, tombstones and merges over a mapped file; what is heavy is merged before it is written."""
    moved = searcher.moved(chunks(50, 5_000), range(1, 100), 8)
    dump(searcher, tmp_path / "early", version="v1")
    dump(moved, tmp_path / "late", version="v1")
    early = load(tmp_path / "early", RECORD, version="v1", fields=["n"])
    late = load(tmp_path / "late", RECORD, version="v1", fields=["n"])
    assert early is not None
    assert late is not None
    followed = early.moved(chunks(50, 5_000), range(1, 100), 8)
    assert followed.search(QUESTION) == moved.search(QUESTION) == late.search(QUESTION)
    assert followed.merged().search(QUESTION) == moved.search(QUESTION)
    assert (late.generation, late.n_chunks) == (8, 2_951)


def test_a_file_that_does_not_match_is_as_good_as_none(searcher, tmp_path: Path) -> None:
    """Another version, another generation of the same number, none at all, empty, cut, one wrong bit anywhere."""
    path = tmp_path / "s"
    assert load(path, RECORD, version="v1") is None
    dump(searcher, path, version="v1", stamp="12")
    assert load(path, RECORD, version="v2") is None
    assert load(path, RECORD, version="v1", stamps={7: "13"}) is None
    assert load(path, RECORD, version="v1", stamps={8: "12"}) is None
    whole = path.read_bytes()
    for at in (0, 18, 40, len(whole) // 2, len(whole) * 3 // 4):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        assert load(path, RECORD, version="v1") is None
    for cut in (0, 10, 30, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert load(path, RECORD, version="v1") is None
    path.write_bytes(whole)
    assert load(path, RECORD, version="v1") is not None


def test_nothing_is_dumped_and_loaded_too(tmp_path: Path) -> None:
    """An index of no chunk, and one of no vector."""
    for rows in ([], [Chunk(1, "parcel")]):
        dump(Searcher.of(rows, [Document()]), tmp_path / "s", version="v1")
        loaded = load(tmp_path / "s", [Document()], version="v1")
        assert loaded is not None
        assert len(loaded.search(Ask("parcel"))) == len(rows)


# -------------------------------------------------------------------------------------------------- in sums


def test_memory_and_store_have_the_same_sums_however_rows_lie(searcher) -> None:
    """Built at once, moved in steps, merged, or read from the store."""
    steps = Searcher.of(ROWS[:1_000], RECORD).moved([*ROWS[1_000:], Chunk(9_000, "gone")], [], 5).moved([], [9_000], 7)
    for words in (False, True):
        told = served(searcher, words=words)
        assert told == served(steps, words=words) == served(steps.merged(), words=words)
        assert told == stored(iter(ROWS), 7, DIMENSIONS, words=words)
        assert (told.n_chunks, told.blocks) == (3_000, [0, 1, 2])


@pytest.mark.parametrize("part", ["bits", "small", "scales", "owners", "lengths"])
def test_one_wrong_number_in_memory_is_named(searcher, part: str) -> None:
    """Its block, and its row; words are looked at where asked for."""
    segment = searcher.state.segments[0]
    holder = {"owners": segment, "lengths": segment.postings}.get(part, segment.vectors)
    array = getattr(holder, part).copy()
    array[{"bits": (0, 1_500), "small": (1_500, 0)}.get(part, 1_500)] += 1
    broken = replace(holder, **{part: array})
    if part == "lengths":
        segment = replace(segment, postings=broken)
    else:
        segment = broken if part == "owners" else replace(segment, vectors=broken)
    damaged = Searcher(replace(searcher.state, segments=(segment,)))
    blocks = differing(served(damaged), stored(iter(ROWS), 7, DIMENSIONS))
    assert blocks == [1_501 >> 10]
    assert differing_rows(damaged, ROWS, blocks) == {1_501: "corrupt"}


def test_a_wrong_count_of_a_word_is_seen_where_words_are_looked_at(searcher) -> None:
    """Of one posting of 9,000."""
    segment = searcher.state.segments[0]
    counts = segment.postings.counts.copy()
    counts[4_000] += 1
    segment = replace(segment, postings=replace(segment.postings, counts=counts))
    damaged = Searcher(replace(searcher.state, segments=(segment,)))
    assert served(damaged) == served(searcher)
    key = int(segment.keys[segment.postings.rows[4_000]])
    [block] = differing(served(damaged, words=True), served(searcher, words=True))
    assert differing_rows(damaged, ROWS, [block], words=True) == {key: "corrupt"}


def test_what_memory_lacks_or_has_alone_is_named(searcher) -> None:
    """Missing ones and ghosts."""
    held = searcher.moved([Chunk(4_000, "ghost")], [5, 2_000], 8)
    blocks = differing(served(held), stored(iter(ROWS), 8, DIMENSIONS))
    assert blocks == [0, 1, 3]
    assert differing_rows(held, ROWS, blocks) == {5: "missing", 2_000: "missing", 4_000: "ghost"}


# --------------------------------------------------------------------------------------------------- in threads


def test_readers_see_whole_generations_while_it_moves_and_merges() -> None:
    """Each generation has as many chunks as its number tells, in threads that search all the while."""
    held = [Searcher.of([Chunk(1, "w")], [Document()], generation=1)]
    wrong: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            current = held[0]
            n = len(current.search(Ask("w", k=1_000)))
            if n != current.generation:
                wrong.append((current.generation, n))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    for step in range(2, 40):
        held[0] = held[0].moved([Chunk(step, "w")], [], step)
        if step % 5 == 0:
            held[0] = held[0].onto(held[0].merged())
    done.set()
    for each in readers:
        each.join()
    assert wrong == []
    assert held[0].generation == 39


def test_what_moves_while_it_is_merged_is_kept() -> None:
    """A merge of an earlier generation never brings back what went meanwhile, nor loses what came."""
    begun = Searcher.of([Chunk(i, f"a{i}") for i in range(1, 6_001)], [Document()], generation=1)
    seen = begun.moved([Chunk(i, f"b{i}") for i in range(7_000, 12_000)], [], 2)
    current = seen.moved([Chunk(20_000, "c20000")], [7_001, 3], 3).onto(seen.merged())
    assert seen.heavy
    assert not current.heavy
    assert current.n_chunks == 6_000 + 5_000 + 1 - 2
    found = [bool(current.search(Ask(word))) for word in ("a2", "a3", "b7000", "b7001", "c20000")]
    assert found == [True, False, True, False, True]
    assert current.generation == 3


def test_a_searcher_that_was_built_anew_is_not_put_onto_another_one_s_merge() -> None:
    """Of another store, whose keys are the same ones: it stays what it is."""
    old = Searcher.of([Chunk(1, "old"), Chunk(2, "old")], [Document()])
    new = Searcher.of([Chunk(1, "new"), Chunk(2, "new")], [Document()])
    assert new.onto(old.merged()) is new
    assert old.onto(old.moved([Chunk(3, "x")], [], 2)) is old


# ------------------------------------------------------------------------------------------------------- tuned


def test_the_smallest_width_that_finds_enough_is_taken(searcher) -> None:
    """And the recall it was measured at is told."""
    rng = np.random.default_rng(0)
    questions = np.stack([np.frombuffer(ROWS[i].vector, "<f4") for i in range(0, 3_000, 150)])
    questions = questions + rng.normal(scale=0.02, size=questions.shape)
    tuned, facts = calibrated(searcher, questions, k=5, goal=0.9)
    assert facts.recall.low >= 0.9
    assert tuned.state.tuning.oversample == facts.oversample <= 800
    loose, _ = calibrated(searcher, questions, k=5, goal=0.3)
    assert loose.state.tuning.oversample < facts.oversample
    widest, sure = calibrated(searcher, questions, k=5, goal=1.0)
    assert widest.state.tuning.oversample == 800
    assert sure.recall.value == 1.0 > sure.recall.low
    assert calibrated(Searcher.of([], []), questions)[1].recall.value == 1.0
    with pytest.raises(TooFewRows):
        calibrated(searcher, questions[:1])


class Backwards:
    fingerprint = "b"

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return [float(len(text)) for text in texts] if query else [float("nan")]


def test_a_reranker_orders_anew_and_ties_stay_as_they_stood() -> None:
    """By its scores; one that gives nonsense is an error of it."""
    hits = [Hit(1, 0.9, dense=0.5), Hit(2, 0.8), Hit(3, 0.7)]
    again = reranked(hits, ["a", "bb", "cc"], "q", Backwards(), 2)
    assert [(hit.key, hit.score) for hit in again] == [(2, 2.0), (3, 2.0)]
    assert reranked([], [], "q", Backwards(), 2) == []
    with pytest.raises(UpstreamBad):
        reranked(hits[:1], ["a"], "", Backwards(), 2)
    with pytest.raises(UpstreamBad):
        reranked(hits, ["a"], "q", Backwards(), 2)


class Chatty:
    def rewrite(self, query: str) -> Sequence[str]:
        return [f"{query} {i}" for i in range(50)] + ["", "  ", query]


def test_wordings_begin_with_the_question_and_end_somewhere() -> None:
    """8 at most, none of them empty."""
    assert wordings("q", Chatty()) == ["q", *(f"q {i}" for i in range(7))]
    assert wordings("q", None) == ["q"]
