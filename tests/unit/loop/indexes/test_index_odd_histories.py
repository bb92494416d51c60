"""Odd histories of sources, embedders and disks: the index is right in the end, or as it was, and nobody is told what is not so."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from perdure.core.errors import StoreFull, UpstreamBad, UpstreamError
from perdure.engines.retrieval.planning import make_plan
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.resyncing import resync, run_plan
from perdure.stores.vectors.embedded import EmbeddingCache

A = "a0/00.md"


def clean(world, at_us=9_000_000):
    census = take_census(world.opened, at_us, deep=True)
    assert (census.skews, census.unsettled, census.touched) == ([], [], [])
    return census


def test_a_file_that_is_replaced_by_an_older_copy_of_the_same_size_is_stale(built, place):
    built.write("copy.txt", (built.folder / A).read_text().replace("says", "said"))
    os.utime(built.folder / "copy.txt", (1_000_000, 1_000_000))
    (built.folder / "copy.txt").replace(built.folder / A)
    census = take_census(built.opened, 2_000_000)
    assert [(skew.kind, skew.document) for skew in census.skews] == [("stale", A)]
    resync(place, built.opened, 3_000_000)
    clean(built)


def test_a_file_of_the_future_is_indexed_once(built, place):
    built.write("late.md", "from the future")
    os.utime(built.folder / "late.md", (4e9, 4e9))
    assert resync(place, built.opened, 2_000_000)[2].n_embedded == 1
    assert resync(place, built.opened, 3_000_000)[1].counts().get("update", 0) == 0


def test_a_link_that_leads_elsewhere_now_is_stale(built, place):
    (built.folder / "link.md").symlink_to(built.folder / A)
    resync(place, built.opened, 2_000_000)
    (built.folder / "link.md").unlink()
    (built.folder / "link.md").symlink_to(built.folder / "a1/05.md")
    census = take_census(built.opened, 3_000_000)
    assert [(skew.kind, skew.document) for skew in census.skews] == [("stale", "link.md")]
    assert resync(place, built.opened, 4_000_000)[2].n_embedded <= 3
    clean(built)


def test_a_file_that_is_renamed_takes_its_vectors_along(built, place):
    (built.folder / A).rename(built.folder / "named-anew.md")
    embedded = resync(place, built.opened, 2_000_000)[2].n_embedded
    # The context of these chunks is their document's name, which is embedded too.
    assert embedded == 3
    clean(built)


def test_a_clock_that_goes_back_makes_generations_all_the_same(built, place):
    built.write(A, "another text")
    assert resync(place, built.opened, 10)[2].verified
    clean(built, 5)


def test_thousands_of_empty_files_are_documents_of_no_chunks(built, place):
    for i in range(1_500):
        built.write(f"empty/{i}.md", b"")
    report = resync(place, built.opened, 2_000_000)[2]
    assert (report.n_embedded, report.n_chunks_made, report.verified) == (0, 0, True)
    assert resync(place, built.opened, 3_000_000)[1].steps == []


def test_a_document_of_more_chunks_than_a_slice_is_written_and_deleted_whole(built, place, monkeypatch):
    monkeypatch.setattr("perdure.loop.work.indexes.resyncing._SLICE_CHUNKS", 50)
    built.write("long.md", "\n\n".join(f"paragraph {i}" for i in range(130)))
    built.write("longer.md", "\n\n".join(f"paragraph {i}" for i in range(140)))
    assert resync(place, built.opened, 2_000_000)[2].n_chunks_made == 270
    clean(built)
    built.remove("long.md")
    assert resync(place, built.opened, 3_000_000)[2].done == {"delete": 1}
    assert clean(built).n_chunks == 120 + 140


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rows: rows[:-1],
        lambda rows: rows[:, :-1],
        lambda rows: rows * np.nan,
        lambda rows: rows * 3,
        lambda rows: rows * 1e30,
        lambda rows: rows * 1e-30,
        lambda rows: rows[0],
    ],
)
def test_what_an_embedder_gives_that_are_no_vectors_is_never_written(built, place, wrong):
    embedder = built.opened.embedder
    made = embedder.embed

    class Odd:
        fingerprint, dimensions = embedder.fingerprint, embedder.dimensions

        def embed(self, contents, use="document"):
            return wrong(made(contents))

    generation = built.opened.store.generation()
    built.write(A, "one\n\ntwo")
    with pytest.raises(UpstreamBad):
        resync(place, replace(built.opened, embedder=Odd()), 2_000_000)
    assert built.opened.store.generation() == generation
    deep = take_census(replace(built.opened, embedder=Odd()), 2_000_000, deep=True)
    assert {skew.kind for skew in deep.skews} == {"stale"}
    assert "no vector" in deep.notes[0] or "of shape" in deep.notes[0]
    resync(place, built.opened, 3_000_000)
    clean(built)


def test_an_embedder_that_breaks_in_the_middle_leaves_what_was_and_what_it_gave_is_not_paid_twice(built, place):
    embedder = built.opened.embedder

    class Breaking:
        fingerprint, dimensions, n = embedder.fingerprint, embedder.dimensions, 0

        def embed(self, contents, use="document"):
            self.n += 1
            if self.n > 1:
                raise UpstreamError("It does not answer.", hint="Try again.")
            return embedder.embed(contents)

    built.write("long.md", "\n\n".join(f"paragraph {i}" for i in range(100)))
    with pytest.raises(UpstreamError):
        resync(place, replace(built.opened, embedder=Breaking()), 2_000_000)
    assert resync(place, built.opened, 3_000_000)[2].n_embedded == 100 - 64
    clean(built)


@pytest.mark.parametrize("damage", ["whole", "inside"])
def test_a_damaged_cache_of_vectors_is_laid_aside_and_nothing_stops(built, place, damage):
    path = built.path.parent.parent / "embeddings.db"
    built.opened.cache.close()
    data = bytearray(path.read_bytes())
    data[0 if damage == "whole" else 32768 :] = b"no database" * 800
    path.write_bytes(data)
    cache = EmbeddingCache(path)
    built.with_(cache=cache)
    built.write(A, "another text\n\nand one more")
    assert resync(place, built.opened, 2_000_000)[2].n_embedded == 2
    clean(built)
    assert len(cache.find("words-1", [row.digest for row in built.rows() if row.document == A])) == 2


def test_on_a_full_disk_the_index_stays_as_it_was_and_goes_on_when_there_is_room(built, place, monkeypatch):
    writer = built.opened.store._record._writer
    [n_pages] = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {n_pages}")
    built.write("long.md", "\n\n".join(f"paragraph {i}" * 50 for i in range(200)))
    generation = built.opened.store.generation()
    with pytest.raises(StoreFull):
        resync(place, built.opened, 2_000_000)
    assert built.opened.store.generation() == generation
    assert {skew.kind for skew in take_census(built.opened, 2_000_000).skews} == {"missing"}
    writer.execute("PRAGMA max_page_count = 1000000")
    resync(place, built.opened, 3_000_000)
    clean(built)


def test_a_plan_of_before_a_damage_is_run_after_it_without_harm(built, place):
    built.write(A, "another text")
    plan = make_plan(take_census(built.opened, 2_000_000), most_deleted=0.2)
    with built.damage() as connection:
        connection.execute("UPDATE documents SET told = x'ff'")
        connection.execute("UPDATE chunks SET packed = changed(packed, 'vector', x'00') WHERE key % 3 = 0")
    run_plan(place, built.opened, plan, 3_000_000)
    run_plan(place, built.opened, make_plan(take_census(built.opened, 4_000_000), most_deleted=0.2), 4_000_000)
    clean(built)
